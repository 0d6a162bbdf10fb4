/**
 * The folder of a cluster that goes on from an earlier one, under a new epoch (L3): one node with a state that somebody makes.
 * All of it is made in a folder beside the one that is asked for, which then gets its name: there is never half a cluster to
 * start.
 */
import { randomBytes } from "node:crypto";
import { mkdir, mkdtemp, readdir, rename, rm, rmdir } from "node:fs/promises";
import { dirname, join, resolve } from "node:path";
import { OpenClawError } from "@openclaw/core/errors.ts";
import { type ClusterId, type Epoch, index, isNodeId, type LeaseId, type NodeId } from "@openclaw/core/ids.ts";
import type { Restored } from "@openclaw/core/state-machine/restored.ts";
import { type CertificateFiles, readPem } from "../certificate.ts";
import { type InitialNode, initCluster } from "../init.ts";
import { SegmentLogStore } from "../storage/log-store.ts";
import { RESTORED_AT } from "../storage/state-restore.ts";
import { missing, syncFolder, syncTree } from "./files.ts";

/**
 * For a lease of which nobody knows how long it may live: it ended before anybody asked. Its keys are there for so long; not
 * for ever, and longer than locks are held.
 */
const UNKNOWN_TTL_MS = 3_600_000;

export interface NewCluster {
  readonly cluster: ClusterId;
  readonly epoch: Epoch;
  /** The new cluster's folder; it is not there, or empty. */
  readonly directory: string;
  /** The cluster's private key, which `init` made. */
  readonly key: string;
  /** The key that signs bearer tokens; null: a new one, where nodes ask for tokens. */
  readonly operatorKey: string | null;
  readonly host: string;
  readonly httpPort: number;
  readonly p2pPort: number;
  readonly wsPort: number;
  /** The node's certificate, for browsers. */
  readonly tls?: CertificateFiles;
  /** Ask callers for tokens on loopback, too, as the cluster did. */
  readonly tokens?: boolean;
}

export interface MadeCluster {
  readonly node: InitialNode;
  readonly secured: boolean;
}

/** The leases of a restored state, each with its whole time from `now` on, ms since 1970. */
export const restoredLeases =
  (ttls: ReadonlyMap<LeaseId, number>, now: number): Restored["lease"] =>
  (lease) => {
    const ttlMs = ttls.get(lease) ?? UNKNOWN_TTL_MS;
    return { ttlMs, wallDue: now + ttlMs, salt: new Uint8Array(randomBytes(16)) };
  };

/**
 * @param makeState writes the state of that node into that data folder
 * @throws OpenClawError RESTORE_REFUSED when the folder holds anything; CONFIG_INVALID, also when the certificate is not sound
 */
export async function makeCluster<T>(
  plan: NewCluster,
  makeState: (data: string, node: NodeId) => Promise<T>,
): Promise<T & MadeCluster> {
  await requirePlace(plan);
  const above = dirname(resolve(plan.directory));
  await mkdir(above, { recursive: true });
  const making = await mkdtemp(`${resolve(plan.directory)}.restoring-`);
  try {
    const { nodes, secured } = await initCluster({
      directory: making,
      cluster: plan.cluster,
      nodes: 1,
      host: plan.host,
      httpPorts: [plan.httpPort],
      p2pPorts: [plan.p2pPort],
      wsPorts: [plan.wsPort],
      ...(plan.tls === undefined ? {} : { tls: plan.tls }),
      tokens: plan.tokens === true,
      departed: { epoch: plan.epoch, key: plan.key, operatorKey: plan.operatorKey },
    });
    const [node] = nodes;
    if (node === undefined || !isNodeId(node.node)) throw new OpenClawError("CONFIG_INVALID", "no node was made");
    const data = join(dirname(node.config), "data");
    const made = await makeState(data, node.node);
    await makeLog(data, plan.cluster, node.node);
    await moveInPlace(making, plan.directory);
    const config = join(plan.directory, node.config.slice(making.length + 1));
    return { ...made, node: { ...node, config }, secured };
  } catch (error) {
    await rm(making, { recursive: true, force: true });
    throw error;
  }
}

/** A log that knows of a term and ends where the state does: one without would be taken for lost (R5). */
async function makeLog(data: string, cluster: ClusterId, node: NodeId): Promise<void> {
  const log = new SegmentLogStore({ dataDir: data, cluster, node });
  try {
    await log.open();
    await log.reset(RESTORED_AT);
    await log.append({ term: RESTORED_AT.term, vote: null, commit: index(RESTORED_AT.index) }, []);
  } finally {
    await log.close();
  }
}

/** What is seen before anything is written. @throws OpenClawError RESTORE_REFUSED, CONFIG_INVALID: as `makeCluster` */
export async function requirePlace({ directory, tls }: Pick<NewCluster, "directory" | "tls">): Promise<void> {
  if (tls !== undefined) await readPem(tls);
  await requireEmpty(directory);
}

async function requireEmpty(directory: string): Promise<void> {
  let names: readonly string[];
  try {
    names = await readdir(directory);
  } catch (error) {
    if (missing(error)) return;
    throw new OpenClawError("RESTORE_REFUSED", `${directory} is no folder`, { cause: error });
  }
  if (names.length > 0) throw new OpenClawError("RESTORE_REFUSED", `${directory} is not empty`);
}

async function moveInPlace(from: string, to: string): Promise<void> {
  // A power cut leaves all of it or nothing under its name.
  await syncTree(from);
  // Fails where something was put into it meanwhile.
  await rmdir(to).catch((error: unknown) => {
    if (!missing(error)) throw new OpenClawError("RESTORE_REFUSED", `${to} is not empty`, { cause: error });
  });
  await rename(from, to);
  await syncFolder(dirname(resolve(to)));
}
