/** What is read of rows of an outbox where they stand, without an outbox in memory. */
import { OpenClawError } from "../errors.ts";
import { type ChangeHash, type LinkId, type Seq, seq } from "../ids.ts";
import { RESULTS_MAX } from "../limits.ts";
import type { ClientStore, FailedRow, OutboxRow } from "./store.ts";

/** What waits, or was refused. */
export type Row = OutboxRow | FailedRow;
/** The session that made it, and its number there. */
export type RowName = Pick<OutboxRow, "link" | "seq">;

export const nameOf = ({ link, seq }: RowName): string => `${link} ${seq}`;

export function isAmong(entries: readonly RowName[]): (row: RowName) => boolean {
  const names = new Set(entries.map(nameOf));
  return (row) => names.has(nameOf(row));
}

/** Every row of a link's outbox. */
export async function allRows(store: ClientStore, link: LinkId): Promise<readonly OutboxRow[]> {
  const rows: OutboxRow[] = [];
  for (let from: Seq = seq(1); ; ) {
    const page = await store.outbox(link, from, RESULTS_MAX);
    rows.push(...page);
    const last = page.at(-1);
    if (last === undefined || page.length < RESULTS_MAX) return rows;
    from = seq(last.seq + 1);
  }
}

/** Of the changes that a row brings. */
export const hashesOf = ({ command }: Pick<OutboxRow, "command">): readonly ChangeHash[] =>
  command.kind === "change" ? command.changes.map((change) => change.hash) : [];

/** @throws OpenClawError SESSION_EXPIRED: the parent took what was never sent, so that it means another stream by this name */
export function requireSent(cursor: number, nextSeq: Seq): void {
  if (cursor < nextSeq) return;
  throw new OpenClawError("SESSION_EXPIRED", `the site is at ${cursor} of a stream that ends at ${nextSeq - 1}`);
}
