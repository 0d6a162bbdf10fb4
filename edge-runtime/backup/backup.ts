/**
 * Backs a serving cluster up into a folder. A run goes on where the last one ended, and is worth what its last manifest
 * says: a run that was cut off left files behind that no manifest names. Every record is checked against the chain (L2)
 * before it is written, so a node that diverged is found here and not at the restore.
 */
import { mkdir, readdir, rm } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { fromHex, toHex } from "@openclaw/core/bytes.ts";
import { invariant, OpenClawError } from "@openclaw/core/errors.ts";
import type { LeaseId } from "@openclaw/core/ids.ts";
import { decodeRecord } from "@openclaw/core/ledger/record-codec.ts";
import type { StoredRecord } from "@openclaw/core/ports.ts";
import { lockFolder } from "../storage/data-lock.ts";
import { type Receiving, receiveBase } from "./base-file.ts";
import { isBase, isSegment, MANIFEST_FILE, removeLeftovers, syncFolder, writeDurably } from "./files.ts";
import {
  BACKUP_FORMAT,
  type BaseEntry,
  LOCK_FILE,
  loadManifest,
  type Manifest,
  type SegmentEntry,
  saveManifest,
} from "./manifest.ts";
import { type Holdings, hashBefore, holdings, lastOf } from "./runs.ts";
import { chained, segmentBytes, segmentMissing, segmentOf, segmentRecords } from "./segment.ts";
import type { BackupSource, Page, Standing } from "./source.ts";

/**
 * Bytes of records at which a segment is closed. The last one is written anew when it grows, so this is also what a
 * continuous backup writes at most for a record.
 */
const SEGMENT_BYTES_MAX = 8 * 1_048_576;
/** Ms between two looks of a continuous backup: what a disaster may cost, with the run's own time. */
const FOLLOW_MS = 2_000;
/** Hashes of the live content, and times of leases, that a manifest keeps: the newest. It is written anew by each run. */
const LIVE_MAX = 10_000;
const LEASES_MAX = 65_536;

export interface BackupPlan extends Receiving {
  readonly source: BackupSource;
  /** Begins anew with a base: restores of later revisions need nothing that was there before it. */
  readonly full: boolean;
  /** Records a hash of the live content at the end, which reads all of a node's state. */
  readonly hash: boolean;
  /** Goes on until `signal` aborts. */
  readonly follow: boolean;
  readonly progress: (revision: number, of: number) => void;
  /** What keeps a continuous backup from going on just now. */
  readonly warn: (line: string) => void;
}

export interface Backed extends Holdings {
  readonly cluster: string;
  readonly epoch: string;
  /** How far this run took it. */
  readonly added: number;
  /** False when the run was ended before it had everything. */
  readonly complete: boolean;
}

/**
 * @throws OpenClawError DATA_IN_USE when another backup uses the folder; WRONG_CLUSTER, WRONG_EPOCH when it holds another
 * one's; BACKUP_INVALID, UNKNOWN_VERSION; COMPACTED when the node no longer keeps what the folder needs next; what the
 * node refuses
 */
export async function backUp(plan: BackupPlan): Promise<Backed> {
  await mkdir(plan.folder, { recursive: true, mode: 0o700 });
  const unlock = lockFolder(join(plan.folder, LOCK_FILE));
  try {
    const standing = await plan.source.standing();
    const run = await Run.begin(plan, standing);
    if (plan.full || run.needsBase(standing)) await run.takeBase(standing);
    if (!plan.signal.aborted) await run.catchUp();
    if (!plan.signal.aborted && plan.hash) await run.recordContent();
    if (plan.follow) await run.follow();
    return run.report();
  } finally {
    unlock();
  }
}

class Run {
  readonly #plan: BackupPlan;
  #manifest: Manifest;
  /** Of the last segment, which may still grow. */
  #open: StoredRecord[];
  #openBytes: number;
  /** The ledger's hash before the open segment, and at its end. */
  #previous: Uint8Array;
  #hash: Uint8Array;
  /** What comes next follows it. */
  #last: number;
  readonly #begun: number;
  #complete = false;
  /** What is on the disk. */
  #saved: Manifest;

  static async begin(plan: BackupPlan, standing: Standing): Promise<Run> {
    const { folder } = plan;
    const found = await loadManifest(folder);
    const { cluster, epoch } = standing;
    if (found === null) await requireNoSegments(folder);
    const manifest = found ?? emptyManifest(standing);
    // Before the first segment: one without a manifest would be no leftover of ours, but a backup that lost it.
    if (found === null) await saveManifest(folder, manifest);
    if (manifest.cluster !== cluster)
      throw new OpenClawError(
        "WRONG_CLUSTER",
        `${folder} is a backup of ${manifest.cluster}, the node is of ${cluster}`,
      );
    if (manifest.epoch.nonce !== epoch.nonce) {
      const epochs = `epoch ${manifest.epoch.counter}, the node is in epoch ${epoch.counter}`;
      throw new OpenClawError("WRONG_EPOCH", `${folder} is a backup of ${epochs}: back up into a fresh folder`);
    }
    const named = new Set([...manifest.bases, ...manifest.segments].map(({ file }) => file));
    await removeLeftovers(folder, (name) => (isSegment(name) || isBase(name)) && !named.has(name));
    const growing = growingOf(manifest);
    const previous = hashBefore(manifest, growing?.first ?? lastOf(manifest) + 1);
    const open: StoredRecord[] = [];
    if (growing !== null) {
      const bytes = await segmentBytes(folder, growing);
      if (bytes === null) throw segmentMissing(growing);
      open.push(...segmentRecords(bytes, manifest, growing, previous, growing.last));
    }
    return new Run(plan, manifest, open, previous);
  }

  private constructor(plan: BackupPlan, manifest: Manifest, open: StoredRecord[], previous: Uint8Array) {
    this.#plan = plan;
    this.#manifest = manifest;
    this.#saved = manifest;
    this.#open = open;
    this.#openBytes = bytesIn(open);
    this.#previous = previous;
    this.#hash = open.at(-1)?.hash ?? previous;
    this.#last = lastOf(manifest);
    this.#begun = this.#last;
  }

  /** True of a folder without anything, where the ledger does not begin with revision 1 any more. */
  needsBase({ compacted }: Standing): boolean {
    return this.#last === 0 && compacted > 1;
  }

  /** From now on the backup goes on from a base, of whatever revision the node is at. */
  async takeBase({ revision }: Standing): Promise<void> {
    const { source } = this.#plan;
    if (revision === 0) return;
    const base = await receiveBase(this.#plan, this.#manifest, this.#last, source.base());
    if (base === null) return;
    await this.#upTo(base);
    await this.#close();
    this.#manifest = {
      ...this.#manifest,
      bases: [...this.#manifest.bases, base],
      live: withLive(this.#manifest, base),
    };
    await this.#save();
    this.#previous = bytesOf(base.ledgerHash);
    this.#hash = this.#previous;
    this.#last = base.revision;
  }

  /**
   * What lies between the backup and its new base, as long as the node still has it: then no revision is missing. Without
   * it the backup has a gap there.
   */
  async #upTo({ revision, ledgerHash }: BaseEntry): Promise<void> {
    const { source, progress } = this.#plan;
    if (this.#last === 0) return;
    while (this.#last < revision) {
      const page = await this.#page(source).catch((error: unknown) => {
        if (isCompacted(error)) return null;
        throw error;
      });
      if (page === null) return;
      if (page.records.length === 0) throw new OpenClawError("UNAVAILABLE", `the node is behind revision ${revision}`);
      await this.#take(page.records.filter((record) => record.revision <= revision));
      progress(this.#last, revision);
    }
    if (toHex(this.#hash) !== ledgerHash)
      throw new OpenClawError(
        "BACKUP_INVALID",
        `the node's base: revision ${revision}: its ledger hash is another one`,
      );
  }

  /** Takes everything that a majority has. What was taken is kept, however it ends. */
  async catchUp(): Promise<void> {
    const { source, progress, signal } = this.#plan;
    this.#complete = false;
    try {
      while (!signal.aborted) {
        const { records, newest } = await this.#page(source);
        if (records.length === 0) {
          this.#complete = true;
          break;
        }
        await this.#take(records);
        progress(this.#last, newest);
      }
      // After the records that were taken: they may be of a version that was raised meanwhile.
      this.#note(await source.standing());
    } finally {
      await this.#save();
    }
  }

  #note({ applyVersion, members }: Standing): void {
    const newest = Math.max(this.#manifest.applyVersion, applyVersion);
    if (newest === this.#manifest.applyVersion && members.join() === this.#manifest.members.join()) return;
    this.#manifest = { ...this.#manifest, applyVersion: newest, members };
  }

  async #page(source: BackupSource): Promise<Page> {
    const next = this.#last + 1;
    try {
      return await source.page(this.#manifest, next);
    } catch (error) {
      if (!isCompacted(error)) throw error;
      const details = `the backup needs revision ${next} next; --full goes on with a base: ${error.message}`;
      throw new OpenClawError("COMPACTED", details, { cause: error });
    }
  }

  async recordContent(): Promise<void> {
    const live = await this.#plan.source.content(this.#manifest);
    // What was written since the last page is part of what the hash is of.
    if (live.revision > this.#last) await this.catchUp();
    const hash = this.#hashAt(live.revision);
    // In a segment that was closed meanwhile: the next run records one.
    if (hash === null) return;
    if (toHex(hash) !== live.ledgerHash)
      throw new OpenClawError(
        "BACKUP_INVALID",
        `the node's state: revision ${live.revision}: the ledger has another hash`,
      );
    this.#manifest = { ...this.#manifest, live: withLive(this.#manifest, live) };
    await this.#save();
  }

  #hashAt(revision: number): Uint8Array | null {
    if (revision === this.#last && revision > 0) return this.#hash;
    return this.#open.find((record) => record.revision === revision)?.hash ?? null;
  }

  async follow(): Promise<void> {
    const { signal, warn, progress } = this.#plan;
    while (!signal.aborted) {
      await delay(FOLLOW_MS, undefined, { signal }).catch(() => {});
      try {
        await this.catchUp();
        progress(this.#last, this.#last);
      } catch (error) {
        if (!(error instanceof OpenClawError) || !error.retryable) throw error;
        warn(error.message);
      }
    }
  }

  report(): Backed {
    const { cluster, epoch } = this.#manifest;
    const added = this.#last - this.#begun;
    return { cluster, epoch: epoch.nonce, ...holdings(this.#manifest), added, complete: this.#complete };
  }

  async #take(records: readonly StoredRecord[]): Promise<void> {
    const checked = [...chained(this.#manifest, records, this.#last + 1, this.#hash, "the node's ledger")];
    const leases = await this.#leasesOf(checked);
    this.#manifest = { ...this.#manifest, leases: [...this.#manifest.leases, ...leases].slice(-LEASES_MAX) };
    this.#open.push(...checked);
    this.#openBytes += bytesIn(checked);
    this.#hash = checked.at(-1)?.hash ?? this.#hash;
    this.#last = checked.at(-1)?.revision ?? this.#last;
    if (this.#openBytes >= SEGMENT_BYTES_MAX) await this.#close();
  }

  /** What comes next is another segment. */
  async #close(): Promise<void> {
    await this.#save();
    this.#previous = this.#hash;
    this.#open = [];
    this.#openBytes = 0;
  }

  /** Writes the open segment under a name of its own, then the manifest that names it, then removes what it replaces. */
  async #save(): Promise<void> {
    const { folder } = this.#plan;
    const { segments } = this.#manifest;
    const [first] = this.#open;
    const last = segments.at(-1);
    if (first === undefined || last?.last === this.#last) return this.#saveManifest();
    const { entry, bytes } = segmentOf(this.#manifest, this.#previous, this.#open);
    const replaced = last?.first === entry.first ? last : null;
    await writeDurably(folder, entry.file, bytes);
    const kept = replaced === null ? segments : segments.slice(0, -1);
    this.#manifest = { ...this.#manifest, segments: [...kept, entry] };
    await this.#saveManifest();
    if (replaced === null) return;
    await rm(join(folder, replaced.file), { force: true });
    await syncFolder(folder);
  }

  async #saveManifest(): Promise<void> {
    if (this.#manifest === this.#saved) return;
    await saveManifest(this.#plan.folder, this.#manifest);
    this.#saved = this.#manifest;
  }

  /** How long leases live the ledger does not tell; the node does, as long as they are alive. */
  async #leasesOf(records: readonly StoredRecord[]): Promise<Manifest["leases"]> {
    const known = new Set(this.#manifest.leases.map(({ lease }) => lease));
    const seen = new Set<LeaseId>();
    for (const { record } of records)
      for (const event of decodeRecord(record).events)
        if (event.kind === "put" && event.lease !== null && !known.has(event.lease)) seen.add(event.lease);
    const alive: Manifest["leases"] = [];
    for (const lease of seen) {
      const ttlMs = await this.#plan.source.timeToLive(lease);
      if (ttlMs !== null) alive.push({ lease, ttlMs });
    }
    return alive;
  }
}

/** The last segment, while it may still grow. */
function growingOf(manifest: Manifest): SegmentEntry | null {
  const { bases, segments } = manifest;
  const last = segments.at(-1);
  if (last === undefined || last.bytes >= SEGMENT_BYTES_MAX) return null;
  return bases.some(({ revision }) => revision >= last.last) ? null : last;
}

const isCompacted = (error: unknown): error is OpenClawError =>
  error instanceof OpenClawError && error.code === "COMPACTED";

type Live = Manifest["live"][number];

const withLive = ({ live }: Manifest, { revision, contentHash, ledgerHash }: Live): Manifest["live"] => [
  ...live.filter((one) => one.revision !== revision).slice(1 - LIVE_MAX),
  { revision, contentHash, ledgerHash },
];

const emptyManifest = ({ cluster, epoch, ancestors, applyVersion, members }: Standing): Manifest => ({
  version: BACKUP_FORMAT,
  cluster,
  partition: 0,
  epoch,
  ancestors,
  members,
  applyVersion,
  bases: [],
  segments: [],
  live: [],
  leases: [],
});

/** @throws OpenClawError BACKUP_INVALID */
async function requireNoSegments(folder: string): Promise<void> {
  const segment = (await readdir(folder)).find(isSegment);
  if (segment === undefined) return;
  const details = `${folder} has ${segment}, but no ${MANIFEST_FILE}: put that back, or begin a fresh folder`;
  throw new OpenClawError("BACKUP_INVALID", details);
}

function bytesOf(hex: string): Uint8Array {
  const bytes = fromHex(hex);
  invariant(bytes !== undefined, "a manifest's hash is hex");
  return bytes;
}

const bytesIn = (records: readonly StoredRecord[]): number =>
  records.reduce((sum, { record }) => sum + record.length, 0);
