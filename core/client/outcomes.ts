/** What outcomes make of the rows that they answer: which are known to be safe, refused, or to be sent again. */
import { type ChangeHash, isChangeHash } from "../ids.ts";
import type { DocumentChange } from "../ledger/record.ts";
import type { Outcome } from "../state-machine/command.ts";
import { causalOrder } from "./causal-order.ts";
import type { LocalEdit } from "./edit.ts";
import type { Draft, Journal } from "./journal.ts";
import type { Outbox, Unanswered } from "./outbox.ts";
import { hashesOf } from "./outbox-row.ts";
import type { Rungs } from "./rungs.ts";
import type { Awaiting, ClientStore, FailedRow } from "./store.ts";

/** First with what is not yet at the parent as far as we know, then with all that the document is made of. */
const ROUNDS_MAX = 2;

export interface AnsweredRow extends Unanswered {
  readonly outcome: Outcome;
  /** Refused, it stays where an app finds it. */
  readonly keptIfRefused: boolean;
}

export interface Refusal extends FailedRow {
  readonly edits: readonly LocalEdit[];
}

/** Of rows that succeeded, those whose way to the hub is followed; in the place of others, what is queued. */
export interface Sorted {
  readonly awaiting: readonly Awaiting[];
  readonly refusals: readonly Refusal[];
  /** Those of them that are kept. */
  readonly failed: readonly FailedRow[];
  readonly drafts: readonly Draft[];
}

export interface SortHost {
  readonly store: ClientStore;
  readonly journal: Journal;
  readonly rungs: Rungs;
}

/** @param fresh the parent knows nothing of this link any more, and its rows go on in that one; null: it does, or nobody takes them */
export async function sortOutcomes(
  host: SortHost,
  outbox: Outbox,
  rows: readonly AnsweredRow[],
  fresh: Outbox | null,
): Promise<Sorted> {
  const awaiting: Awaiting[] = [];
  const refusals: Refusal[] = [];
  const failed: FailedRow[] = [];
  const { site } = outbox;
  const again: Unanswered[] = [];
  const named = new Set<ChangeHash>();
  const unsent: Draft[] = [];
  for (const { row, edits, round, outcome, keptIfRefused } of rows) {
    const { command } = row;
    if (outcome.ok) {
      if (command.kind !== "change") continue;
      const document = { collection: command.collection, document: command.document, hashes: hashesOf(row) };
      awaiting.push({ link: row.link, seq: row.seq, revision: outcome.revision, document });
    } else if (command.kind === "change" && outcome.code === "SESSION_EXPIRED") {
      unsent.push({ command, edits, round });
    } else if (command.kind === "change" && outcome.code === "MISSING" && round < ROUNDS_MAX) {
      again.push({ row, edits, round: round + 1 });
      for (const hash of outcome.details.split(",")) if (isChangeHash(hash)) named.add(hash);
    } else if (fresh !== null && !outbox.mayHaveRun(row.seq)) {
      unsent.push({ command, edits, round });
    } else {
      const { code, details } = outcome;
      refusals.push({ ...row, edits, code, details });
      if (keptIfRefused) failed.push({ ...(site === null ? {} : { site }), ...row, code, details });
    }
  }
  return { awaiting, refusals, failed, drafts: [...(await withMissing(host, again, named, outbox)), ...unsent] };
}

/** The refused changes, document by document, each after what it depends on that the parent may lack. */
async function withMissing(
  { store, journal, rungs }: SortHost,
  rows: readonly Unanswered[],
  named: ReadonlySet<ChangeHash>,
  settling: Outbox,
): Promise<readonly Draft[]> {
  const drafts: Draft[] = [];
  const byDocument = Map.groupBy(rows, ({ row: { command } }) =>
    command.kind === "change" ? JSON.stringify([command.collection, command.document]) : "",
  );
  for (const group of byDocument.values()) {
    const command = group[0]?.row.command;
    if (command?.kind !== "change") continue;
    const round = Math.max(...group.map((one) => one.round));
    const own = group.flatMap(({ row }) => (row.command.kind === "change" ? row.command.changes : []));
    const stored = causalOrder([...(await store.document(command.collection, command.document)), ...own]);
    const refused = new Set(group.flatMap(({ row }) => hashesOf(row)));
    // What is queued already goes ahead of what is queued now, if it is on the same link.
    const ahead = new Set<ChangeHash>();
    for (const { row } of journal.outbox.rows()) for (const hash of hashesOf(row)) ahead.add(hash);
    if (settling !== journal.outbox) for (const hash of refused) ahead.delete(hash);
    const mayLack = (hash: ChangeHash): boolean => named.has(hash) || rungs.rung(hash) === "device";
    const wanted = (change: DocumentChange): boolean =>
      refused.has(change.hash) || (!ahead.has(change.hash) && (round >= ROUNDS_MAX || mayLack(change.hash)));
    const byLast = new Map<ChangeHash | undefined, readonly LocalEdit[]>();
    for (const { row, edits } of group)
      byLast.set(hashesOf(row).at(-1), [...(byLast.get(hashesOf(row).at(-1)) ?? []), ...edits]);
    for (const change of ancestry(stored, refused, wanted)) {
      drafts.push({ command: { ...command, changes: [change] }, edits: byLast.get(change.hash) ?? [], round });
    }
  }
  return drafts;
}

/** The changes of `from` and, through changes that are wanted, what they depend on; in the order of `stored`. */
function ancestry(
  stored: readonly DocumentChange[],
  from: ReadonlySet<ChangeHash>,
  wanted: (change: DocumentChange) => boolean,
): readonly DocumentChange[] {
  const byHash = new Map(stored.map((change) => [change.hash, change]));
  const found = new Set<DocumentChange>();
  const queue = [...from];
  for (let hash = queue.pop(); hash !== undefined; hash = queue.pop()) {
    const change = byHash.get(hash);
    if (change === undefined || found.has(change) || !wanted(change)) continue;
    found.add(change);
    queue.push(...change.deps);
  }
  return stored.filter((change) => found.has(change));
}
