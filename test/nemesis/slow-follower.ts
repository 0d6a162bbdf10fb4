/**
 * A follower that is there and does not read (pitfall 33), by SIGSTOP, while the leader is under a load of puts: its TCP
 * windows fill up, then the leader gives the connection up, because no ping is answered, and dials it again and again.
 * Whatever the leader keeps for it must have an end: its memory is sampled before and meanwhile, and afterwards the follower
 * must come back.
 */
import { randomBytes } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import {
  PEER_QUEUE_BYTES_MAX,
  STREAM_WRITE_BYTES_MAX,
  YAMUX_WRITE_BYTES_MAX,
} from "@openclaw/edge-runtime/network/limits.ts";
import type { Box, Member, RealCluster } from "./cluster.ts";
import { command } from "./command.ts";
import { KeyValueClient } from "./key-value-client.ts";
import { layOutNamespaces } from "./namespaces.ts";
import { unexpectedEnds } from "./node-logs.ts";
import type { RunOptions } from "./run.ts";
import { layOutTiers } from "./tiers.ts";
import { comesBack, disagreement } from "./verdict.ts";

const WRITERS = 8;
/** Few keys, written again and again: the state stays small, the log goes on. */
const KEYS = 64;
const VALUE_BYTES = 8 * 1024;
const MINUTE_MS = 60_000;
const SAMPLE_MS = 2_000;
const MIB = 1_048_576;
/**
 * What a follower that does not read may cost the leader, MiB, above what the same load costs with one that does: all that
 * may wait for one peer, and as much that was thrown away and not collected yet.
 */
const COST_MAX_MIB = (2 * (PEER_QUEUE_BYTES_MAX + STREAM_WRITE_BYTES_MAX + YAMUX_WRITE_BYTES_MAX)) / MIB;

export type SlowFollowerOptions = Omit<RunOptions, "pace" | "only" | "seed" | "tiers">;

/** A minute of the load; of the leader's RSS in MiB. */
export interface Minute {
  /** False before it is stopped. */
  readonly stopped: boolean;
  readonly puts: number;
  readonly least: number;
  readonly median: number;
  readonly most: number;
  /** KiB that the kernel holds for the follower and cannot deliver, at most; null where that cannot be told. */
  readonly unsentKiB: number | null;
}

export interface SlowFollowerOutcome {
  readonly minutes: readonly Minute[];
  /** MiB: the last minute's median above that of the minute before it was stopped. */
  readonly cost: number;
  readonly hashesAgree: boolean;
  readonly findings: readonly string[];
}

/** A minute with all, then `durationMs` with one stopped. Nodes are gone when it ends. @throws why it was broken off */
export async function slowFollower(options: SlowFollowerOptions): Promise<SlowFollowerOutcome> {
  const { folder, nodes, withoutNamespaces, report, signal } = options;
  const namespaces = withoutNamespaces === null ? await layOutNamespaces(nodes) : null;
  const { site: cluster } = await layOutTiers({ folder, tiers: 1, nodes, namespaces, report });
  try {
    for (const { process } of cluster.members) process.start();
    await Promise.all(cluster.members.map(({ process }) => process.ready(signal)));
    return await measure(cluster, options);
  } finally {
    await Promise.all(cluster.members.map(({ process }) => process.retire()));
  }
}

async function measure(cluster: RealCluster, { durationMs, report, signal }: SlowFollowerOptions) {
  const leader = await cluster.leader();
  const follower = cluster.members.find((member) => member !== leader);
  if (leader === null || follower === undefined) throw new Error("a cluster that is ready has a leader and followers");
  const pid = follower.process.pid;
  if (pid === null) throw new Error(`${follower.name} is ready and does not run`);
  const load = new Load(leader, cluster.token);
  const minutes: Minute[] = [];
  const findings: string[] = [];
  const minute = async (stopped: boolean, ms: number): Promise<void> => {
    const measured = await sampled(leader, follower, load, stopped, ms, signal);
    minutes.push(measured);
    const { least, median, most, puts, unsentKiB } = measured;
    const unsent = unsentKiB === null ? "" : `; at most ${unsentKiB} KiB of the kernel's for ${follower.name}`;
    const who = stopped ? "stopped" : "reads";
    report(`${follower.name} ${who}: ${leader.name} has ${median} MiB (${least} to ${most}), ${puts} puts${unsent}`);
    if ((await cluster.status(leader))?.role !== "leader") findings.push(`${leader.name} leads no longer`);
  };
  try {
    await minute(false, MINUTE_MS);
    report(`freezing ${follower.name} (SIGSTOP)`);
    process.kill(pid, "SIGSTOP");
    try {
      for (let left = durationMs; left > 0; left -= MINUTE_MS) await minute(true, Math.min(left, MINUTE_MS));
    } finally {
      process.kill(pid, "SIGCONT");
    }
  } finally {
    await load.stop();
  }
  const cost = (minutes.at(-1)?.median ?? 0) - (minutes[0]?.median ?? 0);
  if (cost > COST_MAX_MIB) findings.push(`a follower that does not read costs ${cost} MiB, and may ${COST_MAX_MIB}`);
  const notBack = await comesBack(cluster);
  if (notBack !== null) findings.push(notBack);
  const differ = await disagreement(cluster);
  if (differ !== null) findings.push(differ);
  findings.push(...(await unexpectedEnds(cluster)));
  return { minutes, cost, hashesAgree: differ === null, findings };
}

class Load {
  readonly #stopping = new AbortController();
  readonly #writers: Promise<unknown>;
  #puts = 0;

  constructor({ http }: Member, token: string) {
    const client = new KeyValueClient(http, token);
    this.#writers = Promise.all(Array.from({ length: WRITERS }, (_, writer) => this.#write(client, writer)));
  }

  /** Acknowledged so far. */
  get puts(): number {
    return this.#puts;
  }

  async stop(): Promise<void> {
    this.#stopping.abort();
    await this.#writers;
  }

  async #write(client: KeyValueClient, writer: number): Promise<void> {
    for (let i = writer; !this.#stopping.signal.aborted; i += WRITERS) {
      const answer = await client.put(`load-${i % KEYS}`, randomBytes(VALUE_BYTES / 2).toString("hex"));
      if (answer.kind === "ok") this.#puts++;
    }
  }
}

async function sampled(
  leader: Member,
  follower: Member,
  load: Load,
  stopped: boolean,
  ms: number,
  signal: AbortSignal,
): Promise<Minute> {
  const sizes: number[] = [];
  let unsent: number | null = null;
  const before = load.puts;
  for (const deadline = performance.now() + ms; performance.now() < deadline; ) {
    await sleep(SAMPLE_MS, undefined, { signal });
    sizes.push(await residentMiB(leader));
    unsent = await unsentKiB(leader, follower, unsent);
  }
  const sorted = sizes.sort((a, b) => a - b);
  const at = (part: number): number => sorted[Math.floor(part * (sorted.length - 1))] ?? 0;
  return { stopped, puts: load.puts - before, least: at(0), median: at(0.5), most: at(1), unsentKiB: unsent };
}

async function residentMiB({ name, process }: Member): Promise<number> {
  if (process.pid === null) throw new Error(`${name} has ended`);
  return Math.round((Number(await command("ps", "-o", "rss=", "-p", String(process.pid))) * 1_024) / MIB);
}

/** The greater of `before` and what waits now (Send-Q). Nodes that share the loopback cannot be told apart. */
async function unsentKiB({ within }: Box, { host }: Box, before: number | null): Promise<number | null> {
  const [file, ...args] = within;
  if (file === undefined) return null;
  const lines = (await command(file, ...args, "ss", "-tnH", "dst", host)).trim().split("\n");
  const waiting = lines.map((line) => Number(line.trim().split(/\s+/)[2] ?? 0));
  return Math.max(before ?? 0, Math.round(waiting.reduce((sum, bytes) => sum + bytes, 0) / 1_024));
}
