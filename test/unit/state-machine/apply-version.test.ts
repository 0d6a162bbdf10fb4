/** R9 at the state machine: when the version is raised, and what that changes. */
import { index, isNodeId, type NodeId, term } from "@openclaw/core/ids.ts";
import type { Membership } from "@openclaw/core/raft/membership.ts";
import { founding } from "@openclaw/core/raft/membership.ts";
import { encodeMembership } from "@openclaw/core/raft/membership-codec.ts";
import { encodeCommands } from "@openclaw/core/state-machine/command-codec.ts";
import { expect, test } from "vitest";
import { SECOND, TWO_VERSIONS } from "../../simulation/second-version.ts";
import { checked, epoch, header, hexed, OneCluster, put } from "./one-cluster.ts";

const node = (name: string): NodeId => checked(name, isNodeId);
const cluster = (versions = TWO_VERSIONS): OneCluster => new OneCluster("shop", epoch("a"), versions);
const note = (shop: OneCluster, name: string, supports: number) =>
  shop.system({
    kind: "noteMember",
    node: node(name),
    place: { peer: `peer of ${name}`, addresses: [], http: "http://10.0.0.1:8101" },
    supports,
  });
const raise = (to: number, ...members: readonly string[]) =>
  ({ kind: "raiseVersion", to, members: members.map(node) }) as const;
const configure = (shop: OneCluster, membership: Membership) =>
  shop.apply([{ term: term(1), index: index(1), kind: "configuration", stamp: 0, data: encodeMembership(membership) }]);

test("R9: a cluster begins at version 1; raised, entries after that one have the next meaning, however they are batched", () => {
  const [shop, other] = [cluster(), cluster()];
  for (const one of [shop, other]) for (const name of ["n1", "n2"]) note(one, name, 2);
  expect(shop.position.applyVersion).toBe(1);
  const entryOf = (at: number, ...commands: readonly Parameters<typeof encodeCommands>[0][number][]) =>
    ({ term: term(1), index: index(at), kind: "commands", stamp: 0, data: encodeCommands(commands) }) as const;
  const entries = [
    entryOf(3, { header: header(1), ...put("before", "x") }),
    // The raise is in the middle of an entry: all of it still has the first meaning.
    entryOf(4, { header: header(2), ...raise(2, "n1", "n2") }, { header: header(3), ...put("with", "x") }),
    entryOf(5, { header: header(4), ...put("after", "x") }),
  ];
  shop.apply(entries);
  for (const entry of entries) other.apply([entry]);
  expect(shop.position).toMatchObject({ applyVersion: 2, revision: 3 });
  expect(shop.records.map(({ principal }) => principal)).toEqual(["ada", "ada", `${SECOND}ada`]);
  expect(hexed(other.view.rows())).toEqual(hexed(shop.view.rows()));
});

test("R9: no raise without every member's word, by two at once, or back; and a repeated one changes nothing", () => {
  const shop = cluster();
  note(shop, "n1", 2);
  shop.system(raise(2, "n1", "n2"));
  expect(shop.position.applyVersion).toBe(1);
  note(shop, "n2", 1);
  shop.system(raise(2, "n1", "n2"));
  // The leader that proposes it did not see that n2 is a member by now.
  configure(shop, founding([node("n1"), node("n2")]));
  shop.system(raise(2, "n1"));
  expect(shop.position.applyVersion).toBe(1);
  note(shop, "n2", 2);
  shop.system(raise(3, "n1", "n2"));
  expect(shop.position.applyVersion).toBe(1);
  for (const to of [2, 2, 1]) shop.system(raise(to, "n1", "n2"));
  expect(shop.position.applyVersion).toBe(2);
});

test("R9: a node that does not support the present version is refused by name, also one that is known", () => {
  const shop = cluster();
  note(shop, "n1", 2);
  shop.system(raise(2, "n1"));
  const refused = { kind: "memberNoted", refused: { code: "NODE_TOO_OLD", details: expect.stringContaining("n2") } };
  expect(note(shop, "n2", 1)).toEqual(refused);
  expect(note(shop, "n2", 2)).toEqual({ kind: "memberNoted", refused: null });
  expect(note(shop, "n2", 1)).toEqual(refused);
});

test("R9: apply stops at the first entry of a version that it does not know, and says which is needed", () => {
  const old = cluster(TWO_VERSIONS.slice(0, 1));
  note(old, "n1", 2);
  old.system(raise(2, "n1"));
  const before = hexed(old.view.rows());
  const tooOld = { code: "NODE_TOO_OLD", details: "the cluster is at apply version 2, this node supports 1" };
  expect(() => old.run(put("a", "1"))).toThrow(expect.objectContaining(tooOld));
  expect(hexed(old.view.rows())).toEqual(before);
});
