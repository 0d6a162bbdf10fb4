/**
 * Reads the past, and reads the ledger into the history index, between the calls of the state's worker: a few
 * milliseconds at a time, and the index only while nothing is being applied, unless somebody waits for it.
 */
import { OpenClawError } from "@openclaw/core/errors.ts";
import { History } from "@openclaw/core/history/history.ts";
import type { HistoryAnswer, HistoryQuery } from "@openclaw/core/history/history-query.ts";
import type { HistorySource } from "@openclaw/core/history/history-source.ts";
import type { Position } from "@openclaw/core/state-machine/query.ts";
import { SlicedWork } from "./sliced-work.ts";

/** Ms without an apply after which the worker counts as idle. */
const IDLE_MS = 100;
/** Revisions that the index may be behind before it is brought up also under load. */
const LAG_MAX = 100_000;
/** Reads of the past under way; each holds the answer that it is making. */
const READS_MAX = 64;

export class HistoryWork {
  readonly #history: History;
  readonly #failed: (error: unknown) => void;
  readonly #work = new SlicedWork();
  readonly #reads = new Set<Promise<unknown>>();
  /** How far upkeep had come when it last ended, and where the state is. */
  #done: Pick<Position, "revision" | "compacted">;
  #reached: Pick<Position, "revision" | "compacted">;
  #upkeep = false;
  #idle: NodeJS.Timeout | null = null;
  #closed: OpenClawError | null = null;

  /** @param failed told why the index could not be brought up while nobody waited for it */
  constructor(source: HistorySource, failed: (error: unknown) => void) {
    this.#history = new History(source);
    this.#failed = failed;
    this.#done = { revision: this.#history.indexed, compacted: this.#history.pruned };
    this.#reached = this.#done;
    // What was there before the start may lack something, too.
    this.#whenIdle();
  }

  /** @throws OpenClawError OVERLOADED, and those of `History.read` */
  read<Q extends HistoryQuery>(question: Q): Promise<HistoryAnswer<Q>> {
    if (this.#closed !== null) return Promise.reject(this.#closed);
    if (this.#reads.size >= READS_MAX)
      return Promise.reject(new OpenClawError("OVERLOADED", `${READS_MAX} reads of the past are under way`));
    const answer = this.#work.run(this.#history.read(question));
    this.#reads.add(answer);
    const ended = (): boolean => this.#reads.delete(answer);
    answer.then(ended, ended);
    return answer;
  }

  /** What a compaction left superfluous is still there. */
  get removing(): boolean {
    return this.#reached.compacted > this.#done.compacted;
  }

  /** The state is there now: the index waits until nothing more is applied; a compaction does not. */
  applied({ revision, compacted }: Pick<Position, "revision" | "compacted">): void {
    this.#reached = { revision, compacted };
    if (this.#upkeep || this.#closed !== null) return;
    if (revision - this.#done.revision > LAG_MAX || compacted > this.#done.compacted) this.#keepUp();
    else if (revision > this.#done.revision) this.#whenIdle();
  }

  #whenIdle(): void {
    if (this.#idle === null) this.#idle = setTimeout(() => this.#keepUp(), IDLE_MS);
    else this.#idle.refresh();
  }

  /** What is under way is told `reason`: resolves when all of it was. Nothing is done any more from the call on. */
  async close(reason: OpenClawError): Promise<void> {
    this.#closed = reason;
    if (this.#idle !== null) clearTimeout(this.#idle);
    this.#work.close(reason);
    await Promise.allSettled(this.#reads);
  }

  #keepUp(): void {
    this.#upkeep = true;
    this.#work.run(this.#keeping()).then(
      () => {
        this.#upkeep = false;
        this.#done = { revision: this.#history.indexed, compacted: this.#history.pruned };
        this.applied(this.#reached);
      },
      (error: unknown) => {
        this.#upkeep = false;
        if (this.#closed === null) this.#failed(error);
      },
    );
  }

  *#keeping(): Generator<void, void> {
    yield* this.#history.catchUp();
    yield* this.#history.prune();
  }
}
