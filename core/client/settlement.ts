/**
 * What outcomes do to an outbox: a row that succeeded leaves it, one that was refused is kept as failed, and one whose
 * document lacked changes at the parent is sent again with them (D3), behind the others.
 */
import { OpenClawError } from "../errors.ts";
import { type ChangeHash, isChangeHash, type Seq } from "../ids.ts";
import type { DocumentName } from "../ledger/document-names.ts";
import type { DocumentChange } from "../ledger/record.ts";
import type { Outcome } from "../state-machine/command.ts";
import { comparedOutcome } from "../state-machine/compare-and-set.ts";
import { causalOrder } from "./causal-order.ts";
import { type LocalEdit, LocalTxnEdit } from "./edit.ts";
import type { Draft, Journal } from "./journal.ts";
import { isKept, type Outbox, type Unanswered } from "./outbox.ts";
import { hashesOf } from "./outbox-row.ts";
import type { Rungs } from "./rungs.ts";
import type { Awaiting, ClientStore, FailedRow } from "./store.ts";

/** First with what is not yet at the parent as far as we know, then with all that the document is made of. */
const ROUNDS_MAX = 2;

const EXPIRED: Outcome = {
  ok: false,
  code: "SESSION_EXPIRED",
  details: "the site no longer knows whether this write took place; read, then decide",
};

/** Refused edits that wait to be looked at; above it a further edit is refused OVERLOADED. */
const FAILED_MAX = 10_000;

export type Answered = { readonly seq: Seq; readonly outcome: Outcome };

export class Settlement {
  readonly #store: ClientStore;
  readonly #journal: Journal;
  readonly #rungs: Rungs;
  /** Failed rows, oldest first. */
  #failed: readonly FailedRow[] = [];

  constructor(store: ClientStore, journal: Journal, rungs: Rungs) {
    this.#store = store;
    this.#journal = journal;
    this.#rungs = rungs;
  }

  get failed(): readonly FailedRow[] {
    return this.#failed;
  }

  /** They are kept until somebody forgets them, and so they are no more than that. */
  get full(): boolean {
    return this.#failed.length >= FAILED_MAX;
  }

  restore(failed: readonly FailedRow[]): void {
    this.#failed = failed;
  }

  /** Another session of this device has stored what failed; or it has tried it again, or discarded it. */
  elsewhere(failed: readonly FailedRow[], forgotten: readonly Pick<FailedRow, "link" | "seq">[]): void {
    const isForgotten = (row: FailedRow): boolean =>
      forgotten.some(({ link, seq }) => link === row.link && seq === row.seq);
    for (const row of this.#failed) if (isForgotten(row)) this.#rungs.queuedAgain(hashesOf(row));
    this.#failed = [...this.#failed, ...failed].filter((row) => !isForgotten(row));
  }

  /** Those who wait for an outcome are told that it will not be seen here. */
  stop(): void {
    const error = new OpenClawError(
      "STOPPED",
      "the client stopped before the site answered; the next session sends it",
    );
    for (const { edits } of this.#journal.outbox.rows()) for (const edit of edits) edit.refused(error);
  }

  /** Refused rows wait again, as new ones of this session. @throws OpenClawError OVERLOADED, CLIENT_STORAGE_FAILED */
  async retry(rows: readonly FailedRow[]): Promise<void> {
    if (this.#journal.outbox.full) throw new OpenClawError("OVERLOADED", "too many edits wait for the site");
    const drafts = rows.map(({ command }): Draft => ({ command, edits: [], round: 0 }));
    await this.#journal.commit({ drafts, write: { forgetFailed: rows } });
    this.forget(rows);
    for (const row of rows) this.#rungs.queuedAgain(hashesOf(row));
  }

  /** The store has forgotten them. */
  forget(rows: readonly FailedRow[]): void {
    this.#failed = this.#failed.filter((row) => !rows.includes(row));
  }

  /** @throws OpenClawError OVERLOADED: so many more are too many */
  requireRoom(rows: number): void {
    if (this.#failed.length + rows > FAILED_MAX)
      throw new OpenClawError("OVERLOADED", `at most ${FAILED_MAX} refused edits are kept`);
  }

  /**
   * Takes the outcomes of rows up to `to`. A row among those without one gets none any more: the parent forgot it.
   * @returns the documents of changes whose rungs moved
   * @throws OpenClawError CLIENT_STORAGE_FAILED: nothing is settled, and the outcomes come again
   */
  async settle(outbox: Outbox, outcomes: readonly Answered[], to: number): Promise<readonly DocumentName[]> {
    const told = new Set(outcomes.map(({ seq }) => seq));
    const silent: Answered[] = [];
    for (const { row } of outbox.rows()) {
      if (row.seq > to) break;
      if (!told.has(row.seq)) silent.push({ seq: row.seq, outcome: EXPIRED });
    }
    return this.#take(outbox, [...outcomes, ...silent], null);
  }

  /**
   * The parent knows nothing of this link any more. Document changes are sent again under `fresh`: they are what they are,
   * however often they come. A key's write that may have taken place is not run twice (Q1).
   */
  async abandon(outbox: Outbox, fresh: Outbox | null): Promise<void> {
    await this.#take(
      outbox,
      [...outbox.rows()].map(({ row }) => ({ seq: row.seq, outcome: EXPIRED })),
      fresh,
    );
  }

  /** The same for this session's own, until nothing is left of it: rows may have been on their way into it meanwhile. */
  async renew(old: Outbox, fresh: Outbox): Promise<void> {
    do {
      await this.abandon(old, fresh);
    } while (old.size > 0);
  }

  async #take(outbox: Outbox, outcomes: readonly Answered[], fresh: Outbox | null): Promise<readonly DocumentName[]> {
    const rows = outcomes.flatMap(({ seq, outcome }) => {
      const unanswered = outbox.answer(seq);
      if (unanswered === undefined) return [];
      // Whoever wrote a transaction is told. Of a comparison that did not hold nobody may be left to be told: it is kept.
      const told = unanswered.edits.some((edit) => edit instanceof LocalTxnEdit);
      return [{ ...unanswered, outcome: told ? outcome : comparedOutcome(unanswered.row.command, outcome) }];
    });
    if (rows.length === 0 && fresh === null) return [];
    const awaiting: Awaiting[] = [];
    const refusals: (FailedRow & { readonly edits: readonly LocalEdit[] })[] = [];
    const again: Unanswered[] = [];
    const named = new Set<ChangeHash>();
    const unsent: Draft[] = [];
    for (const { row, edits, round, outcome } of rows) {
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
        refusals.push({ ...row, edits, code: outcome.code, details: outcome.details });
      }
    }
    const answered = rows.map(({ row: { link, seq }, outcome }) => ({
      link,
      seq,
      ...(outcome.ok ? { at: outcome.revision } : {}),
    }));
    const { site } = outbox;
    const failed = refusals
      .filter(isKept)
      .map(({ edits: _, ...row }): FailedRow => (site === null ? row : { site, ...row }));
    try {
      const drafts = [...(await this.#withMissing(again, named, outbox)), ...unsent];
      const write = { answered, awaiting, failed };
      await this.#journal.commit({ drafts, write, ...(fresh === null ? {} : { outbox: fresh }) });
    } catch (error) {
      for (const { seq } of answered) outbox.unanswer(seq);
      throw error;
    }
    this.#failed = [...this.#failed, ...failed];
    for (const { row, edits, outcome } of rows) {
      outbox.settle(row.seq);
      if (outcome.ok) {
        this.#rungs.committed(hashesOf(row), outcome.revision);
        for (const edit of edits) edit.committed(outcome.revision, outcome.response);
      }
    }
    for (const row of refusals) {
      const error = new OpenClawError(row.code, row.details);
      this.#rungs.failed(hashesOf(row), error);
      for (const edit of row.edits) edit.refused(error);
    }
    return rows.flatMap(({ row: { command } }) => (command.kind === "change" ? [command] : []));
  }

  /** The refused changes, document by document, each after what it depends on that the parent may lack. */
  async #withMissing(
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
      const stored = causalOrder([...(await this.#store.document(command.collection, command.document)), ...own]);
      const refused = new Set(group.flatMap(({ row }) => hashesOf(row)));
      // What is queued already goes ahead of what is queued now, if it is on the same link.
      const ahead = new Set<ChangeHash>();
      for (const { row } of this.#journal.outbox.rows()) for (const hash of hashesOf(row)) ahead.add(hash);
      if (settling !== this.#journal.outbox) for (const hash of refused) ahead.delete(hash);
      const mayLack = (hash: ChangeHash): boolean => named.has(hash) || this.#rungs.rung(hash) === "device";
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
