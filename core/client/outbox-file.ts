/**
 * What waits on a device as one file, to be kept, or taken to another device or origin of the same site. Bytes: the line
 * `openclaw outbox 1\n`; the SHA-256 of the rest, 32 bytes; and the rest, MessagePack: `[cluster or null, rows]`
 * (outbox-row-codec.ts, docs/outbox.md).
 */
import { sha256 } from "@noble/hashes/sha2.js";
import { concatBytes, equalBytes, startsWith, utf8 } from "../bytes.ts";
import { decode, type Encodable, encode, TupleReader } from "../codec.ts";
import { OpenClawError } from "../errors.ts";
import { readRow, rowTuple } from "./outbox-row-codec.ts";
import type { FailedRow, OutboxRow } from "./store.ts";

const MAGIC = utf8("openclaw outbox 1\n");
const HASH_BYTES = 32;

export interface OutboxFile {
  /** The site's name; null where the device had not met it. */
  readonly cluster: string | null;
  readonly waiting: readonly OutboxRow[];
  readonly refused: readonly FailedRow[];
}

export function encodeOutboxFile({ cluster, waiting, refused }: OutboxFile): Uint8Array {
  const content = encode([cluster, [...waiting, ...refused].map(rowTuple)]);
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

function readContent(value: Encodable): OutboxFile {
  const reader = new TupleReader(value, "outbox");
  const cluster = reader.that((name): name is string | null => name === null || typeof name === "string", "a cluster");
  const waiting: OutboxRow[] = [];
  const refused: FailedRow[] = [];
  for (const tuple of reader.list()) {
    const row = readRow(tuple);
    if ("code" in row) refused.push(row);
    else waiting.push(row);
  }
  reader.end();
  return { cluster, waiting, refused };
}
