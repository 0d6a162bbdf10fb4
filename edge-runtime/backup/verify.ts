/** Reads a backup from end to end. */
import { toHex } from "@openclaw/core/bytes.ts";
import { OpenClawError } from "@openclaw/core/errors.ts";
import type { StoredRecord } from "@openclaw/core/ports.ts";
import { checkBase } from "./base-file.ts";
import { type Manifest, requireManifest } from "./manifest.ts";
import { type Holdings, hashBefore, holdings, type Run, runsOf } from "./runs.ts";
import { segmentRecords } from "./segment.ts";

/** Every record of a run up to `until`, checked; of its base, the record of that revision, after all of the base was. */
export async function* runRecords(
  folder: string,
  manifest: Manifest,
  { base, segments }: Pick<Run, "base" | "segments">,
  until: number,
): AsyncGenerator<StoredRecord> {
  if (base !== null) yield await checkBase(folder, manifest, base);
  const live = new Map(manifest.live.map(({ revision, ledgerHash }) => [Number(revision), ledgerHash]));
  for (const entry of segments) {
    if (entry.first > until) return;
    for await (const record of segmentRecords(folder, manifest, entry, hashBefore(manifest, entry.first), until)) {
      const { revision: at, hash } = record;
      const wanted = at === entry.last ? entry.ledgerHash : live.get(at);
      if (wanted !== undefined && toHex(hash) !== wanted)
        throw new OpenClawError("BACKUP_INVALID", `${entry.file}: revision ${at}: the manifest has another hash of it`);
      yield record;
    }
  }
}

/** Every record of the backup, in the order of revisions; bases in the midst of a run are left out. */
export async function* backupRecords(folder: string, manifest: Manifest): AsyncGenerator<StoredRecord> {
  for (const run of runsOf(manifest)) yield* runRecords(folder, manifest, run, run.last);
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
  for (const { segments, last } of runsOf(manifest)) {
    for await (const { record, hash } of runRecords(folder, manifest, { base: null, segments }, last)) {
      records++;
      checked(record.length + hash.length);
    }
  }
  return { cluster, epoch: epoch.nonce, ...held, records };
}
