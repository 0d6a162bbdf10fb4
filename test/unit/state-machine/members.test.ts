import { index, type NodeId, term } from "@openclaw/core/ids.ts";
import { founding, type Membership } from "@openclaw/core/raft/membership.ts";
import { encodeMembership } from "@openclaw/core/raft/membership-codec.ts";
import type { MemberPlace } from "@openclaw/core/state-machine/member.ts";
import { MEMBER_ROWS_MAX } from "@openclaw/core/state-machine/members.ts";
import { expect, test } from "vitest";
import { OneCluster } from "./one-cluster.ts";

const node = (name: string): NodeId => name as NodeId;
const place = (peer: string, address = "/ip4/10.0.0.1/tcp/9101"): MemberPlace => ({
  peer,
  addresses: [address],
  http: "http://10.0.0.1:8101",
});
const note = (cluster: OneCluster, name: string, where: MemberPlace) =>
  cluster.system({ kind: "noteMember", node: node(name), place: where, supports: 1 });
const rows = (cluster: OneCluster) => cluster.query({ kind: "members" }).members;
const standings = (cluster: OneCluster) => rows(cluster).map((row) => [row.node, row.standing]);
const taken = { kind: "memberNoted", refused: null };
const refusedWith = (code: string) => ({ kind: "memberNoted", refused: { code, details: expect.anything() } });

function configure(cluster: OneCluster, membership: Membership): void {
  cluster.apply([
    { term: term(1), index: index(1), kind: "configuration", stamp: 0, data: encodeMembership(membership) },
  ]);
}

test("L1: a node's row is taken, and its addresses may change; neither takes a revision", () => {
  const cluster = new OneCluster("shop");
  expect(note(cluster, "shop-1", place("p1"))).toEqual(taken);
  expect(note(cluster, "shop-1", place("p1", "/ip4/10.0.0.9/tcp/9101"))).toEqual(taken);
  expect(rows(cluster)).toEqual([
    { node: "shop-1", ...place("p1", "/ip4/10.0.0.9/tcp/9101"), supports: 1, standing: "named" },
  ]);
  expect(cluster.position.revision).toBe(0);
  expect(cluster.records).toEqual([]);
});

test("R10: a name is bound to one peer for good", () => {
  const cluster = new OneCluster("shop");
  note(cluster, "shop-1", place("p1"));
  expect(note(cluster, "shop-1", place("p2"))).toEqual(refusedWith("TOKEN_USED"));
  expect(rows(cluster)[0]?.peer).toBe("p1");
});

test("R10: whoever was in a configuration and is in none any more is removed, and its name is not used again", () => {
  const cluster = new OneCluster("shop");
  for (const at of [1, 2, 3]) note(cluster, `shop-${at}`, place(`p${at}`));
  configure(cluster, { voters: [node("shop-1")], outgoing: [], learners: [{ id: node("shop-2"), replaces: null }] });
  expect(standings(cluster)).toEqual([
    ["shop-1", "member"],
    ["shop-2", "member"],
    // It has asked only: it may still come.
    ["shop-3", "named"],
  ]);
  configure(cluster, { voters: [node("shop-2")], outgoing: [node("shop-1")], learners: [] });
  expect(standings(cluster)[0]).toEqual(["shop-1", "member"]);
  configure(cluster, founding([node("shop-2")]));
  expect(standings(cluster)[0]).toEqual(["shop-1", "removed"]);
  expect(note(cluster, "shop-1", place("p1"))).toEqual(refusedWith("REMOVED"));
  expect(note(cluster, "shop-1", place("p9"))).toEqual(refusedWith("TOKEN_USED"));
  expect(note(cluster, "shop-3", place("p3"))).toEqual(taken);
});

test("X1: of more rows than are kept, the oldest of a node that is no member goes", () => {
  const cluster = new OneCluster("shop");
  note(cluster, "member", place("p"));
  configure(cluster, founding([node("member")]));
  // Names that sort against their age.
  const name = (at: number): string => `n${String(MEMBER_ROWS_MAX + 9 - at).padStart(5, "0")}`;
  for (let at = 0; at < MEMBER_ROWS_MAX + 1; at++) note(cluster, name(at), place(`p${at}`));
  const kept = new Set(rows(cluster).map((row) => row.node as string));
  expect(kept.size).toBe(MEMBER_ROWS_MAX);
  expect([kept.has("member"), kept.has(name(0)), kept.has(name(1)), kept.has(name(2))]).toEqual([
    true,
    false,
    false,
    true,
  ]);
});
