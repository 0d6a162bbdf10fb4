/**
 * A node that survived its cluster's majority, read from its folder: what it has applied, and what its log has beyond that.
 * An entry that is only in the log may have been acknowledged by this node and one that is gone: it counts (S6). The folder
 * is only read; the entries are applied to a copy.
 */
import { copyFile, mkdtemp, rm } from "node:fs/promises";
import { dirname, join, resolve } from "node:path";
import { OpenClawError } from "@openclaw/core/errors.ts";
import type { HistorySource } from "@openclaw/core/history/history-source.ts";
import type { NodeId } from "@openclaw/core/ids.ts";
import { encodeEntries } from "@openclaw/core/raft/entry-codec.ts";
import { founding, type Membership } from "@openclaw/core/raft/membership.ts";
import type { Position } from "@openclaw/core/state-machine/query.ts";
import { z } from "zod";
import { missing } from "../backup/files.ts";
import { loadConfig, type NodeConfig } from "../config.ts";
import { SegmentLogStore } from "../storage/log-store.ts";
import { StateFile } from "../storage/state-file.ts";
import { STATE_FILE } from "../storage/state-protocol.ts";

const CACHE_BYTES = 8_388_608;

export interface Survivor {
  readonly config: NodeConfig;
  readonly position: Position;
  readonly membership: Membership;
  /** Of its log: a survivor with a later one knows more. */
  readonly log: { readonly term: number; readonly index: number };
  readonly past: HistorySource;
  close(): Promise<void>;
}

/**
 * @param config the path of its configuration
 * @throws OpenClawError DATA_IN_USE while it runs; NOT_FOUND, CONFIG_INVALID, DATA_CORRUPT, DATA_FOREIGN, DATA_NEWER
 */
export async function openSurvivor(config: string): Promise<Survivor> {
  const node = await loadConfig(config);
  const log = new SegmentLogStore({ dataDir: node.dataDir, cluster: node.cluster, node: node.node });
  // Holds the folder: the node cannot be started meanwhile.
  const stored = await log.open();
  const copy = await mkdtemp(join(dirname(resolve(node.dataDir)), ".rescue-"));
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
    const { applied } = state.stored();
    const entries = stored.entries.filter((entry) => entry.index > applied);
    if (entries.length > 0) state.apply(encodeEntries(entries));
    const { membership, position } = state.stored();
    const last = stored.entries.at(-1) ?? stored.base;
    return {
      config: node,
      position,
      membership,
      log: { term: last.term, index: last.index },
      past: state.past,
      close: async () => {
        state.close();
        await clean();
      },
    };
  } catch (error) {
    await clean();
    throw error;
  }
}

async function copyState(from: string, to: string): Promise<void> {
  for (const file of [STATE_FILE, `${STATE_FILE}-wal`]) {
    try {
      await copyFile(join(from, file), join(to, file));
    } catch (error) {
      if (!missing(error)) throw error;
      if (file === STATE_FILE) throw new OpenClawError("NOT_FOUND", `no state in ${from}`);
    }
  }
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
export async function requireSilent({ config }: Survivor, ask: (http: string) => Promise<unknown>): Promise<void> {
  const others = config.members.filter(({ node }) => node !== config.node);
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
