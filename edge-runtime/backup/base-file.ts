/**
 * A base in a backup's folder: frames of a head, of rows and of an end (core/history/base.ts), as the node sent them. Its
 * SHA-256 is in the manifest; that of its content stands for the node's own word on what it holds.
 */
import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { join } from "node:path";
import { compareBytes, EMPTY_BYTES, equalBytes, toHex } from "@openclaw/core/bytes.ts";
import { OpenClawError } from "@openclaw/core/errors.ts";
import type { BaseHead, BasePart, BaseRow } from "@openclaw/core/history/base.ts";
import { decodeBasePart } from "@openclaw/core/history/base-codec.ts";
import { decodeRecord } from "@openclaw/core/ledger/record-codec.ts";
import type { StoredRecord } from "@openclaw/core/ports.ts";
import { isContent, isInBase, isKeyRow } from "@openclaw/core/state-machine/keyspace.ts";
import type { RowsHash } from "@openclaw/core/state-machine/query.ts";
import { RowsChain } from "@openclaw/core/state-machine/state-hash.ts";
import { sha256 } from "../storage/sha256.ts";
import { digits, missing, NewFile } from "./files.ts";
import type { BaseEntry, Manifest } from "./manifest.ts";
import { frameOf, framesOf, LENGTH_BYTES } from "./record-frames.ts";

const UNFINISHED = `base-${digits(0)}.rows`;

export interface Receiving {
  readonly folder: string;
  /** Bytes of a base that are here. */
  readonly receiving: (bytes: number) => void;
  /** Aborted, no base is made. */
  readonly signal: AbortSignal;
}

/** Follows the parts of one base, and holds no more of it than one. */
class BaseCheck {
  readonly #chain = new RowsChain(sha256);
  #head: BaseHead | null = null;
  #content: RowsHash | null = null;
  #last: Uint8Array = EMPTY_BYTES;

  /** @throws OpenClawError MALFORMED_FRAME */
  take(bytes: Uint8Array): BasePart {
    const part = decodeBasePart(bytes);
    const inPlace = part.kind === "head" ? this.#head === null : this.#head !== null && this.#content === null;
    if (!inPlace) throw malformed("its parts are out of order");
    if (part.kind === "head") this.#head = this.#checked(part);
    if (part.kind === "rows") for (const row of part.rows) this.#row(row);
    if (part.kind === "end") this.#end(part.content);
    return part;
  }

  /** @throws OpenClawError MALFORMED_FRAME where its end is missing */
  whole(): { readonly head: BaseHead; readonly content: RowsHash } {
    if (this.#head === null || this.#content === null) throw malformed("it is cut off");
    return { head: this.#head, content: this.#content };
  }

  #checked(head: BaseHead): BaseHead {
    if (decodeRecord(head.last.record).revision !== head.last.revision) throw malformed("its record is another one's");
    return head;
  }

  #row(row: BaseRow): void {
    const { key, stamp } = row;
    if (!isInBase(key) || compareBytes(key, this.#last) <= 0 || (stamp !== null) !== isKeyRow(key))
      throw malformed(`the row ${toHex(key)} does not belong there`);
    this.#last = key;
    if (isContent(key)) this.#chain.add(row);
  }

  #end(content: RowsHash): void {
    const { hash, rows } = this.#chain.end();
    if (rows !== content.rows || !equalBytes(hash, content.hash)) throw malformed("its content has another hash");
    this.#content = content;
  }
}

const malformed = (why: string): OpenClawError => new OpenClawError("MALFORMED_FRAME", why);

/**
 * Writes the base that a node sends, under the name of its revision. Null when one of that revision is there, or `signal`
 * aborted.
 * @throws OpenClawError BACKUP_INVALID when it is not of this ledger, is older than what the backup has, or wrong in itself
 */
export async function receiveBase(
  { folder, receiving, signal }: Receiving,
  manifest: Manifest,
  least: number,
  parts: AsyncIterable<Uint8Array>,
): Promise<BaseEntry | null> {
  const check = new BaseCheck();
  const sum = createHash("sha256");
  let bytes = 0;
  const file = await NewFile.create(folder, UNFINISHED);
  try {
    for await (const content of parts) {
      if (signal.aborted) return null;
      const part = check.take(content);
      if (part.kind === "head" && isThere(manifest, part, least)) return null;
      const frame = frameOf(content);
      sum.update(frame);
      await file.write(frame);
      bytes += frame.length;
      receiving(bytes);
    }
    const { head, content } = check.whole();
    const { revision, hash } = head.last;
    const entry: BaseEntry = {
      file: `base-${digits(revision)}.rows`,
      bytes,
      sha256: sum.digest("hex"),
      revision,
      ledgerHash: toHex(hash),
      contentHash: toHex(content.hash),
    };
    await file.keep(entry.file);
    return entry;
  } catch (error) {
    if (error instanceof OpenClawError && error.code === "MALFORMED_FRAME") throw wrong("the node's base", error);
    throw error;
  } finally {
    await file.close();
  }
}

function isThere({ cluster, epoch, bases }: Manifest, head: BaseHead, least: number): boolean {
  const { revision } = head.last;
  if (head.cluster !== cluster) throw new OpenClawError("WRONG_CLUSTER", `${head.cluster} answered`);
  if (head.epoch !== epoch.nonce) throw new OpenClawError("WRONG_EPOCH", `epoch ${head.epoch} answered`);
  if (revision < least)
    throw new OpenClawError(
      "BACKUP_INVALID",
      `the node's base: it is of revision ${revision}, the backup has ${least}`,
    );
  return bases.some((base) => base.revision === revision);
}

/**
 * The rows of a base, part by part; none of them is to be believed before the last one was asked for.
 * @returns the record of its revision
 * @throws OpenClawError BACKUP_INVALID naming the file
 */
export async function* baseRows(
  folder: string,
  manifest: Manifest,
  entry: BaseEntry,
): AsyncGenerator<readonly BaseRow[], BaseHead> {
  const { file } = entry;
  const check = new BaseCheck();
  const sum = createHash("sha256");
  let bytes = 0;
  try {
    for await (const content of framesOf(hashed(join(folder, file), (piece) => sum.update(piece)))) {
      bytes += LENGTH_BYTES + content.length;
      const part = check.take(content);
      if (part.kind === "rows") yield part.rows;
    }
    const { head, content } = check.whole();
    requireSame(file, "cluster", head.cluster, manifest.cluster);
    requireSame(file, "epoch", head.epoch, manifest.epoch.nonce);
    requireSame(file, "revision", head.last.revision, entry.revision);
    requireSame(file, "ledger hash", toHex(head.last.hash), entry.ledgerHash);
    requireSame(file, "content hash", toHex(content.hash), entry.contentHash);
    requireSame(file, "length", bytes, entry.bytes);
    requireSame(file, "SHA-256", sum.digest("hex"), entry.sha256);
    return head;
  } catch (error) {
    if (missing(error)) throw new OpenClawError("BACKUP_INVALID", `${file} is missing`);
    if (error instanceof OpenClawError && error.code === "MALFORMED_FRAME")
      throw wrong(`${file}: behind byte ${bytes}`, error);
    throw error;
  }
}

/** All of a base checked. @returns the record of its revision @throws as `baseRows` */
export async function checkBase(folder: string, manifest: Manifest, entry: BaseEntry): Promise<StoredRecord> {
  const rows = baseRows(folder, manifest, entry);
  for (;;) {
    const step = await rows.next();
    if (step.done === true) return step.value.last;
  }
}

async function* hashed(path: string, take: (piece: Uint8Array) => void): AsyncGenerator<Uint8Array> {
  for await (const piece of createReadStream(path, { highWaterMark: 262_144 })) {
    take(piece);
    yield piece;
  }
}

function requireSame(file: string, what: string, found: string | number, wanted: string | number): void {
  if (found !== wanted) throw new OpenClawError("BACKUP_INVALID", `${file}: its ${what} is not that of the manifest`);
}

const wrong = (where: string, error: OpenClawError): OpenClawError =>
  new OpenClawError("BACKUP_INVALID", `${where}: ${error.details}`, { cause: error });
