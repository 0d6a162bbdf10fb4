/** What a snapshot is, as bytes: on its way to a follower, and beside its file at both ends. */
import { decode, type Encodable, encode, TupleReader } from "../codec.ts";
import { OpenClawError } from "../errors.ts";
import { isNodeId, isNonce, revision, term } from "../ids.ts";
import { SNAPSHOT_PIECE_BYTES } from "../limits.ts";
import type { SnapshotContent, SnapshotHeader } from "../ports.ts";
import { metaTuple, readMeta } from "../raft/entry-codec.ts";

const HASH_BYTES = 32;

export const encodeSnapshotContent = (content: SnapshotContent): Uint8Array => encode(contentTuple(content));

/** @throws OpenClawError MALFORMED_FRAME */
export const decodeSnapshotContent = (bytes: Uint8Array): SnapshotContent => readContent(decode(bytes));

export const encodeSnapshotHeader = (header: SnapshotHeader): Uint8Array =>
  encode([header.from, header.term, contentTuple(header)]);

/** @throws OpenClawError MALFORMED_FRAME */
export function decodeSnapshotHeader(bytes: Uint8Array): SnapshotHeader {
  const fields = new TupleReader(decode(bytes), "snapshot header");
  const from = fields.that(isNodeId, "a node's name");
  const header = { from, term: term(fields.count()), ...readContent(fields.any()) };
  fields.end();
  return header;
}

const contentTuple = ({ meta, epoch, bytes, pieces, hash }: SnapshotContent): Encodable => [
  metaTuple(meta),
  epoch.counter,
  epoch.nonce,
  epoch.parent,
  epoch.departure,
  bytes,
  pieces,
  hash,
];

function readContent(value: Encodable): SnapshotContent {
  const fields = new TupleReader(value, "snapshot");
  const content: SnapshotContent = {
    meta: readMeta(fields.any()),
    epoch: {
      counter: fields.count(),
      nonce: fields.that(isNonce, "an epoch's nonce"),
      parent: fields.orNull((reader) => reader.that(isNonce, "an epoch's nonce")),
      departure: revision(fields.count()),
    },
    bytes: fields.count(),
    pieces: fields.bytes(),
    hash: fields.bytes(),
  };
  fields.end();
  if (content.hash.length !== HASH_BYTES) throw new OpenClawError("MALFORMED_FRAME", "a snapshot's hash is 32 bytes");
  const pieces = Math.ceil(content.bytes / SNAPSHOT_PIECE_BYTES);
  if (content.pieces.length !== pieces * HASH_BYTES)
    throw new OpenClawError("MALFORMED_FRAME", `${content.bytes} bytes of a snapshot have ${pieces} pieces`);
  return content;
}
