/** Checks the ledger that is stored (core/ledger/verify.ts): row by row, so that rot in one of them is named and no more. */
import { OpenClawError } from "@openclaw/core/errors.ts";
import { PARTITION, type Revision, revision } from "@openclaw/core/ids.ts";
import type { LedgerFault } from "@openclaw/core/ledger/fault.ts";
import { beginningOf, seamsOf } from "@openclaw/core/ledger/lineage.ts";
import { LedgerCheck, type LedgerMark } from "@openclaw/core/ledger/verify.ts";
import type { LedgerChecked } from "@openclaw/core/ports.ts";
import { readPosition } from "@openclaw/core/state-machine/position.ts";
import type { Position } from "@openclaw/core/state-machine/query.ts";
import { readableRecords } from "./record-batch.ts";
import { sha256 } from "./sha256.ts";
import { storageError } from "./sqlite.ts";
import type { LedgerRow, StateTables } from "./state-tables.ts";

/** From `from` on, about `maxBytes` at once. @throws OpenClawError BAD_REQUEST when the ledger does not reach to `from` */
export function checkLedger(tables: StateTables, from: Revision, to: Revision | null, maxBytes: number): LedgerChecked {
  const position = positionOf(tables);
  if (!("hash" in position)) return { from, sound: revision(0), revision: revision(0), fault: position, done: true };
  if (from > position.revision + 1)
    throw new OpenClawError("BAD_REQUEST", `the ledger ends at revision ${position.revision}`);
  const base = baseOf(tables, from, position);
  if (!("hash" in base)) return { from, sound: revision(0), revision: position.revision, fault: base, done: true };
  return checkFrom(tables, base, to, maxBytes, position);
}

function checkFrom(
  tables: StateTables,
  base: LedgerMark,
  to: Revision | null,
  maxBytes: number,
  position: Position,
): LedgerChecked {
  const check = new LedgerCheck(sha256, base, seamsOf(sha256, position.cluster, PARTITION, position));
  const found = (fault: LedgerFault | null, done: boolean): LedgerChecked => ({
    from: check.from,
    sound: check.sound.revision,
    revision: position.revision,
    fault,
    done,
  });
  // All of it was compacted that was asked for.
  if (to !== null && check.sound.revision >= to) return found(null, true);
  let bytes = 0;
  try {
    for (const row of tables.ledgerRows(revision(base.revision + 1))) {
      const fault = checkRow(check, row, base.revision);
      if (fault !== null) return found(fault, true);
      // A record in doubt is judged by the next one.
      if (check.doubts) continue;
      if (to !== null && check.sound.revision >= to) return found(null, true);
      bytes += row.packed.length;
      if (bytes >= maxBytes) return found(null, false);
    }
  } catch (error) {
    const known = storageError(error, "reading the ledger");
    if (!(known instanceof OpenClawError) || known.code !== "DATA_CORRUPT") throw known;
    const next = revision(check.sound.revision + 1);
    return found({ revision: next, kind: "unreadable", details: known.details }, true);
  }
  return found(check.end(position), true);
}

function checkRow(check: LedgerCheck, row: LedgerRow, base: Revision): LedgerFault | null {
  const { records, whole } = readableRecords(row.packed);
  for (const record of records) {
    if (record.revision <= base) continue;
    const fault = check.take(record);
    if (fault !== null) return fault;
  }
  if (check.doubts) return null;
  const { revision: last } = check.sound;
  const next = revision(last + 1);
  if (!whole) {
    const details = `the batch of revisions ${row.first} to ${row.last} does not decode`;
    return { revision: revision(last < row.last ? next : last), kind: "unreadable", details };
  }
  if (row.first !== records[0]?.revision || row.last !== last) {
    const details = `a batch is filed under revisions ${row.first} to ${row.last}`;
    // A record under a number that was passed over above is the one after the last that was sound.
    const misnumbered = records.some(({ revision: at }, i) => at !== row.first + i);
    return { revision: misnumbered ? next : revision(Math.min(row.first, last)), kind: "order", details };
  }
  return null;
}

/**
 * What stands before `from`, as it is stored: whoever begins in the middle takes it on trust. A compaction left where the
 * ledger begins: of what is earlier there is nothing to check.
 */
function baseOf(tables: StateTables, from: Revision, position: Position): LedgerMark | LedgerFault {
  const kept = tables.ledgerBase();
  if (kept !== null && from <= kept.revision + 1) return kept;
  const before = revision(Math.max(0, from - 1));
  if (before === 0) return { revision: before, hash: beginningOf(sha256, position.cluster, PARTITION, position) };
  for (const row of tables.ledgerRows(before)) {
    const record = readableRecords(row.packed).records.find((stored) => stored.revision === before);
    if (record !== undefined) return { revision: before, hash: record.hash };
    break;
  }
  return { revision: before, kind: "unreadable", details: "what is to be checked follows it" };
}

function positionOf(tables: StateTables): Position | LedgerFault {
  try {
    return readPosition(tables.state);
  } catch (error) {
    const details = error instanceof Error ? error.message : String(error);
    return { revision: revision(0), kind: "position", details: `the state's own row cannot be read: ${details}` };
  }
}
