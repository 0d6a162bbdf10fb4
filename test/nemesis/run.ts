/** One run: a cluster, clients, faults for a while, then peace and the verdict. */
import { setTimeout as sleep } from "node:timers/promises";
import type { Operation } from "../history/history.ts";
import { SeededRandom } from "../simulation/seeded-random.ts";
import { layOutCluster, type RealCluster } from "./cluster.ts";
import { catalogue } from "./faults/catalogue.ts";
import type { Fault, MissingFault } from "./faults/fault.ts";
import { layOutNamespaces } from "./namespaces.ts";
import { type Band, Nemesis, type Pace } from "./nemesis.ts";
import { unexpectedEnds } from "./node-logs.ts";
import { Observations } from "./observations.ts";
import { SmallDisk } from "./small-disk.ts";
import { comesBack, disagreement, judgeHistory, readAll, storedUniqueKeys, wrongVoters } from "./verdict.ts";
import { Watcher } from "./watcher.ts";
import { Workload } from "./workload.ts";

/** Ms that clients go on after the cluster is back: it must serve, not only say so. */
const PEACE_MS = 3_000;
const PROGRESS_MS = 10_000;

export interface RunOptions {
  readonly folder: string;
  readonly nodes: number;
  readonly durationMs: number;
  readonly seed: number;
  readonly pace: Pace;
  /** Null, or why all nodes share this machine's loopback and disks. */
  readonly withoutNamespaces: string | null;
  /** Names of the wanted faults; null wants all. */
  readonly only: readonly string[] | null;
  readonly report: (text: string) => void;
  /** Breaks the run off: everything is taken away, and there is no verdict. */
  readonly signal: AbortSignal;
}

export interface Outcome {
  readonly acknowledged: number;
  readonly lost: number;
  readonly linearizable: boolean | "unknown";
  readonly hashesAgree: boolean;
  readonly maxWriteGapMs: number;
  readonly faults: Readonly<Record<string, number>>;
  /** Faults that had no effect now and then, as a leader does not hand over to whom it does not hear. */
  readonly withoutEffect: Readonly<Record<string, number>>;
  /** Everything that is not as it should be, in words. */
  readonly findings: readonly string[];
  readonly operations: readonly Operation[];
  readonly observations: Observations;
  readonly bands: readonly Band[];
}

/** Nodes are gone when it ends; their folders stay. @throws Error when it could not be carried out; why it was broken off */
export async function run(options: RunOptions): Promise<Outcome> {
  const { folder, nodes, withoutNamespaces, report, only } = options;
  const namespaces = withoutNamespaces === null ? await layOutNamespaces(nodes) : null;
  const cluster = await layOutCluster({ folder, nodes, namespaces, report });
  const last = cluster.members.at(-1);
  const smallDisk = namespaces === null || last === undefined ? null : await SmallDisk.mount(last);
  const known = await catalogue({ namespaces, withoutNamespaces: withoutNamespaces ?? "", smallDisk });
  const unknown = only?.find((name) => !known.some((fault) => fault.name === name));
  if (unknown !== undefined)
    throw new Error(`there is no fault ${unknown}; there are ${known.map(({ name }) => name).join(", ")}`);
  const faults = known.filter(({ name }) => only?.includes(name) ?? true);
  try {
    for (const { process } of cluster.members) process.start();
    await Promise.all(cluster.members.map(({ process }) => process.ready(options.signal)));
    return await attack(cluster, faults, options);
  } finally {
    await Promise.all(cluster.everyone.map(({ process }) => process.retire()));
    await smallDisk?.unmount();
  }
}

/** Those that can be had; of the others it is said that they are missing. */
function haveable(known: readonly (Fault | MissingFault)[], report: (text: string) => void): readonly Fault[] {
  return known.flatMap((fault) => {
    if (!("missing" in fault)) return [fault];
    report(`without the fault ${fault.name}: ${fault.missing}`);
    return [];
  });
}

async function attack(
  cluster: RealCluster,
  known: readonly (Fault | MissingFault)[],
  options: RunOptions,
): Promise<Outcome> {
  const faults = haveable(known, options.report);
  const observations = new Observations();
  const workload = await Workload.start(cluster, new SeededRandom(options.seed), observations);
  const watcher = new Watcher(cluster, new SeededRandom(options.seed + 3));
  const off = new AbortController();
  const nemesis = new Nemesis({
    cluster,
    faults,
    seed: options.seed,
    pace: options.pace,
    now: () => observations.now(),
    report: options.report,
    signal: off.signal,
    brokenOff: options.signal,
  });
  try {
    const findings = await inflict(nemesis, workload, observations, off, options);
    options.signal.throwIfAborted();
    options.report("no more faults; waiting until all are back");
    const judging = judge(cluster, workload, watcher, observations, options.report);
    const verdict = await Promise.race([judging, breakingOff(options.signal)]);
    return {
      ...verdict,
      // Those that cannot be had here are counted too, so that it is seen.
      faults: { ...Object.fromEntries(known.map(({ name }) => [name, 0])), ...nemesis.counts() },
      withoutEffect: nemesis.withoutEffect(),
      findings: [...findings, ...nemesis.findings, ...verdict.findings],
      observations,
      bands: nemesis.bands,
    };
  } finally {
    await Promise.all([workload.abandon(), watcher.stop()]);
  }
}

/** Never resolves. */
function breakingOff(signal: AbortSignal): Promise<never> {
  return new Promise((_, reject) => signal.addEventListener("abort", () => reject(signal.reason), { once: true }));
}

/** Until the time is up. @returns what clients met that none may, in words */
async function inflict(
  nemesis: Nemesis,
  workload: Workload,
  observations: Observations,
  off: AbortController,
  { report, durationMs, signal }: RunOptions,
): Promise<readonly string[]> {
  const findings: string[] = [];
  const inflicting = nemesis.run();
  const progress = setInterval(() => report(progressOf(observations, nemesis)), PROGRESS_MS);
  const time = sleep(durationMs, undefined, { signal }).catch(() => report("broken off"));
  const failed = workload.failure.catch((error) => findings.push(`a client failed: ${error}`));
  try {
    await Promise.race([time, failed, inflicting.then(() => time)]);
  } finally {
    clearInterval(progress);
    off.abort();
    await inflicting;
  }
  return findings;
}

type Judged = Pick<
  Outcome,
  "acknowledged" | "lost" | "linearizable" | "hashesAgree" | "maxWriteGapMs" | "findings" | "operations"
>;

async function judge(
  cluster: RealCluster,
  workload: Workload,
  watcher: Watcher,
  observations: Observations,
  report: (text: string) => void,
): Promise<Judged> {
  const findings: string[] = [];
  const notBack = (await comesBack(cluster)) ?? (await wrongVoters(cluster));
  if (notBack !== null) findings.push(notBack);
  else await sleep(PEACE_MS);
  const { maxWriteGapMs } = observations;
  const notEnded = await workload.stop();
  if (notEnded !== null) findings.push(notEnded);

  report("reading everything back");
  const client = (): ReturnType<Workload["anyClient"]> => workload.anyClient();
  findings.push(...(await readAll(workload.registers, Workload.FINAL_READER, client)));
  const stored = await storedUniqueKeys(client);
  if (stored === null) findings.push("nobody answers what is there of the unique keys");
  else findings.push(...(await watcher.conclude(stored)));
  const lost = stored === null ? [] : workload.uniqueKeys.missing(stored);
  findings.push(...lost);
  const differ = await disagreement(cluster);
  if (differ !== null) findings.push(differ);
  findings.push(...(await unexpectedEnds(cluster)));

  const operations = workload.registers.recorder.operations();
  report(`looking for an order of ${operations.length} operations on ${workload.registers.keys.length} registers`);
  const judged = judgeHistory(operations);
  findings.push(...judged.findings);
  return {
    acknowledged: observations.acknowledged,
    lost: lost.length,
    linearizable: judged.linearizable,
    hashesAgree: differ === null,
    maxWriteGapMs: Math.round(maxWriteGapMs),
    findings,
    operations,
  };
}

function progressOf(observations: Observations, nemesis: Nemesis): string {
  const { acknowledged, all } = observations;
  const inflicted = nemesis.bands.length;
  const now = nemesis.bands.filter(({ until }) => until === null).map(({ fault }) => fault);
  return `${acknowledged} writes acknowledged, ${all.length} operations, ${inflicted} faults; now: ${now.join(", ") || "peace"}`;
}
