/**
 * Looks for an order of a history's steps that the model accepts and that keeps real time (Herlihy and Wing 1990), by the
 * search of Wing and Gong (1993) with Lowe's memory of visited configurations (2017): take, of the steps that are open,
 * one that the state accepts; go on from there; come back and take another.
 *
 * Three things keep it small. A step that only observes is taken as soon as the state accepts it, with no alternative:
 * moving it to the front of what follows changes nothing for the others. Steps that do the same are taken in one order
 * only. A step of unknown outcome is tried last, and only where the next step would go another way without it; and what
 * has used more of them than an earlier visit is not looked at (`Visited`). Beyond these, the model may see that a way is
 * hopeless (`Outlook`).
 */
import { type Model, type Outlook, REFUSED, type Timed } from "./model.ts";
import { type Spares, type Timeline, timelineOf } from "./timeline.ts";
import { Visited } from "./visited.ts";

export interface SearchBudget {
  /** Monotonic milliseconds. */
  readonly now: () => number;
  /** On the same clock. */
  readonly deadline: number;
  readonly bytes: number;
}

export type Found =
  /** `order`: indexes of all steps that took effect, in an order that the model accepts. */
  | { readonly kind: "order"; readonly order: readonly number[] }
  | { readonly kind: "none" }
  | { readonly kind: "unknown"; readonly because: "time" | "memory" };

const ROUNDS_BETWEEN_LOOKS_AT_CLOCK = 256;
/** What a state costs besides its key: its places in a map and an array. */
const STATE_BYTES = 100;

export function search<State, Step>(
  model: Model<State, Step>,
  steps: readonly Timed<Step>[],
  budget: SearchBudget,
): Found {
  return new Search(model, steps, budget).run();
}

/** A configuration on the way, and which of its alternatives comes next. */
interface Frame {
  readonly position: number;
  readonly state: number;
  /** Length of the trail here. */
  readonly trail: number;
  next: number;
}

class Search<State, Step> {
  readonly #model: Model<State, Step>;
  readonly #steps: readonly Timed<Step>[];
  readonly #budget: SearchBudget;
  readonly #timeline: Timeline<Step>;
  readonly #outlook: Outlook<State>;
  readonly #visited: Visited;
  readonly #probe: Int32Array;
  readonly #slotWords: number;
  readonly #states: State[] = [];
  readonly #stateNumbers = new Map<string | number | null, number>();
  #stateBytes = 0;
  /** 1 for each step that has its place. */
  readonly #placed: Uint8Array;
  /** How many of each kin's spares are used. */
  readonly #used: Int32Array;
  /** What was placed, in order. */
  readonly #trail: number[] = [];
  readonly #frames: Frame[] = [];

  constructor(model: Model<State, Step>, steps: readonly Timed<Step>[], budget: SearchBudget) {
    this.#model = model;
    this.#steps = steps;
    this.#budget = budget;
    this.#timeline = timelineOf(model, steps);
    this.#outlook = model.outlook(steps);
    this.#slotWords = Math.ceil(this.#timeline.slotCount / 32);
    const setWords = Math.ceil(this.#timeline.spareCount / 32);
    this.#probe = new Int32Array(2 + this.#slotWords + setWords);
    this.#visited = new Visited(2 + this.#slotWords, setWords, budget.bytes - this.#timeline.size * 8);
    this.#placed = new Uint8Array(steps.length);
    this.#used = new Int32Array(this.#timeline.kinCount);
  }

  run(): Found {
    let entered = this.#enter(0, this.#number(this.#model.initial));
    for (let round = 0; entered !== "end"; round++) {
      if (entered === "full") return { kind: "unknown", because: "memory" };
      if (round % ROUNDS_BETWEEN_LOOKS_AT_CLOCK === 0 && this.#budget.now() > this.#budget.deadline) {
        return { kind: "unknown", because: "time" };
      }
      const frame = this.#frames.at(-1);
      if (frame === undefined) break;
      this.#undo(frame.trail);
      const state = this.#takeNext(frame);
      if (state === null) this.#frames.pop();
      else entered = this.#enter(frame.position, state);
    }
    if (entered === "end") return { kind: "order", order: [...this.#trail] };
    return { kind: "none" };
  }

  /** Goes on from where a step was placed: to the end, to a new configuration, or nowhere. */
  #enter(from: number, state: number): "end" | "entered" | "covered" | "full" {
    const position = this.#placeObservers(from, state);
    if (position === this.#timeline.returns.length) return "end";
    this.#fillProbe(position, state);
    const visit =
      this.#stateBytes + this.#visited.bytes > this.#budget.bytes ? "full" : this.#visited.visit(this.#probe);
    if (visit !== "new") return visit;
    this.#frames.push({ position, state, trail: this.#trail.length, next: 0 });
    return "entered";
  }

  /** Places every open observer that the state accepts. @returns the position of the first return without a place */
  #placeObservers(from: number, state: number): number {
    const { returns, observers } = this.#timeline;
    for (let position = from; ; position++) {
      for (const index of observers[position] ?? []) {
        if (this.#placed[index] === 0 && this.#after(state, index) !== null) this.#place(index);
      }
      const returning = returns[position];
      if (returning === undefined || this.#placed[returning] === 0) return position;
    }
  }

  /** Places the next alternative of a configuration. @returns the state after it; null if there is none left */
  #takeNext(frame: Frame): number | null {
    const { position, state } = frame;
    const writers = this.#timeline.writers[position] ?? [];
    while (frame.next < writers.length) {
      const index = writers[frame.next++] ?? 0;
      if (this.#placed[index] === 1 || this.#hasOpenKin(writers, index)) continue;
      const after = this.#after(state, index);
      if (after === null) continue;
      this.#place(index);
      if (!this.#isHopeless(state, after)) return after;
      this.#undo(frame.trail);
    }
    const spares = this.#timeline.spares[position] ?? [];
    while (frame.next < writers.length + spares.length) {
      const group = spares[frame.next++ - writers.length];
      if (group === undefined) break;
      const used = this.#used[group.kin] ?? 0;
      const index = group.members[used];
      if (index === undefined || (group.from[used] ?? 0) > position || this.#hasOpenKin(writers, index)) continue;
      const after = this.#after(state, index);
      if (after === null || after === state || !this.#makesDifference(position, state, after, group)) continue;
      this.#place(index);
      if (!this.#isHopeless(state, after)) return after;
      this.#undo(frame.trail);
    }
    return null;
  }

  /** Whether a step that does the same has no place yet and returns earlier; of those the earliest comes first. */
  #hasOpenKin(writers: readonly number[], index: number): boolean {
    const { kin } = this.#timeline;
    for (const other of writers) {
      if (other === index) return false;
      if (this.#placed[other] === 0 && kin[other] === kin[index]) return true;
    }
    return false;
  }

  /** Whether some step that may come next goes another way from `after` than from `state`. */
  #makesDifference(position: number, state: number, after: number, used: Spares<Step>): boolean {
    const differs = (index: number): boolean => {
      const result = this.#after(after, index);
      return result !== null && result !== this.#after(state, index);
    };
    const { observers, writers, spares } = this.#timeline;
    for (const index of observers[position] ?? []) if (this.#placed[index] === 0 && differs(index)) return true;
    for (const index of writers[position] ?? []) if (this.#placed[index] === 0 && differs(index)) return true;
    for (const { kin, members, from } of spares[position] ?? []) {
      const next = (this.#used[kin] ?? 0) + (kin === used.kin ? 1 : 0);
      const index = members[next];
      if (index !== undefined && (from[next] ?? 0) <= position && differs(index)) return true;
    }
    return false;
  }

  #isHopeless(before: number, after: number): boolean {
    return this.#outlook.isHopeless(this.#state(before), this.#state(after));
  }

  #place(index: number): void {
    this.#mark(index, 1);
    this.#trail.push(index);
    this.#outlook.placed(index);
  }

  #undo(length: number): void {
    while (this.#trail.length > length) {
      const index = this.#trail.pop() ?? 0;
      this.#mark(index, 0);
      this.#outlook.unplaced(index);
    }
  }

  #mark(index: number, placed: 0 | 1): void {
    this.#placed[index] = placed;
    if (this.#steps[index]?.kind === "must") return;
    const kin = this.#timeline.kin[index] ?? 0;
    this.#used[kin] = (this.#used[kin] ?? 0) + (placed === 1 ? 1 : -1);
  }

  /** The state after a step; null if it is refused. */
  #after(state: number, index: number): number | null {
    const before = this.#state(state);
    const timed = this.#steps[index];
    if (timed === undefined) throw new RangeError(`there is no step ${index}`);
    const after = this.#model.step(before, timed.step);
    if (after === REFUSED) return null;
    return after === before ? state : this.#number(after);
  }

  #state(number: number): State {
    const state = this.#states[number];
    if (state === undefined) throw new RangeError(`there is no state ${number}`);
    return state;
  }

  #number(state: State): number {
    const key = this.#model.key(state);
    const known = this.#stateNumbers.get(key);
    if (known !== undefined) return known;
    const number = this.#states.push(state) - 1;
    this.#stateNumbers.set(key, number);
    this.#stateBytes += STATE_BYTES + (typeof key === "string" ? key.length * 2 : 0);
    return number;
  }

  #fillProbe(position: number, state: number): void {
    const { observers, writers, spares, slots } = this.#timeline;
    const probe = this.#probe.fill(0);
    probe[0] = position;
    probe[1] = state;
    const setBit = (firstWord: number, bit: number): void => {
      const word = firstWord + (bit >>> 5);
      probe[word] = (probe[word] ?? 0) | (1 << (bit & 31));
    };
    for (const index of observers[position] ?? []) if (this.#placed[index] === 1) setBit(2, slots[index] ?? 0);
    for (const index of writers[position] ?? []) if (this.#placed[index] === 1) setBit(2, slots[index] ?? 0);
    for (const { kin, bit } of spares[position] ?? []) {
      const used = this.#used[kin] ?? 0;
      for (let i = 0; i < used; i++) setBit(2 + this.#slotWords, bit + i);
    }
  }
}
