/** Which rows fall with others: of a document, those with a change that is one of theirs, sent again, or follows one. */
import type { ChangeHash } from "../ids.ts";
import { hashesOf } from "./outbox-row.ts";
import type { OutboxRow } from "./store.ts";

/**
 * The chosen ones of `rows`, and all that follow them; in their order. A row stands or falls as a whole; but a change that
 * is elsewhere, too, stays.
 */
export function withDependents<Row extends OutboxRow>(
  rows: readonly Row[],
  isChosen: (row: Row) => boolean,
  isOnlyHere: (hash: ChangeHash) => boolean,
): readonly Row[] {
  const falling = new Set<Row>();
  const hashes = new Set<ChangeHash>();
  const fall = (row: Row): void => {
    falling.add(row);
    for (const hash of hashesOf(row)) if (isOnlyHere(hash)) hashes.add(hash);
  };
  for (const row of rows) if (isChosen(row)) fall(row);
  for (let before = -1; before < falling.size; ) {
    before = falling.size;
    for (const row of rows) if (!falling.has(row) && follows(row, hashes)) fall(row);
  }
  return rows.filter((row) => falling.has(row));
}

const follows = ({ command }: OutboxRow, hashes: ReadonlySet<ChangeHash>): boolean =>
  command.kind === "change" &&
  command.changes.some(({ hash, deps }) => hashes.has(hash) || deps.some((dep) => hashes.has(dep)));
