/**
 * Makes a new cluster of one node from a backup: exactly the content of one revision, under a new epoch (L3). Everything is
 * made in a folder beside the one that is asked for, which then gets its name: there is never half a cluster to start.
 */
import { randomBytes } from "node:crypto";
import { mkdir, mkdtemp, readdir, rename, rm, rmdir } from "node:fs/promises";
import { dirname, join, resolve } from "node:path";
import { toHex } from "@openclaw/core/bytes.ts";
import { OpenClawError, unreachable } from "@openclaw/core/errors.ts";
import type { BaseRow } from "@openclaw/core/history/base.ts";
import { type Epoch, index, isNodeId, type LeaseId, type NodeId, revision } from "@openclaw/core/ids.ts";
import { departed } from "@openclaw/core/ledger/lineage.ts";
import type { StoredRecord } from "@openclaw/core/ports.ts";
import { founding } from "@openclaw/core/raft/membership.ts";
import { APPLY_VERSIONS } from "@openclaw/core/state-machine/apply.ts";
import { leaseOfRow } from "@openclaw/core/state-machine/keyspace.ts";
import { leaseRow } from "@openclaw/core/state-machine/lease-rows.ts";
import { type InitialNode, initCluster } from "../init.ts";
import { SegmentLogStore } from "../storage/log-store.ts";
import { RESTORED_AT, StateRestore } from "../storage/state-restore.ts";
import { baseRows } from "./base-file.ts";
import { missing, syncFolder } from "./files.ts";
import { type BaseEntry, type Manifest, requireManifest } from "./manifest.ts";
import { type At, type Moment, momentOf } from "./moment.ts";
import { lastOf, wayTo } from "./runs.ts";
import { beginning, lineageOf } from "./segment.ts";
import { backupRecords, runRecords } from "./verify.ts";

/** Bytes of records that are replayed in one transaction. */
const BATCH_BYTES = 4_194_304;
/**
 * For a lease that lived and ended between two runs of the backup, so that nobody asked how long it may live. Its keys are
 * there for so long; not for ever, and longer than locks are held.
 */
const UNKNOWN_TTL_MS = 3_600_000;

export interface RestorePlan {
  readonly backup: string;
  readonly at: At;
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
  readonly progress: (revision: number, of: number) => void;
}

export interface Planned extends Moment {
  readonly cluster: string;
  readonly from: Epoch;
  readonly epoch: Epoch;
}

export interface RestoredCluster extends Planned {
  readonly contentHash: string;
  /** True when that is the hash that a serving node gave of its content at this revision. */
  readonly recordedLive: boolean;
  readonly node: InitialNode;
  readonly secured: boolean;
}

/** What a restore would be of, every record up to there checked. @throws OpenClawError BACKUP_INVALID, UNKNOWN_VERSION, BAD_REQUEST */
export async function planRestore(backup: string, at: At): Promise<Planned> {
  return planned(backup, at, await requireManifest(backup));
}

async function planned(backup: string, at: At, manifest: Manifest): Promise<Planned> {
  const { cluster, epoch: from, applyVersion } = manifest;
  if (applyVersion > APPLY_VERSIONS.length)
    throw new OpenClawError("NODE_TOO_OLD", `the backup is of apply version ${applyVersion}`);
  const moment = await momentOf(at, recordsFor(backup, manifest, at));
  const epoch: Epoch = {
    counter: from.counter + 1,
    nonce: randomBytes(16).toString("hex"),
    parent: from.nonce,
    departure: revision(moment.revision),
  };
  return { ...moment, cluster, from, epoch };
}

/** Those among which the moment is: for a time, all of them, since wall times need not ascend. */
function recordsFor(backup: string, manifest: Manifest, at: At): AsyncIterable<StoredRecord> {
  switch (at.kind) {
    case "time":
      return backupRecords(backup, manifest);
    case "latest":
      return lastOf(manifest) === 0 ? backupRecords(backup, manifest) : upTo(backup, manifest, lastOf(manifest));
    case "revision":
      return upTo(backup, manifest, at.revision);
    default:
      return unreachable(at);
  }
}

/** @throws OpenClawError BAD_REQUEST when the backup does not hold the revision */
const upTo = (backup: string, manifest: Manifest, revision: number): AsyncIterable<StoredRecord> =>
  runRecords(backup, manifest, wayTo(manifest, revision), revision);

/**
 * @throws OpenClawError RESTORE_REFUSED when the folder holds anything; BACKUP_INVALID, also where the content is not what
 * was recorded live; UNKNOWN_VERSION, NODE_TOO_OLD, BAD_REQUEST, CONFIG_INVALID
 */
export async function restoreBackup(plan: RestorePlan): Promise<RestoredCluster> {
  await requireEmpty(plan.directory);
  const manifest = await requireManifest(plan.backup);
  const what = await planned(plan.backup, plan.at, manifest);
  const above = dirname(resolve(plan.directory));
  await mkdir(above, { recursive: true });
  const making = await mkdtemp(`${resolve(plan.directory)}.restoring-`);
  try {
    const { nodes, secured } = await initCluster({
      directory: making,
      cluster: what.cluster,
      nodes: 1,
      host: plan.host,
      httpPorts: [plan.httpPort],
      p2pPorts: [plan.p2pPort],
      wsPorts: [plan.wsPort],
      departed: { epoch: what.epoch, key: plan.key, operatorKey: plan.operatorKey },
    });
    const [node] = nodes;
    if (node === undefined || !isNodeId(node.node)) throw new OpenClawError("CONFIG_INVALID", "no node was made");
    const data = join(dirname(node.config), "data");
    const content = await makeState(plan, manifest, what, data, node.node);
    await makeLog(data, manifest, node.node);
    await moveInPlace(making, plan.directory);
    const config = join(plan.directory, node.config.slice(making.length + 1));
    return { ...what, ...content, node: { ...node, config }, secured };
  } catch (error) {
    await rm(making, { recursive: true, force: true });
    throw error;
  }
}

async function makeState(plan: RestorePlan, manifest: Manifest, what: Planned, data: string, node: NodeId) {
  const { cluster, epoch, revision: until } = what;
  const state = new StateRestore(data, cluster, beginning(manifest));
  try {
    const way = wayTo(manifest, until);
    const ttls = new Map(manifest.leases.map(({ lease, ttlMs }) => [lease, ttlMs]));
    if (way.base !== null) await takeBase(plan.backup, manifest, way.base, state, ttls);
    let batch: StoredRecord[] = [];
    let bytes = 0;
    for await (const record of runRecords(plan.backup, manifest, { base: null, segments: way.segments }, until)) {
      batch.push(record);
      bytes += record.record.length;
      if (bytes < BATCH_BYTES) continue;
      state.take(batch);
      plan.progress(record.revision, until);
      batch = [];
      bytes = 0;
    }
    state.take(batch);
    plan.progress(until, until);
    const contentHash = toHex(state.content().hash);
    const live = manifest.live.find(({ revision: at }) => at === until);
    if (live !== undefined && live.contentHash !== contentHash) {
      const details = `revision ${until}: the content's hash is ${contentHash}, recorded live was ${live.contentHash}`;
      throw new OpenClawError("BACKUP_INVALID", details);
    }
    const now = Date.now();
    const restored = {
      cluster: manifest.cluster,
      lineage: departed(lineageOf(manifest), epoch, state.hash),
      revision: revision(until),
      hash: state.hash,
      applyVersion: manifest.applyVersion,
      compacted: revision(way.base?.revision ?? 0),
      lease: (lease: (typeof manifest.leases)[number]["lease"]) => {
        const ttlMs = ttls.get(lease) ?? UNKNOWN_TTL_MS;
        return { ttlMs, wallDue: now + ttlMs, salt: new Uint8Array(randomBytes(16)) };
      },
    };
    state.finish(restored, founding([node]));
    return { contentHash, recordedLive: live !== undefined };
  } finally {
    state.close();
  }
}

async function takeBase(
  backup: string,
  manifest: Manifest,
  base: BaseEntry,
  state: StateRestore,
  ttls: Map<LeaseId, number>,
): Promise<void> {
  const parts = baseRows(backup, manifest, base);
  for (;;) {
    const part = await parts.next();
    if (part.done === true) return state.begin(part.value);
    const rows: BaseRow[] = [];
    for (const row of part.value) {
      const lease = leaseOfRow(row.key);
      if (lease === null) rows.push(row);
      else ttls.set(lease, leaseRow.decode(row.value).ttlMs);
    }
    state.takeRows(rows);
  }
}

/** A log that knows of a term and ends where the state does: one without would be taken for lost (R5). */
async function makeLog(data: string, { cluster }: Manifest, node: NodeId): Promise<void> {
  const log = new SegmentLogStore({ dataDir: data, cluster, node });
  try {
    await log.open();
    await log.reset(RESTORED_AT);
    await log.append({ term: RESTORED_AT.term, vote: null, commit: index(RESTORED_AT.index) }, []);
  } finally {
    await log.close();
  }
}

/** @throws OpenClawError RESTORE_REFUSED */
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
  // Fails where something was put into it meanwhile.
  await rmdir(to).catch((error: unknown) => {
    if (!missing(error)) throw new OpenClawError("RESTORE_REFUSED", `${to} is not empty`, { cause: error });
  });
  await rename(from, to);
  await syncFolder(dirname(resolve(to)));
}
