/**
 * What a backup holds: a text file of JSON that carries its own checksum, and names every other file with its length and
 * SHA-256. A file that it does not name is no part of the backup; so replacing it, by a rename, is what commits a run.
 */
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { toHex, utf8 } from "@openclaw/core/bytes.ts";
import { OpenClawError } from "@openclaw/core/errors.ts";
import {
  type ClusterId,
  isClusterId,
  isLeaseId,
  isNonce,
  type LeaseId,
  PARTITION,
  revision,
} from "@openclaw/core/ids.ts";
import { ANCESTORS_MAX } from "@openclaw/core/limits.ts";
import { z } from "zod";
import { sha256 } from "../storage/sha256.ts";
import { isBase, isSegment, MANIFEST_FILE, missing, writeDurably } from "./files.ts";

/** Held by whoever writes. */
export const LOCK_FILE = "backup.lock";
export const BACKUP_FORMAT = 3;
const KIND = "openclaw backup";

const count = z.int().min(0);
const at = count.transform(revision);
const hash = z.string().regex(/^[0-9a-f]{64}$/);

const Segment = z.strictObject({
  file: z.string().refine(isSegment),
  bytes: count,
  sha256: hash,
  first: at,
  last: at,
  /** The ledger's hash at `last`. */
  ledgerHash: hash,
  /** Of the wall times that its records carry; they need not ascend (T1). */
  earliest: z.int(),
  latest: z.int(),
});

const Base = z.strictObject({
  file: z.string().refine(isBase),
  bytes: count,
  sha256: hash,
  revision: at,
  /** The ledger's hash, and that of the content, at `revision`. */
  ledgerHash: hash,
  contentHash: hash,
});

const EpochEntry = z.strictObject({
  counter: z.int().min(1),
  nonce: z.custom<string>(isNonce),
  parent: z.custom<string>(isNonce).nullable(),
  departure: at,
});

const Content = z.strictObject({
  version: z.literal(BACKUP_FORMAT),
  cluster: z.custom<ClusterId>(isClusterId),
  partition: z.literal(PARTITION),
  epoch: EpochEntry,
  /** The epochs before it, oldest first, and the ledger's hash where the next one departed (L3). */
  ancestors: z.array(z.strictObject({ epoch: EpochEntry, ledgerHash: hash })).max(ANCESTORS_MAX),
  /** HTTP addresses of the members at the last run: a restore asks whether one of them still serves. */
  members: z.array(z.string().max(256)),
  /** The newest that was seen (R9). */
  applyVersion: z.int().min(1),
  bases: z.array(Base),
  /** Each follows the one before it, or a base. */
  segments: z.array(Segment),
  /** Hashes that the serving node gave of its content, and the ledger's at the same revision. */
  live: z.array(z.strictObject({ revision: at, contentHash: hash, ledgerHash: hash })),
  /** Times to live of the leases that were alive when their first put was backed up: the ledger does not tell them. */
  leases: z.array(z.strictObject({ lease: z.custom<LeaseId>(isLeaseId), ttlMs: z.int().min(1) })),
});

export type Manifest = z.infer<typeof Content>;
export type SegmentEntry = z.infer<typeof Segment>;
export type BaseEntry = z.infer<typeof Base>;

/** One text for one content: what differs from it in a single byte was not written by us. */
export function manifestText(content: Manifest): string {
  const inner = { kind: KIND, ...content };
  return `${JSON.stringify({ sha256: sumOf(inner), ...inner }, null, 1)}\n`;
}

const sumOf = (inner: unknown): string => toHex(sha256(utf8(JSON.stringify(inner))));

/** @throws OpenClawError BACKUP_INVALID, UNKNOWN_VERSION */
export function parseManifest(text: string): Manifest {
  const wrong = (why: string): OpenClawError => new OpenClawError("BACKUP_INVALID", `${MANIFEST_FILE}: ${why}`);
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch {
    throw wrong("no JSON");
  }
  const head = z.object({ kind: z.literal(KIND), version: z.int() }).safeParse(json);
  if (!head.success) throw wrong("not of a backup");
  const { sha256: sum, ...inner } = z.looseObject({ sha256: z.string() }).catch({ sha256: "" }).parse(json);
  // A version of another layout is still told by name, if nothing else changed it.
  if (sum !== sumOf(inner)) throw wrong("its checksum is not that of what it says");
  if (head.data.version !== BACKUP_FORMAT) {
    const found = `the backup has version ${head.data.version}, this program reads version ${BACKUP_FORMAT}`;
    throw new OpenClawError("UNKNOWN_VERSION", found);
  }
  const { kind: _, ...rest } = inner;
  const content = Content.safeParse(rest);
  if (!content.success) throw wrong(z.prettifyError(content.error));
  if (manifestText(content.data) !== text) throw wrong("not the text that was written");
  requireConsecutive(content.data, wrong);
  return content.data;
}

/** Each segment follows the one before it or a base, and ends at the next base at the latest; both ascend. */
function requireConsecutive({ bases, segments }: Manifest, wrong: (why: string) => OpenClawError): void {
  let before = 0;
  for (const { file, revision: of } of bases) {
    if (of <= before) throw wrong(`${file} does not follow revision ${before}`);
    before = of;
  }
  let end = 0;
  for (const { file, first, last } of segments) {
    const follows = first === end + 1 || (first > end && bases.some(({ revision: of }) => of === first - 1));
    if (!follows || last < first) throw wrong(`${file} does not follow revision ${end}`);
    if (bases.some(({ revision: of }) => first <= of && of < last)) throw wrong(`${file} goes past a base`);
    end = last;
  }
}

/** Null when there is no manifest in the folder. @throws OpenClawError BACKUP_INVALID, UNKNOWN_VERSION */
export async function loadManifest(folder: string): Promise<Manifest | null> {
  let bytes: Buffer;
  try {
    bytes = await readFile(join(folder, MANIFEST_FILE));
  } catch (error) {
    if (missing(error)) return null;
    throw error;
  }
  const text = bytes.toString("utf8");
  if (!Buffer.from(text).equals(bytes)) throw new OpenClawError("BACKUP_INVALID", `${MANIFEST_FILE}: not UTF-8`);
  return parseManifest(text);
}

/** @throws OpenClawError BACKUP_INVALID when there is none, UNKNOWN_VERSION */
export async function requireManifest(folder: string): Promise<Manifest> {
  const manifest = await loadManifest(folder);
  if (manifest === null) throw new OpenClawError("BACKUP_INVALID", `${folder} has no ${MANIFEST_FILE}`);
  return manifest;
}

/** In the order of the fields that the checksum is over, whoever made it. */
export const saveManifest = (folder: string, manifest: Manifest): Promise<void> =>
  writeDurably(folder, MANIFEST_FILE, utf8(manifestText(Content.parse(manifest))));
