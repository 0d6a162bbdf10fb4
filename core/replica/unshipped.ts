/**
 * How much of what the parent lacks may be shed (S5). Keys and documents stand in the state, and come to the parent by a
 * snapshot; a queued command, its result, and a step of a home (Q2, Q3) stand in the ledger alone, and are not shed.
 */
import { unreachable } from "../errors.ts";
import { type Revision, revision } from "../ids.ts";
import type { LedgerEvent } from "../ledger/record.ts";
import { decodeRecord } from "../ledger/record-codec.ts";
import { BATCH_BYTES_MAX } from "../limits.ts";
import type { Replica } from "../replica.ts";

/** The first revision in [from, to] that has to be shipped as it is; null: there is none. @throws OpenClawError COMPACTED */
export async function firstToShip(
  replica: Pick<Replica, "ledger">,
  from: Revision,
  to: Revision,
): Promise<Revision | null> {
  for (let next: number = from; next <= to; ) {
    const { records } = await replica.ledger(revision(next), BATCH_BYTES_MAX);
    const last = records.at(-1);
    if (last === undefined) return null;
    for (const { revision: at, record } of records) {
      if (at > to) return null;
      const { origin, events } = decodeRecord(record);
      if (origin === null && events.some(isToldOnce)) return at;
    }
    next = last.revision + 1;
  }
  return null;
}

function isToldOnce(event: LedgerEvent): boolean {
  switch (event.kind) {
    case "put":
    case "delete":
    case "change":
      return false;
    case "home":
    case "command":
    case "result":
      return true;
    default:
      return unreachable(event);
  }
}
