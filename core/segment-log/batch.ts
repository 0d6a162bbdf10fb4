/** What one fsync makes durable: the changes of all calls that waited, and where the log stands after them. */
import { decode, type Encodable, encode, TupleReader } from "../codec.ts";
import { OpenClawError } from "../errors.ts";
import { index, term } from "../ids.ts";
import type { LogBase } from "../ports.ts";
import { type LogTail, readTail, tailTuple } from "./log-tail.ts";
import type { PackedEntries } from "./log-write.ts";

/** Hard state and compaction need no change of their own: they are in the tail. */
export type BatchChange =
  | { readonly kind: "entries"; readonly entries: PackedEntries }
  | { readonly kind: "reset"; readonly base: LogBase };

export interface Batch {
  readonly tail: LogTail;
  readonly changes: readonly BatchChange[];
}

/** Numbers on disk: append only. */
const ENTRIES = 0;
const RESET = 1;

export const encodeBatch = ({ tail, changes }: Batch): Uint8Array =>
  encode([tailTuple(tail), changes.map(changeTuple)]);

/** Packed entries are views of `bytes`. @throws OpenClawError MALFORMED_FRAME */
export function decodeBatch(bytes: Uint8Array): Batch {
  const reader = new TupleReader(decode(bytes), "log batch");
  const tail = readTail(reader.any());
  const changes = reader.list().map(readChange);
  reader.end();
  return { tail, changes };
}

function changeTuple(change: BatchChange): Encodable {
  switch (change.kind) {
    case "entries": {
      const { first, last, lastTerm, packed } = change.entries;
      return [ENTRIES, first, last, lastTerm, packed];
    }
    case "reset":
      return [RESET, change.base.index, change.base.term];
  }
}

function readChange(value: Encodable): BatchChange {
  const reader = new TupleReader(value, "log change");
  const kind = reader.count();
  const change = readKind(kind, reader);
  reader.end();
  return change;
}

function readKind(kind: number, reader: TupleReader): BatchChange {
  switch (kind) {
    case ENTRIES: {
      const entries = {
        first: reader.count(),
        last: reader.count(),
        lastTerm: reader.count(),
        packed: reader.bytes(),
      };
      return { kind: "entries", entries };
    }
    case RESET:
      return { kind: "reset", base: { index: index(reader.count()), term: term(reader.count()) } };
    default:
      throw new OpenClawError("MALFORMED_FRAME", `log change: kind ${kind} is not known`);
  }
}
