/** After the last fault: does the cluster come back, and has it kept every promise? */
import { setTimeout as sleep } from "node:timers/promises";
import { checkHistory, DEFAULT_BUDGET } from "../history/check.ts";
import { explanation } from "../history/explanation.ts";
import type { Operation } from "../history/history.ts";
import type { RealCluster } from "./cluster.ts";
import type { KeyValueClient, Versioned } from "./key-value-client.ts";
import type { Registers } from "./registers.ts";
import { UNIQUE_PREFIX } from "./unique-keys.ts";

/** Ms after the last fault until every node must be ready: restarts back off up to 10 s, and a node may need a snapshot. */
const BACK_MS = 90_000;
const POLL_MS = 200;
/** Ms until replicas that nobody writes to stand at one index. */
const SETTLE_MS = 60_000;
/** Ms for one answer of a cluster that is whole. */
const ANSWER_MS = 30_000;

/** Null, or who is not back, in words. */
export async function comesBack(cluster: RealCluster): Promise<string | null> {
  const deadline = performance.now() + BACK_MS;
  for (;;) {
    const answers = await Promise.all(
      cluster.members.map(async (member) => ({ name: member.name, status: await cluster.status(member) })),
    );
    const missing = answers.filter(({ status }) => status === null || status.recoveringTo !== null);
    const leaders = new Set(answers.map(({ status }) => status?.leader ?? null));
    if (missing.length === 0 && leaders.size === 1 && !leaders.has(null)) return null;
    if (performance.now() > deadline) {
      const states = answers.map(({ name, status }) =>
        status === null
          ? `${name} does not answer`
          : `${name} is ${status.role} in term ${status.term}, follows ${status.leader}, recovers to ${status.recoveringTo}`,
      );
      return `the cluster is not back ${BACK_MS / 1_000} s after the last fault: ${states.join("; ")}`;
    }
    await sleep(POLL_MS);
  }
}

/** Null when everybody sees those that run as the voters, else who sees whom, in words. */
export async function wrongVoters(cluster: RealCluster): Promise<string | null> {
  const wanted = cluster.members.map(({ name }) => name).sort();
  const agreed = await eventually(async () => {
    const seen = await Promise.all(cluster.members.map((member) => cluster.voters(member)));
    return seen.every((voters) => voters?.join() === wanted.join()) || null;
  });
  return agreed === null ? `not everybody sees ${wanted.join(", ")} as the voters` : null;
}

/** Reads every register, so that what was acknowledged last is held against what is there now. */
export async function readAll(
  registers: Registers,
  process: number,
  client: () => KeyValueClient,
): Promise<readonly string[]> {
  const findings: string[] = [];
  for (const key of registers.keys) {
    const answered = await eventually(async () => (await registers.read(process, client(), key)) || null);
    if (answered === null) findings.push(`nobody answers a read of ${key}`);
  }
  return findings;
}

/** What is there of the unique keys; null if nobody answers. @param origin whose; null: the cluster's own */
export function storedUniqueKeys(
  client: () => KeyValueClient,
  origin: string | null = null,
): Promise<ReadonlyMap<string, Versioned> | null> {
  return eventually(async () => {
    const answer = await client().list(UNIQUE_PREFIX, origin);
    return answer.kind === "ok" ? answer.result : null;
  });
}

/** Null when all replicas hold the same state and ledger, else how they differ, in words. */
export async function disagreement(cluster: RealCluster): Promise<string | null> {
  const deadline = performance.now() + SETTLE_MS;
  for (;;) {
    const before = await Promise.all(cluster.members.map((member) => cluster.status(member)));
    const hashed = await Promise.all(cluster.members.map((member) => cluster.hashedStatus(member)));
    const after = await Promise.all(cluster.members.map((member) => cluster.status(member)));
    const applied = new Set([...before, ...after].map((status) => status?.applied ?? null));
    // One index before and after: the hashes are of the same moment.
    if (applied.size === 1 && !applied.has(null) && hashed.every((status) => status?.state !== undefined)) {
      const states = hashed.map(
        (status) => `${status?.state?.rows} rows, ${status?.state?.hash}, ledger ${status?.state?.ledgerHash}`,
      );
      if (new Set(states).size === 1) return null;
      return `the replicas differ: ${cluster.members.map(({ name }, i) => `${name} has ${states[i]}`).join("; ")}`;
    }
    if (performance.now() > deadline) {
      const indexes = cluster.members.map(({ name }, i) => `${name} at ${after[i]?.applied}`);
      return `the replicas do not come to rest at one index: ${indexes.join(", ")}`;
    }
    await sleep(POLL_MS);
  }
}

export interface HistoryVerdict {
  readonly linearizable: boolean | "unknown";
  readonly findings: readonly string[];
}

export function judgeHistory(operations: readonly Operation[]): HistoryVerdict {
  const budget = { now: () => performance.now(), ...DEFAULT_BUDGET };
  const result = checkHistory(operations, budget);
  const reasons = explanation(result, "event", budget);
  switch (result.verdict) {
    case "linearizable":
      return { linearizable: true, findings: [] };
    case "not linearizable":
      return { linearizable: false, findings: ["the history is not linearizable", ...reasons] };
    case "unknown":
      return { linearizable: "unknown", findings: ["whether the history is linearizable is unknown", ...reasons] };
  }
}

async function eventually<T>(look: () => Promise<T | null>): Promise<T | null> {
  for (const deadline = performance.now() + ANSWER_MS; performance.now() < deadline; await sleep(POLL_MS)) {
    const found = await look();
    if (found !== null) return found;
  }
  return null;
}
