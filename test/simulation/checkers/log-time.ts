/**
 * T1: log time is the same at all replicas; between any two committed entries it grew by no more than passed in the world
 * between their making (so that nothing that lasts until a log time ends early), and by no less while one leader was at
 * work (or nothing would ever end). Computed from the moments of the world alone: no stamp is read.
 */
import type { NodeId } from "@openclaw/core/ids.ts";
import type { Entry } from "@openclaw/core/raft/message.ts";
import { DRIFT } from "../scenario.ts";

/** A stamp is in whole ms, and what it leaves over is in a later one. */
const ROUNDING_MS = 1;
/** Of floating-point sums of moments. */
const EPSILON_MS = 1e-3;

interface Timed {
  readonly index: number;
  readonly term: number;
  readonly madeAt: number;
  readonly logTime: number;
}

export class LogTime {
  readonly #violation: (text: string) => void;
  /** When an entry was made, by index and term: the first time that anybody was asked to write it. */
  readonly #made = new Map<string, number>();
  /** What log time was after each applied index that ended a batch somewhere. */
  readonly #times = new Map<number, number>();
  /** The newest batch end of all. */
  #last: Timed = { index: 0, term: 0, madeAt: 0, logTime: 0 };
  /** The least that log time ever was ahead of the world, if all clocks run as fast as they may. */
  #ahead = 0;

  constructor(violation: (text: string) => void) {
    this.#violation = violation;
  }

  appending(entries: readonly Entry[], now: number): void {
    for (const { index, term } of entries) {
      const name = `${index}@${term}`;
      if (!this.#made.has(name)) this.#made.set(name, now);
    }
  }

  applied(node: NodeId, entries: readonly Entry[], logTime: number): void {
    const last = entries.at(-1);
    if (last === undefined || !this.#agrees(node, last.index, logTime) || last.index <= this.#last.index) return;
    const { index, term } = last;
    const madeAt = this.#made.get(`${index}@${term}`);
    if (madeAt === undefined) return this.#violation(`nobody wrote entry ${index} of term ${term}, which was applied`);
    const before = this.#last;
    this.#last = { index, term, madeAt, logTime };
    this.#grew(before, this.#last);
  }

  installed(node: NodeId, index: number, logTime: number): void {
    this.#agrees(node, index, logTime);
  }

  #agrees(node: NodeId, index: number, logTime: number): boolean {
    const known = this.#times.get(index);
    this.#times.set(index, known ?? logTime);
    if (known === undefined || known === logTime) return true;
    this.#violation(`at index ${index} ${node} has log time ${logTime}, another has ${known}`);
    return false;
  }

  #grew(before: Timed, after: Timed): void {
    const grown = after.logTime - before.logTime;
    const passed = after.madeAt - before.madeAt;
    const what = `log time grew by ${grown} ms from index ${before.index} to ${after.index}, made ${passed} ms apart`;
    if (grown < 0) this.#violation(what);
    const ahead = after.logTime - after.madeAt * (1 + DRIFT);
    if (ahead > this.#ahead + ROUNDING_MS + EPSILON_MS) this.#violation(`${what}: a lease would have ended early`);
    this.#ahead = Math.min(this.#ahead, ahead);
    if (before.term === after.term && grown < passed * (1 - DRIFT) - ROUNDING_MS - EPSILON_MS)
      this.#violation(`${what}, in one term: a lease would end late`);
  }
}
