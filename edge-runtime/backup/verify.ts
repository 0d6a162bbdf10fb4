/** Reads a backup from end to end. */
import { toHex } from "@openclaw/core/bytes.ts";
import { OpenClawError } from "@openclaw/core/errors.ts";
import type { StoredRecord } from "@openclaw/core/ports.ts";
import { checkBase } from "./base-file.ts";
import { type Manifest, requireManifest, type SegmentEntry } from "./manifest.ts";
import { type Holdings, hashBefore, holdings, type Run, runsOf } from "./runs.ts";
import { segmentBytes, segmentMissing, segmentRecords } from "./segment.ts";

/**
 * Every record of a run up to `until`, checked; of its base, the record of that revision, after all of the base was. Of a
 * backup that goes on meanwhile, what it adds, too.
 * @throws OpenClawError BACKUP_INVALID naming the first wrong file and revision
 */
export async function* runRecords(
  folder: string,
  manifest: Manifest,
  run: Pick<Run, "base" | "segments">,
  until: number,
): AsyncGenerator<StoredRecord> {
  if (run.base !== null) yield await checkBase(folder, manifest, run.base);
  const live = new Map(manifest.live.map(({ revision, ledgerHash }) => [Number(revision), ledgerHash]));
  let { segments } = run;
  let previous = hashBefore(manifest, segments[0]?.first ?? 1);
  for (let i = 0; ; ) {
    const entry = segments[i];
    if (entry === undefined || entry.first > until) return;
    const file = await segmentBytes(folder, entry);
    if (file === null) {
      segments = await replacedSince(folder, entry);
      i = 0;
      continue;
    }
    i++;
    for (const record of segmentRecords(file, manifest, entry, previous, until)) {
      const { revision: at, hash } = record;
      const wanted = at === entry.last ? entry.ledgerHash : live.get(at);
      if (wanted !== undefined && toHex(hash) !== wanted)
        throw new OpenClawError("BACKUP_INVALID", `${entry.file}: revision ${at}: the manifest has another hash of it`);
      yield record;
      previous = hash;
    }
  }
}

/** Every record of the backup, in the order of revisions; bases in the midst of a run are left out. */
export async function* backupRecords(folder: string, manifest: Manifest): AsyncGenerator<StoredRecord> {
  for (const run of runsOf(manifest)) yield* runRecords(folder, manifest, run, Number.MAX_SAFE_INTEGER);
}

/** The segments by now from this one on, when it was written anew under another name. @throws OpenClawError BACKUP_INVALID */
async function replacedSince(folder: string, { first, file }: SegmentEntry): Promise<Manifest["segments"]> {
  const entry = (one: SegmentEntry): boolean => one.first === first && one.file !== file;
  const run = runsOf(await requireManifest(folder)).find(({ segments }) => segments.some(entry));
  if (run === undefined) throw segmentMissing({ file });
  return run.segments.filter((one) => one.first >= first);
}

export interface Verified extends Holdings {
  readonly cluster: string;
  readonly epoch: string;
  readonly records: number;
}

/**
 * Checks each byte. @param progress told the bytes that were checked, and of how many
 * @throws OpenClawError BACKUP_INVALID naming the first wrong file, and in a segment the revision; UNKNOWN_VERSION
 */
export async function verifyBackup(
  folder: string,
  progress: (done: number, of: number) => void = () => {},
): Promise<Verified> {
  const manifest = await requireManifest(folder);
  const { cluster, epoch } = manifest;
  const held = holdings(manifest);
  let records = 0;
  let bytes = 0;
  const checked = (more: number): void => {
    bytes += more;
    progress(Math.min(bytes, held.bytes), held.bytes);
  };
  for (const base of manifest.bases) {
    await checkBase(folder, manifest, base);
    checked(base.bytes);
  }
  let { last } = held;
  for (const { segments } of runsOf(manifest)) {
    const run = { base: null, segments };
    for await (const { revision, record, hash } of runRecords(folder, manifest, run, Number.MAX_SAFE_INTEGER)) {
      records++;
      last = revision;
      checked(record.length + hash.length);
    }
  }
  return { cluster, epoch: epoch.nonce, ...held, last, records };
}
