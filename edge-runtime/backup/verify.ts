/** Reads a backup from end to end. */
import { fromHex, toHex } from "@openclaw/core/bytes.ts";
import { invariant, OpenClawError } from "@openclaw/core/errors.ts";
import type { StoredRecord } from "@openclaw/core/ports.ts";
import { type Manifest, rangeOf, requireManifest, type SegmentEntry } from "./manifest.ts";
import { beginning, segmentBytes, segmentMissing, segmentRecords } from "./segment.ts";

/**
 * Every record up to `until`, checked; of a backup that goes on meanwhile, what it adds, too.
 * @throws OpenClawError BACKUP_INVALID naming the first wrong file and revision
 */
export async function* backupRecords(folder: string, manifest: Manifest, until: number): AsyncGenerator<StoredRecord> {
  const live = new Map(manifest.live.map(({ revision, ledgerHash }) => [Number(revision), ledgerHash]));
  let previous = beginning(manifest);
  let { segments } = manifest;
  for (let i = 0; ; ) {
    const entry = segments[i];
    if (entry === undefined || entry.first > until) return;
    const file = await segmentBytes(folder, entry);
    if (file === null) {
      segments = await replacedSince(folder, entry, i);
      continue;
    }
    i++;
    for (const record of segmentRecords(file, manifest, entry, previous, until)) {
      const { revision: at, hash } = record;
      const wanted = at === entry.last ? entry.ledgerHash : live.get(at);
      if (wanted !== undefined && toHex(hash) !== wanted)
        throw new OpenClawError("BACKUP_INVALID", `${entry.file}: revision ${at}: the manifest has another hash of it`);
      yield record;
    }
    const end = fromHex(entry.ledgerHash);
    invariant(end !== undefined, "a manifest's hash is hex");
    previous = end;
  }
}

/** The segments by now, when this one was written anew under another name. @throws OpenClawError BACKUP_INVALID */
async function replacedSince(folder: string, entry: SegmentEntry, at: number): Promise<Manifest["segments"]> {
  const { segments } = await requireManifest(folder);
  const now = segments[at];
  if (now === undefined || now.first !== entry.first || now.file === entry.file) throw segmentMissing(entry);
  return segments;
}

export interface Verified {
  readonly cluster: string;
  readonly epoch: string;
  readonly first: number | null;
  readonly last: number | null;
  readonly records: number;
  readonly bytes: number;
}

/**
 * Checks each byte. @param progress told the bytes that were checked, and of how many
 * @throws OpenClawError BACKUP_INVALID naming the first wrong file and revision, UNKNOWN_VERSION
 */
export async function verifyBackup(
  folder: string,
  progress: (done: number, of: number) => void = () => {},
): Promise<Verified> {
  const manifest = await requireManifest(folder);
  const range = rangeOf(manifest);
  const of = manifest.segments.reduce((sum, { bytes }) => sum + bytes, 0);
  let records = 0;
  let bytes = 0;
  let last = range?.last ?? null;
  for await (const { revision, record, hash } of backupRecords(folder, manifest, Number.MAX_SAFE_INTEGER)) {
    records++;
    last = revision;
    bytes += record.length + hash.length;
    progress(Math.min(bytes, of), of);
  }
  const { cluster, epoch } = manifest;
  return {
    cluster,
    epoch: epoch.nonce,
    first: range?.first ?? null,
    last,
    records,
    bytes: of,
  };
}
