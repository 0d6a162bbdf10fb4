/**
 * A node that survived its cluster's majority, read from its folder: what it has applied, and what its log has beyond that.
 * An entry that is only in the log may have been acknowledged by this node and one that is gone: it counts (S6). The folder
 * is left as a start of the node would leave it; the entries are applied to a copy.
 */
import { access, copyFile, mkdir, rm } from "node:fs/promises";
import { join, resolve } from "node:path";
import { equalBytes } from "@openclaw/core/bytes.ts";
import { OpenClawError } from "@openclaw/core/errors.ts";
import type { HistorySource } from "@openclaw/core/history/history-source.ts";
import type { NodeId } from "@openclaw/core/ids.ts";
import type { StoredLog } from "@openclaw/core/ports.ts";
import { encodeEntries } from "@openclaw/core/raft/entry-codec.ts";
import { founding, isMember, type Membership } from "@openclaw/core/raft/membership.ts";
import { holdsApplied } from "@openclaw/core/replica/stored.ts";
import { verdictOf } from "@openclaw/core/state-machine/finding.ts";
import type { Position } from "@openclaw/core/state-machine/query.ts";
import { z } from "zod";
import { missing } from "../backup/files.ts";
import { loadConfig, type NodeConfig } from "../config.ts";
import { holdsLog } from "../started.ts";
import { SegmentLogStore } from "../storage/log-store.ts";
import { storageError } from "../storage/sqlite.ts";
import { StateFile } from "../storage/state-file.ts";
import { STATE_FILE } from "../storage/state-protocol.ts";

const CACHE_BYTES = 8_388_608;

export interface Survivor {
  readonly config: NodeConfig;
  readonly position: Position;
  readonly membership: Membership;
  /** Of its log: a survivor with a later one knows more. */
  readonly log: { readonly term: number; readonly index: number };
  /** Entries at the end of its log that were there once and are gone (R5): it may have acknowledged them. */
  readonly lost: number;
  /** Where the others' HTTP API is, as the cluster knows it. */
  readonly others: readonly { readonly node: NodeId; readonly http: string }[];
  readonly past: HistorySource;
  close(): Promise<void>;
}

/**
 * @param config the path of its configuration
 * @throws OpenClawError DATA_IN_USE while it runs; NOT_FOUND, CONFIG_INVALID, DATA_CORRUPT, DATA_FOREIGN, DATA_NEWER, STORAGE_FULL;
 * RESCUE_REFUSED when its log is gone, or its state is known to be wrong (C1)
 */
export async function openSurvivor(config: string): Promise<Survivor> {
  const node = await loadConfig(config);
  await requireFiles(node);
  const log = new SegmentLogStore({ dataDir: node.dataDir, cluster: node.cluster, node: node.node });
  // Holds the folder: the node cannot be started meanwhile.
  const stored = await log.open();
  // One name, so that what a rescue that was killed left behind goes with the next.
  const copy = `${resolve(node.dataDir)}.rescue`;
  const clean = async (): Promise<void> => {
    await log.close();
    await rm(copy, { recursive: true, force: true });
  };
  try {
    await copyState(node.dataDir, copy);
    const opening = {
      folder: copy,
      cluster: node.cluster,
      node: node.node,
      epoch: node.epoch,
      membership: founding([]),
      cacheBytes: CACHE_BYTES,
    };
    const state = StateFile.open(opening, () => undefined);
    try {
      requireSound(state, node.node);
      const known = replayed(state, stored);
      const { membership, position } = state.stored();
      return {
        config: node,
        position,
        membership,
        ...known,
        others: placesOf(state, node, membership),
        past: state.past,
        close: async () => {
          state.close();
          await clean();
        },
      };
    } catch (error) {
      state.close();
      throw error;
    }
  } catch (error) {
    await clean();
    throw error;
  }
}

/** Opening a log makes one where there is none: the node would be taken for one that may start (R5). @throws OpenClawError */
async function requireFiles({ node, dataDir }: NodeConfig): Promise<void> {
  try {
    await access(join(dataDir, STATE_FILE));
  } catch (error) {
    throw new OpenClawError("NOT_FOUND", `no state in ${dataDir}`, { cause: error });
  }
  if (!(await holdsLog(dataDir)))
    throw new OpenClawError(
      "RESCUE_REFUSED",
      `the log of ${node} is gone from ${dataDir}, and with it what it acknowledged last; name another survivor, or rebuild the site from its hub`,
    );
}

async function copyState(from: string, to: string): Promise<void> {
  await rm(to, { recursive: true, force: true });
  await mkdir(to, { mode: 0o700 });
  for (const file of [STATE_FILE, `${STATE_FILE}-wal`]) {
    try {
      await copyFile(join(from, file), join(to, file));
    } catch (error) {
      if (!missing(error) || file === STATE_FILE) throw storageError(error, `copying the state to ${to}`);
    }
  }
}

/** A replica that differs from a majority waits for another state, and is no copy of the cluster's. @throws OpenClawError */
function requireSound(state: StateFile, node: NodeId): void {
  const comparison = state.read({ kind: "comparison" });
  const verdict = verdictOf(comparison);
  const own = comparison.reports.find((report) => report.node === node)?.finding;
  if (verdict.kind !== "agreed" || own?.kind !== "hash" || equalBytes(own.hash, verdict.hash)) return;
  if (comparison.round > state.stored().installed)
    throw new OpenClawError(
      "RESCUE_REFUSED",
      `the state of ${node} is not the one that a majority held (C1); name another survivor, or rebuild the site from its hub`,
    );
}

/** Applies what the log has beyond the state, if that follows it: the rest of a log that a snapshot overtook does not (R8). */
function replayed(state: StateFile, stored: StoredLog): Pick<Survivor, "log" | "lost"> {
  const { applied, appliedTerm } = state.stored();
  const end = stored.entries.at(-1) ?? stored.base;
  const missed = end.index < stored.highWater;
  if (!holdsApplied(stored, { applied, appliedTerm }))
    return {
      log: { term: appliedTerm, index: applied },
      lost: missed ? Math.max(0, stored.highWater - applied) : 0,
    };
  const entries = stored.entries.filter((entry) => entry.index > applied);
  if (entries.length > 0) state.apply(encodeEntries(entries));
  return { log: { term: end.term, index: end.index }, lost: missed ? stored.highWater - end.index : 0 };
}

/** As the replicated rows say, and of whom there is none, the configuration. */
function placesOf(state: StateFile, { node, members }: NodeConfig, membership: Membership): Survivor["others"] {
  const { members: rows } = state.read({ kind: "members" });
  const configured = members.filter((member) => !rows.some((row) => row.node === member.node));
  const present = rows.filter((row) => row.standing === "member" || isMember(membership, row.node));
  return [...configured, ...present]
    .filter((member) => member.node !== node)
    .map(({ node: of, http }) => ({ node: of, http }));
}

/** Every other node that the cluster still counts with. */
export function othersOf({ membership, config }: Survivor): readonly NodeId[] {
  const { voters, outgoing, learners } = membership;
  return [...new Set([...voters, ...outgoing, ...learners.map(({ id }) => id)])]
    .filter((node) => node !== config.node)
    .sort();
}

/**
 * Of nodes that are left, the one whose log knows most (Raft, §5.4.1). The others stay as they are, and stopped.
 * @throws as `openSurvivor`; RESCUE_REFUSED when they are of two clusters
 */
export async function bestSurvivor(
  configs: readonly string[],
): Promise<{ readonly survivor: Survivor; readonly config: string }> {
  let best: { readonly survivor: Survivor; readonly config: string } | null = null;
  try {
    for (const config of configs) {
      const survivor = await openSurvivor(config);
      if (best !== null && survivor.config.cluster !== best.survivor.config.cluster) {
        await survivor.close();
        throw new OpenClawError("RESCUE_REFUSED", `${config} is of ${survivor.config.cluster}`);
      }
      const knowsMore = best === null || isLater(survivor.log, best.survivor.log);
      if (!knowsMore) await survivor.close();
      else {
        await best?.survivor.close();
        best = { survivor, config };
      }
    }
  } catch (error) {
    await best?.survivor.close();
    throw error;
  }
  if (best === null) throw new OpenClawError("RESCUE_REFUSED", "no survivor was named");
  return best;
}

const isLater = (a: Survivor["log"], b: Survivor["log"]): boolean =>
  a.term > b.term || (a.term === b.term && a.index > b.index);

const Status = z.object({ cluster: z.string(), node: z.string(), removed: z.boolean() });

/** @throws OpenClawError RESCUE_REFUSED when another member answers */
export async function requireSilent(
  { config, others }: Pick<Survivor, "config" | "others">,
  ask: (http: string) => Promise<unknown>,
): Promise<void> {
  await Promise.all(
    others.map(async ({ node, http }) => {
      const status = await ask(http).catch((error: unknown) => {
        if (error instanceof OpenClawError && error.code !== "UNAVAILABLE") return { code: error.code };
        return null;
      });
      if (status === null) return;
      const known = Status.safeParse(status);
      if (known.success && (known.data.cluster !== config.cluster || known.data.removed)) return;
      throw new OpenClawError("RESCUE_REFUSED", `${node} answers at ${http}: it is not dead; stop it first`);
    }),
  );
}
