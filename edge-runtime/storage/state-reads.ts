/**
 * Reads of the state as it is, between the calls of its worker: what is more than a moment's work goes on in slices, from
 * the position at which it began, while entries are applied.
 */
import { OpenClawError } from "@openclaw/core/errors.ts";
import { FrozenView } from "@openclaw/core/state-machine/frozen-view.ts";
import type { Answer, Query } from "@openclaw/core/state-machine/query.ts";
import { querySteps } from "@openclaw/core/state-machine/query-run.ts";
import type { StateView, Write } from "@openclaw/core/state-machine/view.ts";
import { sha256 } from "./sha256.ts";
import { SlicedWork } from "./sliced-work.ts";

/** Long reads under way: each holds the answer that it is making. */
const LONG_READS_MAX = 64;
/** Bytes of rows that one long read keeps because they were replaced meanwhile. */
const KEPT_BYTES_MAX = 4_194_304;

export class StateReads {
  readonly #state: StateView;
  readonly #work = new SlicedWork();
  /** With what each long read sees. */
  readonly #views = new Map<Promise<unknown>, FrozenView>();

  constructor(state: StateView) {
    this.#state = state;
  }

  /** The answer itself where it is a moment's work. @throws OpenClawError OVERLOADED, UNAVAILABLE, STOPPED */
  read<Q extends Query>(question: Q): Answer<Q> | Promise<Answer<Q>> {
    const view = new FrozenView(this.#state, KEPT_BYTES_MAX);
    const steps = querySteps(view, question, sha256);
    const first = steps.next();
    if (first.done === true) return first.value;
    if (this.#work.size >= LONG_READS_MAX)
      throw new OpenClawError("OVERLOADED", `${LONG_READS_MAX} long reads are under way`);
    const answer = this.#work.run(steps);
    this.#views.set(answer, view);
    const ended = (): boolean => this.#views.delete(answer);
    answer.then(ended, ended);
    return answer;
  }

  /** To be called before these are written. */
  replaced(writes: readonly Write[]): void {
    for (const view of this.#views.values()) view.replaced(writes);
  }

  /** What is under way is told `reason`: resolves when all of it was. Nothing is read any more from the call on. */
  async close(reason: OpenClawError): Promise<void> {
    const told = Promise.allSettled(this.#views.keys());
    this.#work.close(reason);
    await told;
  }
}
