/** Makes a new cluster of one node from a backup: exactly the content of one revision, under a new epoch (L3). */
import { randomBytes } from "node:crypto";
import { toHex } from "@openclaw/core/bytes.ts";
import { OpenClawError, unreachable } from "@openclaw/core/errors.ts";
import type { BaseRow } from "@openclaw/core/history/base.ts";
import { type ClusterId, type Epoch, type LeaseId, type NodeId, revision } from "@openclaw/core/ids.ts";
import { departed } from "@openclaw/core/ledger/lineage.ts";
import type { StoredRecord } from "@openclaw/core/ports.ts";
import { founding } from "@openclaw/core/raft/membership.ts";
import { APPLY_VERSIONS } from "@openclaw/core/state-machine/apply.ts";
import { leaseOfRow } from "@openclaw/core/state-machine/keyspace.ts";
import { leaseRow } from "@openclaw/core/state-machine/lease-rows.ts";
import { StateRestore } from "../storage/state-restore.ts";
import { baseRows } from "./base-file.ts";
import { type BaseEntry, type Manifest, requireManifest } from "./manifest.ts";
import { type At, type Moment, momentOf } from "./moment.ts";
import { type MadeCluster, makeCluster, type NewCluster, requirePlace, restoredLeases } from "./new-cluster.ts";
import { lastOf, wayTo } from "./runs.ts";
import { beginning, lineageOf } from "./segment.ts";
import { backupRecords, runRecords } from "./verify.ts";

/** Bytes of records that are replayed in one transaction. */
const BATCH_BYTES = 4_194_304;
export interface RestorePlan extends Omit<NewCluster, "cluster" | "epoch"> {
  readonly backup: string;
  readonly at: At;
  readonly progress: (revision: number, of: number) => void;
}

export interface Planned extends Moment {
  readonly cluster: ClusterId;
  readonly from: Epoch;
  readonly epoch: Epoch;
}

export interface RestoredCluster extends Planned, MadeCluster {
  readonly contentHash: string;
  /** True when that is the hash that a serving node gave of its content at this revision. */
  readonly recordedLive: boolean;
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
  await requirePlace(plan);
  const manifest = await requireManifest(plan.backup);
  const what = await planned(plan.backup, plan.at, manifest);
  const made = await makeCluster({ ...plan, cluster: manifest.cluster, epoch: what.epoch }, (data, node) =>
    makeState(plan, manifest, what, data, node),
  );
  return { ...what, ...made };
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
    const restored = {
      cluster: manifest.cluster,
      lineage: departed(lineageOf(manifest), epoch, state.hash),
      revision: revision(until),
      hash: state.hash,
      applyVersion: manifest.applyVersion,
      compacted: revision(way.base?.revision ?? 0),
      lease: restoredLeases(ttls, Date.now()),
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
