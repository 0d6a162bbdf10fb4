/**
 * Whether this replica holds the state that the others hold (C1, C2). The leader begins a round when one is due; every
 * replica reports what it found; and all conclude the same from the replicated row. One that differs from a majority stops
 * serving and is given a state by a peer. Where no majority agrees, nobody is known to be right, and nobody serves.
 */
import { equalBytes, toHex } from "../bytes.ts";
import { asOpenClawError, invariant, OpenClawError } from "../errors.ts";
import { type Index, index, type NodeId } from "../ids.ts";
import type { Applied, Clock, StateStore, StoredState } from "../ports.ts";
import { isJoint } from "../raft/membership.ts";
import type { StateMark } from "../raft/message.ts";
import type { Raft } from "../raft/raft.ts";
import type { CommandResult, SystemCommand } from "../state-machine/command.ts";
import { type Comparison, type Finding, isUndecided, NO_COMPARISON, verdictOf } from "../state-machine/finding.ts";
import type { Position } from "../state-machine/query.ts";
import { LedgerMarks } from "./ledger-marks.ts";
import { LogClock } from "./log-clock.ts";

/** Of log time, between two rounds that begin by themselves, unless configured: a day. */
export const COMPARE_EVERY_MS = 86_400_000;
/** Ms until a proposal is given up, and made anew if it is still due. */
const PROPOSE_MS = 5_000;
/** Ticks between two requests for a state (2 s at 50 ms); none while one comes in. */
const ASK_TICKS = 40;
/** Ms between two rounds that a replica asks for because two are seen to differ, and not which of them is wrong. */
const SUSPECT_EVERY_MS = 60_000;
/** Callers that may wait for a round at once; beyond: OVERLOADED. */
const WAITING_MAX = 64;

export type Agreement =
  /** As far as is known, it holds what a majority holds. */
  | { readonly kind: "sound" }
  /** It differs from a majority as of `round`, and waits for another state. */
  | { readonly kind: "diverged"; readonly round: Index; readonly ours: Uint8Array; readonly theirs: Uint8Array }
  /** No two replicas agree as of `round`, or not enough of them. */
  | { readonly kind: "split"; readonly round: Index };

export interface ComparisonsOptions {
  readonly id: NodeId;
  readonly state: Pick<StateStore, "read" | "compare">;
  readonly clock: Clock;
  readonly everyMs: number;
  readonly propose: (command: SystemCommand, timeoutMs: number) => Promise<CommandResult>;
  readonly running: () => boolean;
  readonly failed: (error: unknown) => void;
  /** Nothing more may be applied to this state, or answered from it. */
  readonly diverged: () => void;
  /** A snapshot is coming in, or is being installed. */
  readonly receiving: () => boolean;
}

/** An operator waits for a round. */
interface Waiter {
  readonly deadline: number;
  /** Null until it has begun. */
  round: Index | null;
  readonly resolve: (comparison: Comparison) => void;
  readonly reject: (error: OpenClawError) => void;
}

export class Comparisons {
  readonly #options: ComparisonsOptions;
  readonly #logClock: LogClock;
  readonly #listeners = new Set<(agreement: Agreement) => void>();
  #known: Comparison = NO_COMPARISON;
  #agreement: Agreement = { kind: "sound" };
  /** What is to be reported of `#known.round`. */
  #owed: Finding | null = null;
  #reporting = false;
  #beginning = false;
  /** What was reported of a round up to here was found in another state, in whose place a snapshot came. */
  #installed: Index = index(0);
  #askIn = 0;
  readonly #marks = new LedgerMarks();
  /** The leader's ledger is another one than ours, and no round has begun since that was seen. */
  #suspected = false;
  #suspectedAt: number | null = null;
  #waiting: Waiter[] = [];

  constructor(options: ComparisonsOptions) {
    this.#options = options;
    this.#logClock = new LogClock(options.clock);
  }

  get known(): Comparison {
    return this.#known;
  }

  get agreement(): Agreement {
    return this.#agreement;
  }

  /** The round that found our state to be wrong, in whose place another is to come; null: it is as it should be. */
  get replaces(): Index | null {
    return this.#agreement.kind === "diverged" ? this.#agreement.round : null;
  }

  /** @throws OpenClawError DIVERGED */
  assertSound(): void {
    const { kind } = this.#agreement;
    if (kind !== "sound") throw new OpenClawError("DIVERGED", agreementText(this.#agreement));
  }

  /** Calls back when it is another one; the returned function ends it. */
  follow(listener: (agreement: Agreement) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** The state is open, or a snapshot took its place. What began before that was not hashed here. */
  async open({ installed }: Pick<StoredState, "installed">): Promise<void> {
    this.#installed = installed;
    this.#known = await this.#options.state.read({ kind: "comparison" });
    this.#marks.clear();
    this.#agree({ kind: "sound" });
    this.#owed = this.#known.round > 0 && this.#own(this.#known) === null ? { kind: "gaveUp" } : null;
    this.#judge();
  }

  /** A batch was applied. */
  applied(batch: Applied): void {
    if (this.#marks.applied(batch)) this.#suspect();
    for (const { result } of batch.results) {
      if (result.kind !== "compared") continue;
      this.#known = result.comparison;
      if (result.begun) this.#hash(result.comparison.round);
      this.#judge();
    }
  }

  /** A leader told where its state stands. */
  heard(mark: StateMark): void {
    if (this.#agreement.kind === "sound" && this.#marks.heard(mark)) this.#suspect();
  }

  /** Once a tick. */
  tick(raft: Raft, position: Position): void {
    this.#look();
    if (this.#agreement.kind === "diverged") {
      this.#ask(raft);
      return;
    }
    if (this.#owed !== null) this.#report(this.#owed);
    const { voters, learners } = raft.status().committedMembership;
    const alone = voters.length + learners.length < 2;
    const now = this.#logClock.now(position.logTime);
    const { round, revision, logTime, reports } = this.#known;
    const news = position.revision !== revision && now >= logTime + this.#options.everyMs;
    // What was rebuilt is looked at again.
    const mended = round > 0 && reports.some(({ finding }) => finding.kind === "rebuilt");
    if (raft.role === "leader" && !alone && (news || mended)) this.#begin(raft);
    const undecided = raft.role === "leader" && isUndecided(this.#known);
    if (this.#suspected || undecided) this.#lookInto(raft);
  }

  /**
   * Begins a round, and resolves with what was found when every voter has reported, or when the time is up.
   * @throws OpenClawError OVERLOADED, UNAVAILABLE, MEMBERSHIP_PENDING
   */
  compare(raft: Raft, timeoutMs: number): Promise<Comparison> {
    if (this.#waiting.length >= WAITING_MAX) throw new OpenClawError("OVERLOADED", `${WAITING_MAX} are waiting`);
    const voters = votersOf(raft);
    if (voters === null) throw new OpenClawError("MEMBERSHIP_PENDING", "a round needs to know who votes");
    const { promise, resolve, reject } = Promise.withResolvers<Comparison>();
    const waiter: Waiter = { deadline: this.#options.clock.now() + timeoutMs, round: null, resolve, reject };
    this.#waiting.push(waiter);
    this.#options.propose({ kind: "compareStates", voters }, timeoutMs).then(
      (result) => {
        invariant(result.kind === "compared", "a round was answered with something else");
        waiter.round = result.comparison.round;
      },
      (error: unknown) => {
        this.#waiting = this.#waiting.filter((other) => other !== waiter);
        reject(asOpenClawError(error));
      },
    );
    return promise;
  }

  abandon(error: OpenClawError): void {
    for (const { reject } of this.#waiting) reject(error);
    this.#waiting = [];
  }

  #own({ reports }: Comparison): Finding | null {
    return reports.find(({ node }) => node === this.#options.id)?.finding ?? null;
  }

  #hash(round: Index): void {
    this.#owed = null;
    const hashed = this.#options.state.compare(round).then((sum) => {
      if (this.#known.round !== round || this.#own(this.#known) !== null) return;
      this.#owed = sum === null ? { kind: "gaveUp" } : { kind: "hash", hash: sum.hash };
    });
    this.#guard(hashed);
  }

  #judge(): void {
    // What is applied under a state that is wrong says nothing.
    if (this.#agreement.kind === "diverged") return;
    const verdict = verdictOf(this.#known);
    const { round, splitAt } = this.#known;
    const own = this.#own(this.#known);
    if (verdict.kind === "agreed" && own?.kind === "hash" && !equalBytes(own.hash, verdict.hash)) {
      if (round > this.#installed) {
        this.#owed = null;
        this.#agree({ kind: "diverged", round, ours: own.hash, theirs: verdict.hash });
        this.#options.diverged();
        return;
      }
      this.#owed = { kind: "rebuilt" };
    }
    this.#agree(splitAt > 0 ? { kind: "split", round: splitAt } : { kind: "sound" });
  }

  #agree(agreement: Agreement): void {
    if (agreement.kind === this.#agreement.kind) return;
    this.#agreement = agreement;
    for (const listener of this.#listeners) listener(agreement);
  }

  #ask(raft: Raft): void {
    if (--this.#askIn > 0 || this.#options.receiving()) return;
    this.#askIn = ASK_TICKS;
    raft.askForState();
  }

  #report(finding: Finding): void {
    if (this.#reporting) return;
    this.#reporting = true;
    const { round } = this.#known;
    const { id, propose } = this.#options;
    const reported = propose({ kind: "reportState", round, node: id, finding }, PROPOSE_MS)
      .then(() => {
        if (this.#known.round === round && this.#owed === finding) this.#owed = null;
      })
      .finally(() => {
        this.#reporting = false;
      });
    this.#guard(reported);
  }

  #begin(raft: Raft): void {
    const voters = votersOf(raft);
    if (this.#beginning || voters === null) return;
    this.#beginning = true;
    const begun = this.#options.propose({ kind: "compareStates", voters }, PROPOSE_MS).finally(() => {
      this.#beginning = false;
    });
    this.#guard(begun);
  }

  #suspect(): void {
    this.#suspected = true;
  }

  /** Two that differ do not know which of them is wrong: a round tells. */
  #lookInto(raft: Raft): void {
    const now = this.#options.clock.now();
    if (this.#suspectedAt !== null && now - this.#suspectedAt < SUSPECT_EVERY_MS) return;
    this.#suspectedAt = now;
    this.#suspected = false;
    this.#begin(raft);
  }

  /** Who waits for a round is told when all voters have reported, or when another one took its place. */
  #look(): void {
    if (this.#waiting.length === 0) return;
    const now = this.#options.clock.now();
    const { round, voters, reports } = this.#known;
    const whole = voters.every((voter) => reports.some(({ node }) => node === voter));
    this.#waiting = this.#waiting.filter((waiter) => {
      if (waiter.round === null) return true;
      if (round === waiter.round && !whole && now < waiter.deadline) return true;
      waiter.resolve(this.#known);
      return false;
    });
  }

  /** What may be tried again is, at the next tick. */
  #guard(work: Promise<unknown>): void {
    const { running, failed } = this.#options;
    work.catch((error: unknown) => {
      if (running() && !asOpenClawError(error).retryable) failed(error);
    });
  }
}

/** Null while the members change. */
function votersOf(raft: Raft): readonly NodeId[] | null {
  const { membership, committedMembership } = raft.status();
  return membership !== committedMembership || isJoint(membership) ? null : membership.voters;
}

export function agreementText(agreement: Agreement): string {
  switch (agreement.kind) {
    case "sound":
      return "sound";
    case "diverged": {
      const { round, ours, theirs } = agreement;
      return `as of entry ${round} its state hashes to ${toHex(ours)}, a majority's to ${toHex(theirs)}; it waits for theirs`;
    }
    case "split":
      return `as of entry ${agreement.round} no majority of the replicas holds one state`;
  }
}
