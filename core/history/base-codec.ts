/** The parts of a base as bytes: as it is sent, and as it stands in a backup. */
import { decode, type Encodable, encode, TupleReader } from "../codec.ts";
import { OpenClawError, unreachable } from "../errors.ts";
import { isClusterId, isNonce, revision } from "../ids.ts";
import { readHash } from "../ledger/record-codec.ts";
import type { BasePart, BaseRow, Stamp } from "./base.ts";

export function encodeBasePart(part: BasePart): Uint8Array<ArrayBuffer> {
  switch (part.kind) {
    case "head": {
      const { revision: at, record, hash } = part.last;
      return encode(["openclaw base", part.cluster, part.epoch, at, record, hash]);
    }
    case "rows":
      return encode(["rows", part.rows.map(rowTuple)]);
    case "end":
      return encode(["end", part.content.rows, part.content.hash]);
    default:
      return unreachable(part);
  }
}

/** @throws OpenClawError MALFORMED_FRAME */
export function decodeBasePart(bytes: Uint8Array): BasePart {
  const reader = new TupleReader(decode(bytes), "a base's part");
  const part = readPart(reader);
  reader.end();
  return part;
}

function readPart(reader: TupleReader): BasePart {
  const kind = reader.text();
  switch (kind) {
    case "openclaw base":
      return {
        kind: "head",
        cluster: reader.that(isClusterId, "a cluster"),
        epoch: reader.that(isNonce, "an epoch"),
        last: { revision: revision(reader.count()), record: reader.bytes(), hash: readHash(reader) },
      };
    case "rows":
      return { kind, rows: reader.list().map(readRow) };
    case "end":
      return { kind, content: { rows: reader.count(), hash: readHash(reader) } };
    default:
      throw new OpenClawError("MALFORMED_FRAME", "a base has no such part");
  }
}

const rowTuple = ({ key, value, stamp }: BaseRow): Encodable => [
  key,
  value,
  stamp === null ? null : [stamp.at, stamp.principal, stamp.time],
];

function readRow(value: Encodable): BaseRow {
  const reader = new TupleReader(value, "a base's row");
  const row = { key: reader.bytes(), value: reader.bytes(), stamp: readStamp(reader.any()) };
  reader.end();
  return row;
}

function readStamp(value: Encodable): Stamp | null {
  if (value === null) return null;
  const reader = new TupleReader(value, "a base's stamp");
  const stamp = { at: revision(reader.count()), principal: reader.text(), time: reader.integer() };
  reader.end();
  return stamp;
}
