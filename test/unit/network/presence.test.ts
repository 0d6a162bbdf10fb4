import { encode } from "@openclaw/core/codec.ts";
import { index, isNodeId, type NodeId, revision, term } from "@openclaw/core/ids.ts";
import { dialTarget, parsePeerId } from "@openclaw/edge-runtime/network/address.ts";
import { createCredential } from "@openclaw/edge-runtime/network/credential.ts";
import { ClusterKey } from "@openclaw/edge-runtime/network/identity.ts";
import { PRESENCE_EXPIRES_MS, PRESENCE_ROWS_MAX } from "@openclaw/edge-runtime/network/limits.ts";
import { PRESENCE_TOPIC, type Presence, PresenceGossip } from "@openclaw/edge-runtime/network/presence.ts";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { Libp2pCluster, type Member, MemoryLog, nodeId, systemClock } from "./libp2p-cluster.ts";

const WAIT = { timeout: 25_000, interval: 20 };

let cluster: Libp2pCluster;
const running: PresenceGossip[] = [];
beforeEach(async () => {
  cluster = await Libp2pCluster.create(3);
});
afterEach(async () => {
  for (const presence of running.splice(0)) presence.stop();
  await cluster.destroy();
});

/** A clock whose monotonic time can be moved on. */
function movableClock(): typeof systemClock & { skip(ms: number): void } {
  let skipped = 0;
  return {
    ...systemClock,
    now: () => systemClock.now() + skipped,
    skip: (ms) => {
      skipped += ms;
    },
  };
}

interface Teller {
  readonly gossip: PresenceGossip;
  readonly clock: ReturnType<typeof movableClock>;
  revision: number;
}

async function teller(node: NodeId, changes: { readonly member?: Member } = {}): Promise<Teller> {
  const member = changes.member ?? cluster.members.get(node);
  if (member === undefined) throw new Error(node);
  const host = await cluster.host(member);
  cluster.hosts.set(node, host);
  const clock = movableClock();
  const self = (): Presence => ({
    cluster: cluster.cluster,
    node: member.node,
    role: "follower",
    leader: null,
    term: term(2),
    revision: revision(told.revision),
    applied: index(told.revision),
    http: "http://127.0.0.1:8101",
    full: told.revision === 7,
    at: clock.wall(),
  });
  const gossip = new PresenceGossip({
    host,
    clock,
    log: new MemoryLog(),
    credential: member.credential,
    clusterKey: (name) => (name === cluster.cluster ? cluster.key.publicKey : null),
    peerOf: () => null,
    self,
  });
  const told: Teller = { gossip, clock, revision: 1 };
  gossip.start();
  running.push(gossip);
  return told;
}

async function connect(from: NodeId, to: NodeId): Promise<void> {
  const location = cluster.locate(to);
  if (location === null) throw new Error(to);
  await cluster.hosts.get(from)?.dial(dialTarget(location));
}

const seen = (gossip: PresenceGossip): readonly string[] =>
  gossip
    .rows()
    .map((row) => `${row.node}@${row.revision}`)
    .sort();

test("R11: three nodes in a line hear of each other, of changes, and of a node that falls silent", async () => {
  const [a, b, c] = cluster.nodes;
  if (a === undefined || b === undefined || c === undefined) throw new Error("three nodes");
  const [ta, tb, tc] = [await teller(a), await teller(b), await teller(c)];
  await connect(a, b);
  await connect(b, c);
  const all = (revisionOfA: number) => [`${a}@${revisionOfA}`, `${b}@1`, `${c}@1`];
  await vi.waitFor(() => {
    for (const { gossip } of [ta, tb, tc]) expect(seen(gossip)).toEqual(all(1));
  }, WAIT);
  expect(tc.gossip.rows().find((row) => row.node === a)?.peer).toBe(cluster.members.get(a)?.identity.peer);

  let changes = 0;
  const unsubscribe = tc.gossip.onChange(() => changes++);
  ta.revision = 7;
  ta.gossip.changed();
  await vi.waitFor(() => expect(seen(tc.gossip)).toEqual(all(7)), WAIT);
  expect(tc.gossip.rows().flatMap(({ node, full }) => (full ? [node] : []))).toEqual([a]);
  expect(changes).toBeGreaterThan(0);
  unsubscribe();

  ta.gossip.stop();
  running.splice(running.indexOf(ta.gossip), 1);
  await cluster.hosts.get(a)?.stop();
  // Expiry is by the listener's own monotonic clock: what b and c say goes on arriving.
  tc.clock.skip(PRESENCE_EXPIRES_MS + 1);
  await vi.waitFor(() => expect(seen(tc.gossip)).toEqual([`${b}@1`, `${c}@1`]), WAIT);
});

test("R11: many nodes behind one address are all heard, and go on being heard", async () => {
  const [hub, ...sites] = await Promise.all(
    Array.from({ length: 16 }, (_, i) => cluster.member(nodeId(`site-${i}`))).map(async (making) => {
      const member = await making;
      cluster.members.set(member.node, member);
      return { node: member.node, told: await teller(member.node) };
    }),
  );
  if (hub === undefined) throw new Error("a hub");
  for (const { node } of sites) await connect(node, hub.node);
  const all = (at: number) => sites.map(({ node }) => `${node}@${at}`).sort();
  const heard = () => seen(hub.told.gossip).filter((row) => !row.startsWith(`${hub.node}@`));
  await vi.waitFor(() => expect(heard()).toEqual(all(1)), WAIT);
  // Peers are scored once a second: who is not listened to would be known by then.
  for (let round = 2; round < 7; round++) {
    for (const { told } of sites) {
      told.revision = round;
      told.gossip.changed();
    }
    await vi.waitFor(() => expect(heard()).toEqual(all(round)), WAIT);
  }
}, 120_000);

test("R10: only nodes with a credential of a known cluster appear, and garbage changes nothing", async () => {
  const [a, b, c] = cluster.nodes;
  if (a === undefined || b === undefined || c === undefined) throw new Error("three nodes");
  const key = await ClusterKey.create(`${cluster.folder}/stranger.key`);
  const [ta, tb] = [await teller(a), await teller(b)];
  const stranger = await teller(c, { member: await cluster.member(c, key) });
  await connect(c, a);
  await connect(b, a);
  const gossip = cluster.hosts.get(c)?.services.gossip;
  await vi.waitFor(() => expect(gossip?.getSubscribers(PRESENCE_TOPIC).length).toBeGreaterThan(0), WAIT);
  for (const bytes of [Uint8Array.of(0xc1), encode([1, "california"]), encode([9]), new Uint8Array(10_000)]) {
    await gossip?.publish(PRESENCE_TOPIC, bytes);
  }
  stranger.gossip.changed();
  // What comes after the garbage on the same links shows that it was seen and thrown away.
  await vi.waitFor(() => expect(seen(stranger.gossip)).toContain(`${a}@1`), WAIT);
  await vi.waitFor(() => expect(seen(ta.gossip)).toEqual([`${a}@1`, `${b}@1`]), WAIT);
  expect(seen(tb.gossip)).not.toContain(`${c}@1`);
});

test("X1: the table is bounded: the row heard longest ago leaves", async () => {
  const { gossip } = await teller(cluster.nodes[0] ?? fail());
  const validate = cluster.hosts.get(cluster.nodes[0] ?? fail())?.services.gossip.topicValidators.get(PRESENCE_TOPIC);
  const peer = cluster.hosts.get(cluster.nodes[0] ?? fail())?.peerId ?? fail();
  const identity = (cluster.members.get(cluster.nodes[1] ?? fail()) ?? fail()).identity;
  for (let i = 0; i < PRESENCE_ROWS_MAX + 10; i++) {
    const node = `n-${i}`;
    if (!isNodeId(node)) throw new Error(node);
    const credential = createCredential(
      { cluster: cluster.cluster, partition: 0, node, peer: identity.peer },
      cluster.key,
    );
    const data = encode([1, cluster.cluster, node, "follower", null, 1, 1, 1, "", false, 5, credential]);
    const from = parsePeerId(identity.peer);
    await validate?.(peer, {
      type: "signed",
      topic: PRESENCE_TOPIC,
      data,
      from,
      sequenceNumber: BigInt(i),
      signature: new Uint8Array(64),
      key: identity.privateKey.publicKey,
    });
  }
  expect(gossip.rows()).toHaveLength(PRESENCE_ROWS_MAX);
  expect(gossip.rows().map((row) => String(row.node))).toContain(`n-${PRESENCE_ROWS_MAX + 9}`);
  expect(gossip.rows().map((row) => String(row.node))).not.toContain("n-1");
});

function fail(): never {
  throw new Error("missing");
}
