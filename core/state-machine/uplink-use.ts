/** What the uplink used of its day, so that the next leader goes on counting where this one stopped, or about there. */
import { decode, encode, TupleReader } from "../codec.ts";
import { UPLINK_USE_KEY } from "./keyspace.ts";
import type { UplinkUse } from "./query.ts";
import type { RowCodec, Transaction } from "./transaction.ts";
import type { StateView } from "./view.ts";

/** A day of log time, ms (T1). */
export const DAY_MS = 86_400_000;

const uplinkUseRow: RowCodec<UplinkUse> = {
  encode: ({ day, bytes, allowed }) => encode([day, bytes, allowed]),
  decode(bytes) {
    const reader = new TupleReader(decode(bytes), "uplink use row");
    const use = { day: reader.count(), bytes: reader.count(), allowed: reader.count() };
    reader.end();
    return use;
  },
};

export function uplinkUse(view: StateView): UplinkUse | null {
  const bytes = view.get(UPLINK_USE_KEY);
  return bytes === undefined ? null : uplinkUseRow.decode(bytes);
}

/** `bytes` of that day so far. What was counted is never taken back, and another day begins at nothing. */
export function noteUplinkUse(tx: Transaction, day: number, bytes: number): void {
  const known = tx.read(UPLINK_USE_KEY, uplinkUseRow);
  if (known === undefined || day > known.day) tx.write(UPLINK_USE_KEY, uplinkUseRow, { day, bytes, allowed: 0 });
  else if (day === known.day && bytes > known.bytes) tx.write(UPLINK_USE_KEY, uplinkUseRow, { ...known, bytes });
}

/** Said twice it is the same: it is what the day may have, not what is added to it. */
export function allowUplinkUse(tx: Transaction, day: number, allowed: number): void {
  const known = tx.read(UPLINK_USE_KEY, uplinkUseRow);
  if (known === undefined || day > known.day) tx.write(UPLINK_USE_KEY, uplinkUseRow, { day, bytes: 0, allowed });
  else if (day === known.day && allowed !== known.allowed)
    tx.write(UPLINK_USE_KEY, uplinkUseRow, { ...known, allowed });
}
