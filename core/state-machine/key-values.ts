/** Keys: put, delete, compare-and-set on etcd's revisions, and the mirrors of other clusters' keys (L4). */
import { decode, encodePooled, TupleReader } from "../codec.ts";
import { unreachable } from "../errors.ts";
import type { ClusterId, Revision } from "../ids.ts";
import { revision } from "../ids.ts";
import type { LedgerEvent } from "../ledger/record.ts";
import { KEY_BYTES_MAX, VALUE_BYTES_MAX } from "../limits.ts";
import type { Outcome, UserCommand } from "./command.ts";
import { keyRowKey } from "./keyspace.ts";
import type { Author, LedgerWriter } from "./ledger-writer.ts";
import type { Refusal } from "./outcome.ts";
import { accepted, refused } from "./outcome.ts";
import type { KeyValue } from "./query.ts";
import type { RowCodec, Transaction } from "./transaction.ts";

export type KeyRow = Omit<KeyValue, "key">;
export type KeyCommand = Extract<UserCommand, { kind: "put" | "delete" | "compareAndSet" }>;
export type KeyEvent = Extract<LedgerEvent, { kind: "put" | "delete" }>;

export const keyRow: RowCodec<KeyRow> = {
  encode: (row) => encodePooled([row.createRevision, row.modRevision, row.version, row.value]),
  decode(bytes) {
    const reader = new TupleReader(decode(bytes), "key row");
    return {
      createRevision: revision(reader.count()),
      modRevision: revision(reader.count()),
      version: reader.count(),
      value: reader.bytes(),
    };
  },
};

export function runKeyCommand(tx: Transaction, ledger: LedgerWriter, author: Author, command: KeyCommand): Outcome {
  const wrong = keyRefusal(command.key) ?? ("value" in command ? valueRefusal(command.value) : null);
  if (wrong !== null) return wrong;
  const row = keyRowKey(null, command.key);
  const current = tx.read(row, keyRow);
  switch (command.kind) {
    case "compareAndSet": {
      const found = current?.modRevision ?? 0;
      if (found !== command.expected) return refused("COMPARE_FAILED", `the key is at revision ${found}`);
      break;
    }
    case "delete":
      if (current === undefined) return refused("NOT_FOUND");
      break;
    case "put":
      break;
    default:
      unreachable(command);
  }
  const event: KeyEvent =
    command.kind === "delete"
      ? { kind: "delete", key: command.key }
      : { kind: "put", key: command.key, value: command.value, encryption: null };
  setKey(tx, row, current, event, ledger.next);
  return accepted(ledger.append(author, [event]));
}

/** Takes an event of another cluster into its mirror, at the origin's revision. False: it changed nothing. */
export function mirrorKey(tx: Transaction, origin: ClusterId, event: KeyEvent, at: Revision): boolean {
  const row = keyRowKey(origin, event.key);
  const current = tx.read(row, keyRow);
  if (event.kind === "delete" && current === undefined) return false;
  setKey(tx, row, current, event, at);
  return true;
}

function setKey(tx: Transaction, row: Uint8Array, current: KeyRow | undefined, event: KeyEvent, at: Revision): void {
  if (event.kind === "delete") {
    tx.remove(row);
    return;
  }
  tx.write(row, keyRow, {
    createRevision: current?.createRevision ?? at,
    modRevision: at,
    version: (current?.version ?? 0) + 1,
    value: event.value,
  });
}

export function keyRefusal(key: Uint8Array): Refusal | null {
  if (key.length === 0) return refused("KEY_EMPTY");
  return key.length > KEY_BYTES_MAX ? refused("KEY_TOO_LARGE", `${key.length} bytes`) : null;
}

export const valueRefusal = (value: Uint8Array): Refusal | null =>
  value.length > VALUE_BYTES_MAX ? refused("VALUE_TOO_LARGE", `${value.length} bytes`) : null;
