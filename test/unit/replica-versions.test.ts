/** R9: a cluster whose nodes are upgraded one after the other, through whole replicas. */
import { utf8 } from "@openclaw/core/bytes.ts";
import type { NodeId } from "@openclaw/core/ids.ts";
import { revision } from "@openclaw/core/ids.ts";
import { decodeRecord } from "@openclaw/core/ledger/record-codec.ts";
import type { RaftMessage } from "@openclaw/core/raft/message.ts";
import { readableCommands } from "@openclaw/core/state-machine/command-codec.ts";
import { expect, test } from "vitest";
import { MemoryCluster, type MemoryClusterOptions, type MemoryMember } from "../simulation/memory-cluster.ts";
import { SECOND, TWO_VERSIONS } from "../simulation/second-version.ts";
import { SeededRandom } from "../simulation/seeded-random.ts";

const HOW = { principal: "tester", timeoutMs: 5_000 };

async function started(size: number, options: MemoryClusterOptions = {}, seed = 1): Promise<MemoryCluster> {
  const cluster = new MemoryCluster(size, seed, options);
  await cluster.start();
  await cluster.leader();
  return cluster;
}

/** What it comes to while the cluster's time goes on; an error's code. */
async function meanwhile(cluster: MemoryCluster, promise: Promise<unknown>): Promise<unknown> {
  let seen: { readonly value: unknown } | null = null;
  promise.then(
    (value) => {
      seen = { value };
    },
    (error: unknown) => {
      seen = { value: error instanceof Error && "code" in error ? error.code : error };
    },
  );
  for (let waited = 0; seen === null && waited < 20_000; waited += 50) await cluster.elapse(50);
  return (seen as { readonly value: unknown } | null)?.value ?? "open";
}

/** What a node does when it has started (edge-runtime/members.ts). */
const note = (cluster: MemoryCluster, { id, replica, versions }: MemoryMember): Promise<unknown> =>
  meanwhile(
    cluster,
    replica.propose(
      {
        kind: "noteMember",
        node: id,
        place: { peer: id, addresses: [], http: "http://10.0.0.1:1" },
        supports: versions.length,
      },
      HOW,
    ),
  );

const put = (cluster: MemoryCluster, { replica }: MemoryMember, key: string): Promise<unknown> =>
  meanwhile(cluster, replica.execute({ kind: "put", key: utf8(key), value: utf8("x") }, HOW));

async function upgrade(cluster: MemoryCluster, member: MemoryMember): Promise<void> {
  member.versions = TWO_VERSIONS;
  await cluster.powerCut(member);
  await cluster.leader();
  await note(cluster, member);
}

const versionsOf = (members: readonly MemoryMember[]): readonly number[] =>
  members.map(({ replica }) => replica.position().applyVersion);

async function until(cluster: MemoryCluster, holds: () => boolean): Promise<void> {
  for (let waited = 0; !holds() && waited < 20_000; waited += 50) await cluster.elapse(50);
  expect(holds()).toBe(true);
}

for (const seed of [1, 2, 3, 4, 5, 6]) {
  test(`R9: upgraded node by node, with crashes in between, no command has two meanings (seed ${seed})`, async () => {
    const random = new SeededRandom(seed).stream("upgrades");
    // So short a log that some learn of the new version from a snapshot.
    const retention = {
      entriesMax: 8,
      bytesMax: 1e9,
      entriesKept: 2,
      bytesKept: 1e9,
      entriesBetween: 2,
      bytesBetween: 1e9,
    };
    const cluster = await started(3, { retention }, seed);
    for (const member of cluster.members) await note(cluster, member);
    let puts = 0;
    for (const member of [...cluster.members].sort(() => random.unit() - 0.5)) {
      await put(cluster, random.pick(cluster.members), `k${puts++}`);
      expect(new Set(versionsOf(cluster.members))).toEqual(new Set([1]));
      await upgrade(cluster, member);
      const racing = Promise.all([put(cluster, random.pick(cluster.members), `k${puts++}`)]);
      const victim = random.pick(cluster.members);
      await cluster.elapse(random.below(120));
      await cluster.powerCut(victim);
      await racing;
      await cluster.leader();
    }
    await until(cluster, () => versionsOf(cluster.members).every((version) => version === 2));
    for (const member of cluster.members) await put(cluster, member, `k${puts++}`);
    await cluster.elapse(1_000);

    const states = await Promise.all(cluster.members.map(({ replica }) => replica.read({ kind: "stateHash" })));
    expect(new Set(states.map(({ hash }) => Buffer.from(hash).toString("hex"))).size).toBe(1);
    const ledgers = await Promise.all(cluster.members.map(({ replica }) => replica.ledger(revision(1), 1e9)));
    const records = ledgers.map((ledger) => ledger.records.map(({ record }) => record));
    expect(new Set(records.map((ledger) => Buffer.concat(ledger).toString("hex"))).size).toBe(1);
    const meanings = records[0]?.map((record) => (decodeRecord(record).principal.startsWith(SECOND) ? 2 : 1));
    // One change from the first meaning to the second, and both were there.
    expect(meanings).toEqual([...(meanings ?? [])].sort());
    expect(new Set(meanings)).toEqual(new Set([1, 2]));
    expect(cluster.members.map(({ failure }) => failure)).toEqual([null, null, null]);
  });
}

test("R9: nothing is raised while a member, or a learner, does not support it, or has not said so", async () => {
  const cluster = await started(3);
  const [a, b, c] = cluster.members as [MemoryMember, MemoryMember, MemoryMember];
  for (const member of [a, b]) await upgrade(cluster, member);
  await cluster.elapse(3_000);
  expect(versionsOf(cluster.members)).toEqual([1, 1, 1]);
  await upgrade(cluster, c);
  await until(cluster, () => versionsOf(cluster.members).every((version) => version === 2));
});

test("R9: a learner counts, too: a node that is no voter yet holds the raise up", async () => {
  const cluster = await started(1);
  const [only] = cluster.members as [MemoryMember];
  const learner = await cluster.join("n9" as NodeId);
  const add = { kind: "add", node: learner.id, replaces: null } as const;
  cluster.network.isolate(learner.id);
  await meanwhile(cluster, only.replica.changeMembership(add, 5_000));
  await upgrade(cluster, only);
  await cluster.elapse(3_000);
  expect(only.replica.status().raft.membership.learners).toHaveLength(1);
  expect(only.replica.position().applyVersion).toBe(1);
});

test("R9: who does not support the present version is not added, is named, and stops where it meets that version", async () => {
  const cluster = await started(3);
  for (const member of cluster.members) await upgrade(cluster, member);
  await until(cluster, () => versionsOf(cluster.members).every((version) => version === 2));
  const old = await cluster.join("n4" as NodeId);
  const leader = await cluster.leader();
  const follower = cluster.members.find((member) => member !== leader && member !== old) ?? leader;
  const add = { kind: "add", node: old.id, replaces: null } as const;
  for (const asked of [leader, follower])
    expect(await meanwhile(cluster, asked.replica.changeMembership(add, 5_000))).toBe("NODE_TOO_OLD");

  // A member goes back to an older release: it does not start, and the others go on.
  follower.versions = TWO_VERSIONS.slice(0, 1);
  await follower.replica.stop();
  cluster.powerOff(follower);
  await expect(cluster.powerOn(follower)).rejects.toMatchObject({ code: "NODE_TOO_OLD" });
  expect(await put(cluster, leader, "goes on")).toMatchObject({ ok: true });
  follower.versions = TWO_VERSIONS;
  await cluster.powerCut(follower);
  await until(cluster, () => follower.replica.position().revision === leader.replica.position().revision);
});

for (const by of ["the log", "a snapshot"] as const) {
  test(`R9: a node that lied of what it supports stops, with a code, when it learns of the version from ${by}`, async () => {
    const kept = by === "the log" ? 1e6 : 0;
    const retention = {
      entriesMax: kept + 1,
      bytesMax: 1e9,
      entriesKept: kept,
      bytesKept: 1e9,
      entriesBetween: 1,
      bytesBetween: 1e9,
    };
    const fatal: string[] = [];
    const onFatal = (member: MemoryMember, error: Error): void =>
      void fatal.push(`${member.id} ${"code" in error ? error.code : error}`);
    const cluster = await started(3, { retention, onFatal });
    const leader = await cluster.leader();
    const liar = cluster.members.find((member) => member !== leader) ?? leader;
    for (const member of cluster.members) if (member !== liar) await upgrade(cluster, member);
    const honest = liar.versions;
    liar.versions = TWO_VERSIONS;
    cluster.network.isolate(liar.id);
    const others = cluster.members.filter((member) => member !== liar);
    // Its row comes by way of another, as after an older release was put back on its box.
    const [other] = others as [MemoryMember];
    await cluster.leader();
    await note(cluster, { ...liar, replica: other.replica });
    liar.versions = honest;
    await until(cluster, () => versionsOf(others).every((version) => version === 2));
    for (let i = 0; i < 10; i++) await put(cluster, other, `k${i}`);
    cluster.network.heal();
    await until(cluster, () => liar.failure !== null);
    expect(fatal).toEqual([`${liar.id} NODE_TOO_OLD`]);
  });
}

for (const since of ["it was proposed", "its leader died"] as const) {
  test(`R9: a raise may be committed though nobody waits since ${since}: no node that does not support it comes in`, async () => {
    const waits: MemoryMember[] = [];
    const { promise: released, resolve: release } = Promise.withResolvers<void>();
    const waitsToApply = (member: MemoryMember): void => {
      member.state.latency = (call) => (call === "apply" ? released : Promise.resolve());
      waits.push(member);
    };
    let raised: NodeId | null = null;
    const sent = (from: NodeId, _to: NodeId, messages: readonly RaftMessage[]): void => {
      if (raised !== null || !messages.some(raises)) return;
      raised = from;
      for (const member of members) if (!waits.includes(member)) waitsToApply(member);
    };
    const cluster = await started(3, { network: { sent } });
    const members = [...cluster.members] as [MemoryMember, MemoryMember, MemoryMember];
    const old = await cluster.join("n9" as NodeId);
    for (const member of members) {
      member.versions = TWO_VERSIONS;
      await cluster.powerCut(member);
      await cluster.leader();
      if (member !== members[2]) await note(cluster, member);
    }
    const leader = await cluster.leader();
    const [asking, heir] = members.filter((member) => member !== leader) as [MemoryMember, MemoryMember];
    // The next leader does not know yet that the last member supports the next version: that is in its log only.
    if (since === "its leader died") for (const member of [asking, heir]) waitsToApply(member);
    void note(cluster, { ...members[2], replica: leader.replica });
    await until(cluster, () => raised !== null);
    if (since === "its leader died") {
      await cluster.elapse(100);
      cluster.powerOff(leader);
    }
    // Longer than the proposal is waited for, and than an election takes.
    await cluster.elapse(8_000);
    const led = await cluster.leader();
    const change = { kind: "add", node: old.id, replaces: null } as const;
    const { term } = led.replica.status();
    const from = led === asking ? heir.id : asking.id;
    cluster.network.transport(from).send(led.id, [{ kind: "changeMembership", from, to: led.id, term, change }]);
    await cluster.elapse(500);
    expect(led.replica.status().raft.membership.learners).toEqual([]);
    release();
    const up = members.filter((member) => member.up);
    await until(cluster, () => versionsOf(up).every((version) => version === 2));
    expect(await meanwhile(cluster, led.replica.changeMembership(change, 5_000))).toBe("NODE_TOO_OLD");
  });
}

const raises = (message: RaftMessage): boolean =>
  message.kind === "append" &&
  message.entries.some(
    ({ kind, data }) =>
      kind === "commands" && readableCommands(data).some((command) => command.kind === "raiseVersion"),
  );
