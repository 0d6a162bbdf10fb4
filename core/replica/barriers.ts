/**
 * Callers of a linearizable read: all that wait share one ReadIndex round, and are let through when its index is applied
 * (thesis §6.4). A round that was lost is asked again under a new number; an old round's answer still counts for those
 * who waited when it was asked, never for later ones (pitfall 3).
 */
import { OpenClawError } from "../errors.ts";
import type { Index } from "../ids.ts";
import type { Clock } from "../ports.ts";
import type { ReadState } from "../raft/ready.ts";

/** Callers that may wait at once; beyond: OVERLOADED. */
const BARRIERS_MAX = 10_000;
/** A round without an answer is asked again after this long, in ms. */
const RETRY_MS = 500;

interface Barrier {
  readonly deadline: number;
  readonly resolve: () => void;
  readonly reject: (error: OpenClawError) => void;
}

interface Round {
  readonly asked: number;
  readonly barriers: readonly Barrier[];
}

export class Barriers {
  readonly #clock: Clock;
  #next: Barrier[] = [];
  readonly #rounds = new Map<number, Round>();
  /** Confirmed, waiting for apply. */
  #confirmed: { readonly index: Index; readonly barriers: readonly Barrier[] }[] = [];
  #lastContext = 0;
  #count = 0;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  get waiting(): number {
    return this.#count;
  }

  /** Resolves when a local read is linearizable. @throws OpenClawError OVERLOADED, UNAVAILABLE */
  wait(timeoutMs: number): Promise<void> {
    if (this.#count >= BARRIERS_MAX) throw new OpenClawError("OVERLOADED", `${BARRIERS_MAX} reads are waiting`);
    this.#count++;
    return new Promise((resolve, reject) => {
      this.#next.push({
        deadline: this.#clock.now() + timeoutMs,
        resolve: () => {
          this.#count--;
          resolve();
        },
        reject: (error) => {
          this.#count--;
          reject(error);
        },
      });
    });
  }

  /** The number of a new round for everyone who waits for one, or null. One round is asked at a time (R1). */
  ask(): number | null {
    if (this.#next.length === 0 || this.#rounds.size > 0) return null;
    const context = ++this.#lastContext;
    this.#rounds.set(context, { asked: this.#clock.now(), barriers: this.#next });
    this.#next = [];
    return context;
  }

  confirmed(state: ReadState, applied: Index): void {
    const round = this.#rounds.get(state.context);
    if (round === undefined) return;
    this.#rounds.delete(state.context);
    this.#confirmed.push({ index: state.index, barriers: round.barriers });
    this.applied(applied);
  }

  dropped(context: number): void {
    const round = this.#rounds.get(context);
    if (round === undefined) return;
    this.#rounds.delete(context);
    this.#next.unshift(...round.barriers);
  }

  applied(applied: Index): void {
    if (this.#confirmed.length === 0) return;
    const waiting = [];
    for (const group of this.#confirmed) {
      if (group.index <= applied) for (const barrier of group.barriers) barrier.resolve();
      else waiting.push(group);
    }
    this.#confirmed = waiting;
  }

  /** Once a tick: lost rounds are asked again, and who is past the deadline is told. */
  tick(): void {
    if (this.#count === 0) return;
    const now = this.#clock.now();
    for (const [context, round] of this.#rounds) if (now - round.asked >= RETRY_MS) this.dropped(context);
    this.#next = this.#next.filter((barrier) => keep(barrier, now));
    this.#confirmed = this.#confirmed.map(({ index, barriers }) => ({
      index,
      barriers: barriers.filter((barrier) => keep(barrier, now)),
    }));
  }

  abandon(error: OpenClawError): void {
    for (const context of [...this.#rounds.keys()]) this.dropped(context);
    for (const barrier of this.#next) barrier.reject(error);
    for (const group of this.#confirmed) for (const barrier of group.barriers) barrier.reject(error);
    this.#next = [];
    this.#confirmed = [];
  }
}

function keep(barrier: Barrier, now: number): boolean {
  if (now < barrier.deadline) return true;
  barrier.reject(new OpenClawError("UNAVAILABLE", "no majority confirmed the read in time"));
  return false;
}
