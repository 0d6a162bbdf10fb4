import type { NodeId } from "@openclaw/core/ids.ts";
import type { DocumentChange } from "@openclaw/core/ledger/record.ts";
import { encodeProvisional, type ProvisionalChanges } from "@openclaw/core/provisional/message.ts";
import { dialTarget } from "@openclaw/edge-runtime/network/address.ts";
import { createHost, type Host } from "@openclaw/edge-runtime/network/host.ts";
import { PROVISIONAL_MESSAGES_PER_SECOND_MAX } from "@openclaw/edge-runtime/network/limits.ts";
import { MemberGossip } from "@openclaw/edge-runtime/network/member-gossip.ts";
import { ProvisionalGossip, provisionalTopic } from "@openclaw/edge-runtime/network/provisional-gossip.ts";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { VirtualClock } from "../../simulation/virtual-clock.ts";
import { changesOf } from "../documents/changes.ts";
import { ANYBODY } from "../sync/anybody.ts";
import { Libp2pCluster, MemoryLog, nodeId } from "./libp2p-cluster.ts";

const WAIT = { timeout: 25_000, interval: 20 };
/** One second that does not end: how fast this machine signs is another question. */
const STOPPED = new VirtualClock();
const [CHANGE] = changesOf("aa", (draft) => Object.assign(draft, { a: 1 })) as [DocumentChange];

let cluster: Libp2pCluster;
const open: ProvisionalGossip[] = [];
beforeEach(async () => {
  cluster = await Libp2pCluster.create(3);
});
afterEach(async () => {
  for (const provisional of open.splice(0)) await provisional.stop();
  await cluster.destroy();
});

const peers = (nodes: readonly NodeId[]): ReadonlySet<string> =>
  new Set(nodes.map((node) => cluster.members.get(node)?.identity.peer ?? ""));

async function gateway(node: NodeId, isMember: (peer: string) => boolean) {
  const member = cluster.members.get(node) ?? (await cluster.member(node));
  const topic = provisionalTopic(cluster.cluster);
  const members = new MemberGossip({ topics: [topic], isMember });
  const { identity } = member;
  const host = await createHost({ identity, listen: ["/ip4/127.0.0.1/tcp/0"], topics: [], members });
  cluster.hosts.set(node, host);
  const options = { host, members, cluster: cluster.cluster, clock: STOPPED, log: new MemoryLog() };
  const provisional = ProvisionalGossip.open(options);
  open.push(provisional);
  const seen = new Set<string>();
  const { offer } = provisional.gateway.join({
    principal: ANYBODY,
    subscription: () => ({ prefixes: [], collections: ["log"], mirrors: false }),
    send: ({ document }) => seen.add(document).size > 0,
  });
  const publish = (message: Uint8Array) => host.services.memberGossip?.publish(topic, message);
  return { host, provisional, seen, offer, publish };
}

const typed = (document: string): ProvisionalChanges => ({ collection: "log", document, changes: [CHANGE] });

const meet = (from: { host: Host }, to: { host: Host }): Promise<unknown> =>
  from.host.dial(
    dialTarget({ peer: to.host.peerId.toString(), addresses: to.host.getMultiaddrs().map((address) => `${address}`) }),
  );

test("D5, R11: what one gateway has checked shows at the others; what is strange, malformed or a flood is thrown away", async () => {
  const [a, b, c] = [1, 2, 3].map((n) => nodeId(`california-${n}`)) as [NodeId, NodeId, NodeId];
  const isMember = (peer: string): boolean => peers([a, b]).has(peer);
  const [ga, gb] = [await gateway(a, isMember), await gateway(b, isMember)];
  // It takes everybody for a member.
  const gc = await gateway(c, () => true);
  await meet(ga, gb);
  await meet(gc, ga);
  // A hint may be lost: before the gateways know each other it is.
  await vi.waitFor(() => {
    ga.offer(typed("first"));
    expect(gb.seen).toContain("first");
  }, WAIT);
  expect([...ga.seen, ...gc.seen]).toEqual([]);
  await gc.publish(encodeProvisional(typed("strange")));
  const flood = PROVISIONAL_MESSAGES_PER_SECOND_MAX + 50;
  await Promise.all(Array.from({ length: flood }, (_, i) => gb.publish(encodeProvisional(typed(`${i}`)))));
  await vi.waitFor(() => expect(ga.provisional.counts().flooded).toBeGreaterThan(0), WAIT);
  expect(ga.provisional.counts().heard).toBe(PROVISIONAL_MESSAGES_PER_SECOND_MAX);
  expect(ga.seen).not.toContain("strange");
  const before = gb.provisional.counts().malformed;
  await ga.publish(Uint8Array.of(1, 2, 3));
  await vi.waitFor(() => expect(gb.provisional.counts().malformed).toBe(before + 1), WAIT);
});
