/** The rows of keys: what a put and a delete do to one, and the mirrors of other clusters' keys (L4). */
import { equalBytes } from "../bytes.ts";
import { decode, encodePooled, TupleReader } from "../codec.ts";
import type { ClusterId, Revision } from "../ids.ts";
import { revision } from "../ids.ts";
import type { KeyEvent } from "../ledger/record.ts";
import { readLease } from "../ledger/record-codec.ts";
import { keyRowKey } from "./keyspace.ts";
import type { KeyValue } from "./operation.ts";
import type { RowCodec, Transaction } from "./transaction.ts";

export type KeyRow = Omit<KeyValue, "key">;

export const keyRow: RowCodec<KeyRow> = {
  encode: (row) => encodePooled([row.createRevision, row.modRevision, row.version, row.lease, row.value]),
  decode(bytes) {
    const reader = new TupleReader(decode(bytes), "key row");
    return {
      createRevision: revision(reader.count()),
      modRevision: revision(reader.count()),
      version: reader.count(),
      lease: readLease(reader),
      value: reader.bytes(),
    };
  },
};

/** Takes an event of another cluster into its mirror, at the origin's revision. False: it changed nothing. */
export function mirrorKey(tx: Transaction, origin: ClusterId, event: KeyEvent, at: Revision): boolean {
  const row = keyRowKey(origin, event.key);
  const current = tx.read(row, keyRow);
  if (event.kind === "delete" ? current === undefined : isAs(current, event)) return false;
  setKey(tx, row, current, event, at);
  return true;
}

/** What an event makes of the row, which is `current` now; deleted and put again, a key begins anew. */
export function setKey(
  tx: Transaction,
  row: Uint8Array,
  current: KeyRow | undefined,
  event: KeyEvent,
  at: Revision,
): void {
  if (event.kind === "delete") {
    tx.remove(row);
    return;
  }
  const numbers = event.numbers ?? {
    createRevision: current?.createRevision ?? at,
    modRevision: at,
    version: (current?.version ?? 0) + 1,
  };
  tx.write(row, keyRow, { ...numbers, lease: event.lease, value: event.value });
}

/** True if a row of a snapshot (S4) is as the present one. */
const isAs = (current: KeyRow | undefined, { numbers, value }: Extract<KeyEvent, { kind: "put" }>): boolean =>
  current !== undefined &&
  numbers !== null &&
  current.modRevision === numbers.modRevision &&
  current.createRevision === numbers.createRevision &&
  current.version === numbers.version &&
  equalBytes(current.value, value);
