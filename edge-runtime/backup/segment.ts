/**
 * A segment of a backup: consecutive ledger records in one file. A header frame says whose they are and which hash the
 * first one follows; then a frame for each record. Whoever reads it follows the ledger's own chain (L2) from record to
 * record, so that a wrong byte is found at its revision and not only in its file.
 */
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { concatBytes, equalBytes, fromHex, toHex } from "@openclaw/core/bytes.ts";
import { encode } from "@openclaw/core/codec.ts";
import { invariant, OpenClawError } from "@openclaw/core/errors.ts";
import { PARTITION, revision } from "@openclaw/core/ids.ts";
import { chainHash, leafHash } from "@openclaw/core/ledger/chain.ts";
import { beginningOf, type Lineage, seamsOf } from "@openclaw/core/ledger/lineage.ts";
import { decodeRecord } from "@openclaw/core/ledger/record-codec.ts";
import type { StoredRecord } from "@openclaw/core/ports.ts";
import { sha256 } from "../storage/sha256.ts";
import { digits, missing } from "./files.ts";
import type { Manifest, SegmentEntry } from "./manifest.ts";
import { frameOf, framesIn, readRecordFrame, recordFrames } from "./record-frames.ts";

const MAGIC = "openclaw ledger segment";

export type Ledger = Pick<Manifest, "cluster" | "epoch" | "ancestors">;

export const lineageOf = ({ epoch, ancestors }: Pick<Ledger, "epoch" | "ancestors">): Lineage => ({
  epoch,
  ancestors: ancestors.map(({ epoch: of, ledgerHash }) => ({ epoch: of, hash: hashBytes(ledgerHash) })),
});

function hashBytes(hex: string): Uint8Array {
  const bytes = fromHex(hex);
  invariant(bytes !== undefined, "a manifest's hash is hex");
  return bytes;
}

/** The hash that the ledger's first record follows. */
export const beginning = (ledger: Ledger): Uint8Array =>
  beginningOf(sha256, ledger.cluster, PARTITION, lineageOf(ledger));

const header = ({ cluster, epoch }: Ledger, first: number, previous: Uint8Array): Uint8Array =>
  frameOf(encode([MAGIC, cluster, PARTITION, epoch.nonce, first, previous]));

/** @param previous the ledger's hash before the first of the records, which are consecutive and at least one */
export function segmentOf(
  ledger: Ledger,
  previous: Uint8Array,
  records: readonly StoredRecord[],
): { readonly entry: SegmentEntry; readonly bytes: Uint8Array } {
  const [first, last] = [records[0], records.at(-1)];
  if (first === undefined || last === undefined) throw new RangeError("a segment has a record");
  const bytes = concatBytes([header(ledger, first.revision, previous), recordFrames(records)]);
  let [earliest, latest] = [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY];
  for (const { record } of records) {
    const { time } = decodeRecord(record);
    earliest = Math.min(earliest, time);
    latest = Math.max(latest, time);
  }
  const entry: SegmentEntry = {
    file: `ledger-${digits(first.revision)}-${digits(last.revision)}`,
    bytes: bytes.length,
    sha256: toHex(sha256(bytes)),
    first: first.revision,
    last: last.revision,
    ledgerHash: toHex(last.hash),
    earliest,
    latest,
  };
  return { entry, bytes };
}

/**
 * Checks that records follow `previous`, each the one before.
 * @throws OpenClawError BACKUP_INVALID naming the first that does not
 */
export function* chained(
  ledger: Ledger,
  records: Iterable<StoredRecord>,
  next: number,
  previous: Uint8Array,
  where: string,
): Generator<StoredRecord> {
  const seams = seamsOf(sha256, ledger.cluster, PARTITION, lineageOf(ledger));
  let hash = previous;
  for (const record of records) {
    const at = record.revision;
    if (at !== next) throw wrongAt(where, next, `revision ${at} stands there`);
    hash = chainHash(sha256, seams(revision(at - 1), hash), PARTITION, at, leafHash(sha256, record.record));
    if (!equalBytes(hash, record.hash)) throw wrongAt(where, at, "its hash is another one");
    yield record;
    next++;
  }
}

const wrongAt = (where: string, at: number, why: string): OpenClawError =>
  new OpenClawError("BACKUP_INVALID", `${where}: revision ${at}: ${why}`);

/**
 * The records of one segment up to `until`, each checked; past the last of them, what of the file remains is checked too,
 * if all of it was asked for. @throws OpenClawError BACKUP_INVALID naming the file and the first wrong revision
 */
export function* segmentRecords(
  bytes: Uint8Array,
  ledger: Ledger,
  entry: SegmentEntry,
  previous: Uint8Array,
  until: number,
): Generator<StoredRecord> {
  const { file, first, last } = entry;
  const frames = chained(ledger, decoded(bytes, header(ledger, first, previous), entry), first, previous, file);
  let end = first - 1;
  for (const record of frames) {
    if (record.revision > last) throw wrongAt(file, last + 1, "it is not in the manifest");
    yield record;
    end = record.revision;
    // What stands behind it may be damaged.
    if (end === until && until < last) return;
  }
  if (end < last) throw wrongAt(file, end + 1, `the file is cut off; it should hold up to ${last}`);
  const sum = toHex(sha256(bytes));
  if (bytes.length !== entry.bytes || sum !== entry.sha256)
    throw new OpenClawError("BACKUP_INVALID", `${file}: revisions ${first} to ${last} are right, its SHA-256 is not`);
}

function* decoded(bytes: Uint8Array, wanted: Uint8Array, { file, first }: SegmentEntry): Generator<StoredRecord> {
  if (bytes.length < wanted.length || !equalBytes(bytes.subarray(0, wanted.length), wanted))
    throw wrongAt(file, first, "before it, the file's header is not that of this segment");
  let next: number = first;
  try {
    for (const content of framesIn(bytes.subarray(wanted.length))) {
      yield readRecordFrame(content);
      next++;
    }
  } catch (error) {
    if (error instanceof OpenClawError && error.code === "MALFORMED_FRAME") throw wrongAt(file, next, error.details);
    throw error;
  }
}

/** Null when it is not there. */
export async function segmentBytes(folder: string, { file }: SegmentEntry): Promise<Uint8Array | null> {
  try {
    return await readFile(join(folder, file));
  } catch (error) {
    if (missing(error)) return null;
    throw error;
  }
}

export const segmentMissing = ({ file }: Pick<SegmentEntry, "file">): OpenClawError =>
  new OpenClawError("BACKUP_INVALID", `${file} is missing`);
