/**
 * What outcomes do to an outbox: a row that succeeded leaves it, one that was refused is kept as failed, and one whose
 * document lacked changes at the parent is sent again with them (D3), behind the others.
 */
import { OpenClawError } from "../errors.ts";
import type { Seq } from "../ids.ts";
import type { DocumentName } from "../ledger/document-names.ts";
import type { Outcome } from "../state-machine/command.ts";
import { comparedOutcome } from "../state-machine/compare-and-set.ts";
import { LocalTxnEdit } from "./edit.ts";
import type { Draft } from "./journal.ts";
import { isKept, type Outbox } from "./outbox.ts";
import { hashesOf } from "./outbox-row.ts";
import type { Sorted, SortHost, sortOutcomes } from "./outcomes.ts";
import type { FailedRow } from "./store.ts";

const EXPIRED: Outcome = {
  ok: false,
  code: "SESSION_EXPIRED",
  details: "the site no longer knows whether this write took place; read, then decide",
};

/** Refused edits that wait to be looked at; above it a further edit is refused OVERLOADED. */
const FAILED_MAX = 10_000;

export type Answered = { readonly seq: Seq; readonly outcome: Outcome };

export interface SettlementHost extends SortHost {
  readonly online: () => Promise<{ readonly sortOutcomes: typeof sortOutcomes }>;
}

export class Settlement {
  readonly #host: SettlementHost;
  /** Failed rows, oldest first. */
  #failed: readonly FailedRow[] = [];

  constructor(host: SettlementHost) {
    this.#host = host;
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
    for (const row of this.#failed) if (isForgotten(row)) this.#host.rungs.queuedAgain(hashesOf(row));
    this.#failed = [...this.#failed, ...failed].filter((row) => !isForgotten(row));
  }

  /** Those who wait for an outcome are told that it will not be seen here. */
  stop(): void {
    const error = new OpenClawError(
      "STOPPED",
      "the client stopped before the site answered; the next session sends it",
    );
    for (const { edits } of this.#host.journal.outbox.rows()) for (const edit of edits) edit.refused(error);
  }

  /** Refused rows wait again, as new ones of this session. @throws OpenClawError OVERLOADED, CLIENT_STORAGE_FAILED */
  async retry(rows: readonly FailedRow[]): Promise<void> {
    if (this.#host.journal.outbox.full) throw new OpenClawError("OVERLOADED", "too many edits wait for the site");
    const drafts = rows.map(({ command }): Draft => ({ command, edits: [], round: 0 }));
    await this.#host.journal.commit({ drafts, write: { forgetFailed: rows } });
    this.forget(rows);
    for (const row of rows) this.#host.rungs.queuedAgain(hashesOf(row));
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

  async #take(outbox: Outbox, outcomes: readonly Answered[], fresh: Outbox | null): Promise<readonly DocumentName[]> {
    const rows = outcomes.flatMap(({ seq, outcome }) => {
      const unanswered = outbox.answer(seq);
      if (unanswered === undefined) return [];
      // Whoever wrote a transaction is told. Of a comparison that did not hold nobody may be left to be told: it is kept.
      const { edits } = unanswered;
      const { command } = unanswered.row;
      const told = edits.some((edit) => edit instanceof LocalTxnEdit);
      const its = told ? outcome : comparedOutcome(command, outcome);
      return [{ ...unanswered, outcome: its, keptIfRefused: isKept({ command, edits }) }];
    });
    if (rows.length === 0 && fresh === null) return [];
    const answered = rows.map(({ row: { link, seq }, outcome }) => ({
      link,
      seq,
      ...(outcome.ok ? { at: outcome.revision } : {}),
    }));
    let sorted: Sorted;
    try {
      const { sortOutcomes } = await this.#host.online();
      sorted = await sortOutcomes(this.#host, outbox, rows, fresh);
      const { awaiting, failed, drafts } = sorted;
      const write = { answered, awaiting, failed };
      await this.#host.journal.commit({ drafts, write, ...(fresh === null ? {} : { outbox: fresh }) });
    } catch (error) {
      for (const { seq } of answered) outbox.unanswer(seq);
      throw error;
    }
    this.#failed = [...this.#failed, ...sorted.failed];
    for (const { row, edits, outcome } of rows) {
      outbox.settle(row.seq);
      if (outcome.ok) {
        this.#host.rungs.committed(hashesOf(row), outcome.revision);
        for (const edit of edits) edit.committed(outcome.revision, outcome.response);
      }
    }
    for (const row of sorted.refusals) {
      const error = new OpenClawError(row.code, row.details);
      this.#host.rungs.failed(hashesOf(row), error);
      for (const edit of row.edits) edit.refused(error);
    }
    return rows.flatMap(({ row: { command } }) => (command.kind === "change" ? [command] : []));
  }
}
