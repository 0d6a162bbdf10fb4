/**
 * What waits on a device as one file, to be kept, or taken to another device or origin of the same site. Bytes: the line
 * `openclaw outbox 1\n`; the SHA-256 of the rest, 32 bytes; and the rest, MessagePack: `[cluster or null, rows]`, a row
 * `[link, number, command, code or null, details]`, and behind those `[cluster, epoch]` of the site that it waits for, or was
 * refused by, where the device had met one. Commands are in the form in which they travel (docs/outbox.md).
 */
import { sha256 } from "@noble/hashes/sha2.js";
import { concatBytes, equalBytes, startsWith, utf8 } from "../bytes.ts";
import { decode, type Encodable, encode, TupleReader } from "../codec.ts";
import { isErrorCode, OpenClawError } from "../errors.ts";
import { isClusterId, isLinkId, isNonce, seq } from "../ids.ts";
import { readUserCommand, userCommandTuple } from "../state-machine/user-command-codec.ts";
import type { FailedRow, OutboxRow, SiteLife } from "./store.ts";

const MAGIC = utf8("openclaw outbox 1\n");
const HASH_BYTES = 32;
/** Of a row that names no site. */
const ROW_FIELDS = 5;

export interface OutboxFile {
  /** The site's name; null where the device had not met it. */
  readonly cluster: string | null;
  readonly waiting: readonly OutboxRow[];
  readonly refused: readonly FailedRow[];
}

export function encodeOutboxFile({ cluster, waiting, refused }: OutboxFile): Uint8Array {
  const rows = [
    ...waiting.map((row) => rowTuple(row, null, "")),
    ...refused.map((row) => rowTuple(row, row.code, row.details)),
  ];
  const content = encode([cluster, rows]);
  return concatBytes([MAGIC, sha256(content), content]);
}

/** @throws OpenClawError BAD_REQUEST */
export function decodeOutboxFile(bytes: Uint8Array): OutboxFile {
  if (!startsWith(bytes, MAGIC)) throw new OpenClawError("BAD_REQUEST", "not an outbox that was exported");
  const hash = bytes.subarray(MAGIC.length, MAGIC.length + HASH_BYTES);
  const content = bytes.subarray(MAGIC.length + HASH_BYTES);
  if (!equalBytes(hash, sha256(content)))
    throw new OpenClawError("BAD_REQUEST", "the outbox was cut or altered: its checksum is wrong");
  try {
    return readContent(decode(content));
  } catch (error) {
    if (!(error instanceof OpenClawError)) throw error;
    throw new OpenClawError("BAD_REQUEST", error.details, { cause: error });
  }
}

function rowTuple(row: OutboxRow, code: string | null, details: string): Encodable {
  const { link, seq: at, command, site } = row;
  const fields: Encodable[] = [link, at, userCommandTuple(command), code, details];
  if (site !== undefined) fields.push([site.cluster, site.epoch]);
  return fields;
}

function readContent(value: Encodable): OutboxFile {
  const reader = new TupleReader(value, "outbox");
  const cluster = reader.that((name): name is string | null => name === null || typeof name === "string", "a cluster");
  const waiting: OutboxRow[] = [];
  const refused: FailedRow[] = [];
  for (const tuple of reader.list()) {
    const one = new TupleReader(tuple, "row");
    const row = { link: one.that(isLinkId, "a link"), seq: seq(one.count()), command: readUserCommand(one.any()) };
    const code = one.that((text) => text === null || isErrorCode(text), "a code or null");
    const details = one.text();
    const site = Array.isArray(tuple) && tuple.length > ROW_FIELDS ? { site: readSite(one.any()) } : {};
    one.end();
    if (code === null) waiting.push({ ...row, ...site });
    else refused.push({ ...row, ...site, code, details });
  }
  reader.end();
  return { cluster, waiting, refused };
}

function readSite(value: Encodable): SiteLife {
  const reader = new TupleReader(value, "site of a row");
  const site = { cluster: reader.that(isClusterId, "a cluster"), epoch: reader.that(isNonce, "a nonce") };
  reader.end();
  return site;
}
