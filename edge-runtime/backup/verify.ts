/** Reads a backup from end to end. */
import { fromHex, toHex } from "@openclaw/core/bytes.ts";
import { invariant, OpenClawError } from "@openclaw/core/errors.ts";
import type { StoredRecord } from "@openclaw/core/ports.ts";
import { type Manifest, rangeOf, requireManifest } from "./manifest.ts";
import { beginning, segmentRecords } from "./segment.ts";

/** Every record up to `until`, checked. @throws OpenClawError BACKUP_INVALID naming the first wrong file and revision */
export async function* backupRecords(folder: string, manifest: Manifest, until: number): AsyncGenerator<StoredRecord> {
  const live = new Map(manifest.live.map(({ revision, ledgerHash }) => [Number(revision), ledgerHash]));
  let previous = beginning(manifest);
  for (const entry of manifest.segments) {
    if (entry.first > until) return;
    for await (const record of segmentRecords(folder, manifest, entry, previous, until)) {
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
  for await (const { record, hash } of backupRecords(folder, manifest, Number.MAX_SAFE_INTEGER)) {
    records++;
    bytes += record.length + hash.length;
    progress(Math.min(bytes, of), of);
  }
  const { cluster, epoch } = manifest;
  return {
    cluster,
    epoch: epoch.nonce,
    first: range?.first ?? null,
    last: range?.last ?? null,
    records,
    bytes: of,
  };
}
