import { utf8, utf8Text } from "@openclaw/core/bytes.ts";
import type { LinkId, NodeId } from "@openclaw/core/ids.ts";
import { encodeEntry, encodeGossip } from "@openclaw/core/presence/presence.ts";
import type { PresenceTold } from "@openclaw/core/presence/session.ts";
import { dialTarget } from "@openclaw/edge-runtime/network/address.ts";
import { ClientPresence, clientPresenceTopic } from "@openclaw/edge-runtime/network/client-presence.ts";
import { createHost, type Host } from "@openclaw/edge-runtime/network/host.ts";
import { PRESENCE_MESSAGES_PER_SECOND_MAX } from "@openclaw/edge-runtime/network/limits.ts";
import { MemberGossip } from "@openclaw/edge-runtime/network/member-gossip.ts";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { LOG, link, TTL_MS } from "../presence/room.ts";
import { ANYBODY } from "../sync/anybody.ts";
import { Libp2pCluster, MemoryLog, nodeId, systemClock } from "./libp2p-cluster.ts";

const WAIT = { timeout: 25_000, interval: 20 };

let cluster: Libp2pCluster;
const open: Gateway[] = [];
beforeEach(async () => {
  cluster = await Libp2pCluster.create(3);
});
afterEach(async () => {
  for (const { presence } of open.splice(0)) await presence.stop();
  await cluster.destroy();
});

interface Gateway {
  readonly host: Host;
  readonly members: MemberGossip;
  readonly presence: ClientPresence;
}

const peers = (nodes: readonly NodeId[] = cluster.nodes): ReadonlySet<string> =>
  new Set(nodes.map((node) => cluster.members.get(node)?.identity.peer ?? ""));

async function gateway(node: NodeId, isMember: (peer: string) => boolean = (peer) => peers().has(peer)) {
  const member = cluster.members.get(node) ?? (await cluster.member(node));
  const members = new MemberGossip({ topics: [clientPresenceTopic(cluster.cluster)], isMember });
  const { identity } = member;
  const host = await createHost({ identity, listen: ["/ip4/127.0.0.1/tcp/0"], topics: [], members });
  cluster.hosts.set(node, host);
  const options = { host, members, cluster: cluster.cluster, clock: systemClock, log: new MemoryLog() };
  const made: Gateway = { host, members, presence: ClientPresence.open(options) };
  open.push(made);
  return made;
}

const meet = (from: Gateway, to: Gateway): Promise<unknown> =>
  from.host.dial(
    dialTarget({ peer: to.host.peerId.toString(), addresses: to.host.getMultiaddrs().map((address) => `${address}`) }),
  );

/** A client at a gateway, and what it sees of others. */
function clientAt({ presence }: Gateway, number: number) {
  const sees = new Map<LinkId, string>();
  const send = (told: PresenceTold): boolean => {
    if (told.kind !== "present") return true;
    for (const { link: who, value } of told.entries) {
      if (value === null) sees.delete(who);
      else sees.set(who, utf8Text(value) ?? "");
    }
    return true;
  };
  const session = presence.gateway.join({ link: link(number), principal: ANYBODY, send });
  session.received({ kind: "hear", topics: [LOG] });
  let seq = 0;
  const say = (text: string): void =>
    session.received({ kind: "presence", entries: [{ topic: LOG, seq: seq++, ttlMs: TTL_MS, value: utf8(text) }] });
  return { session, say, seen: () => [...sees.values()].sort() };
}

const message = (text: string): Uint8Array =>
  encodeGossip([
    encodeEntry({ topic: LOG, seq: 1, ttlMs: TTL_MS, value: utf8(text), link: link(99), principal: "eve" }),
  ]);

const [a, b, c] = [1, 2, 3].map((n) => nodeId(`california-${n}`)) as [NodeId, NodeId, NodeId];

test("R11: clients at three gateways in a line see each other, and a gateway that stops takes its own with it", async () => {
  const [ga, gb, gc] = [await gateway(a), await gateway(b), await gateway(c)];
  const [ana, ben, cy] = [clientAt(ga, 1), clientAt(gb, 2), clientAt(gc, 3)];
  await meet(ga, gb);
  await meet(gb, gc);
  // Who is there says so again and again: what is lost before the gateways know each other costs that time.
  await vi.waitFor(() => {
    ana.say("ana");
    ben.say("ben");
    cy.say("cy");
    expect([ana.seen(), ben.seen(), cy.seen()]).toEqual([
      ["ben", "cy"],
      ["ana", "cy"],
      ["ana", "ben"],
    ]);
  }, WAIT);
  await gc.presence.stop();
  await vi.waitFor(() => expect([ana.seen(), ben.seen()]).toEqual([["ben"], ["ana"]]), WAIT);
});

test("R10: a peer that is no member hears nothing and is not heard, until the node learns that it is one", async () => {
  let known = [a, b];
  const isMember = (peer: string): boolean => peers(known).has(peer);
  const [ga, gb] = [await gateway(a, isMember), await gateway(b, isMember)];
  // It takes everybody for a member.
  const gc = await gateway(c, () => true);
  await meet(gc, ga);
  await meet(ga, gb);
  const [ana, ben, cy] = [clientAt(ga, 1), clientAt(gb, 2), clientAt(gc, 3)];
  await vi.waitFor(() => {
    ana.say("ana");
    cy.say("cy");
    expect(ben.seen()).toEqual(["ana"]);
  }, WAIT);
  await gc.host.services.memberGossip?.publish(clientPresenceTopic(cluster.cluster), message("eve"));
  expect(ga.host.services.memberGossip?.getPeers().map(String)).toEqual([gb.host.peerId.toString()]);
  expect([ana.seen(), cy.seen()]).toEqual([[], []]);

  known = [a, b, c];
  ga.members.review();
  gb.members.review();
  await vi.waitFor(() => {
    ana.say("ana");
    cy.say("cy");
    expect([ana.seen(), cy.seen()]).toEqual([["cy"], ["ana"]]);
  }, WAIT);

  known = [a, b];
  ga.members.review();
  gb.members.review();
  await vi.waitFor(() => {
    expect(ga.host.services.memberGossip?.getPeers().map(String)).toEqual([gb.host.peerId.toString()]);
  }, WAIT);
});

test("R10: what a member passes on of a peer that is none, as far as this node knows, is thrown away and counted", async () => {
  const ga = await gateway(a, (peer) => peers([a, b]).has(peer));
  const [gb, gc] = [await gateway(b), await gateway(c)];
  await meet(ga, gb);
  await meet(gb, gc);
  const [ana, ben, cy] = [clientAt(ga, 1), clientAt(gb, 2), clientAt(gc, 3)];
  await vi.waitFor(() => {
    ben.say("ben");
    cy.say("cy");
    expect(ben.seen()).toEqual(["cy"]);
    expect(ana.seen()).toEqual(["ben"]);
    expect(ga.presence.counts().strange).toBeGreaterThan(0);
  }, WAIT);
  expect(ana.seen()).toEqual(["ben"]);
});

test("X1: garbage and floods of a member are counted, and harm nobody", async () => {
  const [ga, gb] = [await gateway(a), await gateway(b)];
  await meet(ga, gb);
  const [ana, ben] = [clientAt(ga, 1), clientAt(gb, 2)];
  const { memberGossip } = gb.host.services;
  const topic = clientPresenceTopic(cluster.cluster);
  await vi.waitFor(() => expect(memberGossip?.getSubscribers(topic)).toHaveLength(1), WAIT);
  for (const bytes of [Uint8Array.of(0xc1), new Uint8Array(20_000), encodeGossip([Uint8Array.of(0x90)])])
    await memberGossip?.publish(topic, bytes);
  await vi.waitFor(() => expect(ga.presence.counts().malformed).toBe(3), WAIT);
  for (let i = 0; i < 3 * PRESENCE_MESSAGES_PER_SECOND_MAX; i++) await memberGossip?.publish(topic, message(`${i}`));
  await vi.waitFor(() => expect(ga.presence.counts().flooded).toBeGreaterThan(0), WAIT);
  await vi.waitFor(() => {
    ana.say("ana");
    ben.say("ben");
    expect(ana.seen()).toContain("ben");
    expect(ben.seen()).toContain("ana");
  }, WAIT);
});
