/** R7: the Raft log is cut only behind what a complete checkpoint of the state covers. */
import { invariant } from "../errors.ts";
import type { LogStore, StateStore } from "../ports.ts";
import type { Raft } from "../raft/raft.ts";
import type { LogRetention } from "./log-retention.ts";

export class Compaction {
  readonly #state: StateStore;
  readonly #log: LogStore;
  readonly #retention: LogRetention;
  #running = false;

  constructor(state: StateStore, log: LogStore, retention: LogRetention) {
    this.#state = state;
    this.#log = log;
    this.#retention = retention;
  }

  /** Cuts the log if that is due. Rejects with what the stores throw. */
  async consider(raft: Raft): Promise<void> {
    if (this.#retention.due()) await this.now(raft);
  }

  /**
   * The same, due or not (S5). What a follower lacks stays as ever: a snapshot for it would take more room than its
   * entries do. Rejects as `consider`.
   */
  async now(raft: Raft): Promise<void> {
    if (this.#running) return;
    this.#running = true;
    this.#retention.tried();
    await this.#cut(raft);
    this.#running = false;
  }

  async #cut(raft: Raft): Promise<void> {
    const { applied } = await this.#state.checkpoint();
    const cut = this.#retention.cut(applied, raft.slowestMatch);
    if (cut === null || cut < raft.status().firstIndex) return;
    const term = raft.termAt(cut);
    invariant(term !== null, "the log is cut at an entry it holds");
    raft.compact(cut);
    this.#retention.compacted(cut);
    await this.#log.compact({ index: cut, term });
  }
}
