/** Groups of replicas for tests of one fault, and a replica on its own. */
import { utf8 } from "@openclaw/core/bytes.ts";
import { OpenClawError } from "@openclaw/core/errors.ts";
import { type ClusterId, type NodeId, revision } from "@openclaw/core/ids.ts";
import { founding } from "@openclaw/core/raft/membership.ts";
import { Replica } from "@openclaw/core/replica.ts";
import { APPLY_VERSIONS } from "@openclaw/core/state-machine/apply.ts";
import type { UserCommand } from "@openclaw/core/state-machine/command.ts";
import { expect } from "vitest";
import { MemoryCluster, type MemoryMember } from "../simulation/memory-cluster.ts";
import { MemoryNetwork } from "../simulation/memory-network.ts";
import { MemoryStateStore } from "../simulation/memory-state-store.ts";
import { SeededRandom } from "../simulation/seeded-random.ts";
import type { SimulatedLogStore } from "../simulation/simulated-log-store.ts";
import { VirtualClock } from "../simulation/virtual-clock.ts";

export const put = (key: string, value: string): UserCommand => ({ kind: "put", key: utf8(key), value: utf8(value) });
/** Cuts the log at once, so that whoever was away needs a snapshot. */
export const SHORT_LOG = {
  entriesMax: 1,
  bytesMax: 1e9,
  entriesKept: 0,
  bytesKept: 1e9,
  entriesBetween: 1,
  bytesBetween: 1e9,
};

/** `ok`, or the code of the refusal. */
export function execute({ replica }: MemoryMember, command: UserCommand, timeoutMs = 10_000): Promise<string> {
  return replica.execute(command, { principal: "tester", timeoutMs }).then(
    (outcome) => (outcome.ok ? "ok" : outcome.code),
    (error: unknown) => (error instanceof OpenClawError ? error.code : String(error)),
  );
}

/** Executes while time passes. */
export async function run(
  cluster: MemoryCluster,
  member: MemoryMember,
  command: UserCommand,
  timeoutMs = 10_000,
): Promise<string> {
  let answer: string | null = null;
  void execute(member, command, timeoutMs).then((code) => {
    answer = code;
  });
  const until = cluster.clock.now() + timeoutMs + 1_000;
  while (answer === null && cluster.clock.now() < until) await cluster.elapse(10);
  return answer ?? "never answered";
}

export async function startedCluster(
  size: number,
  options = {},
): Promise<{ cluster: MemoryCluster; leader: MemoryMember; others: MemoryMember[] }> {
  const cluster = new MemoryCluster(size, 1, options);
  await cluster.start();
  const leader = await cluster.leader();
  expect(await run(cluster, leader, put("warm", "up"))).toBe("ok");
  await cluster.elapse(200);
  return { cluster, leader, others: cluster.members.filter((member) => member !== leader) };
}

export const CLUSTER = "test" as ClusterId;
const NODE = "n1" as NodeId;
export const OWNER = { cluster: CLUSTER, node: NODE };
const EPOCH = { counter: 1, nonce: "ab".repeat(16), parent: null, departure: revision(0) };
const MEMBERSHIP = founding([NODE]);

export function alone(
  log: SimulatedLogStore,
  state = new MemoryStateStore({ cluster: CLUSTER, epoch: EPOCH, membership: MEMBERSHIP }),
) {
  const clock = new VirtualClock();
  const transport = new MemoryNetwork(clock).transport(NODE);
  const random = new SeededRandom(1);
  const onFatal = (error: Error): void => {
    throw error;
  };
  const replica = new Replica({
    cluster: CLUSTER,
    id: NODE,
    membership: MEMBERSHIP,
    epoch: EPOCH,
    log,
    state,
    transport,
    clock,
    random,
    applyVersions: APPLY_VERSIONS,
    tickMs: 50,
    onFatal,
  });
  return { replica, clock, state };
}
