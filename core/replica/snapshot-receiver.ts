/**
 * A follower's snapshots, from the first chunk to the state that replaces ours: one is staged at a time, and the next
 * waits until Raft has taken or refused it (pitfall 14).
 */
import type { NodeId } from "../ids.ts";
import type { LogStore, SnapshotHeader, StateStore, StoredState } from "../ports.ts";
import type { RaftMessage, SnapshotMeta } from "../raft/message.ts";

export interface SnapshotReceiverOptions {
  readonly to: NodeId;
  readonly state: StateStore;
  readonly log: LogStore;
  /** @throws OpenClawError STOPPED */
  readonly assertRunning: () => void;
  readonly running: () => boolean;
  /** Resolves when nothing is being applied any more: the snapshot holds what waits. */
  readonly drained: () => Promise<void>;
  readonly staged: (message: RaftMessage) => void;
  readonly installed: (meta: SnapshotMeta, stored: StoredState) => void;
}

export class SnapshotReceiver {
  readonly #options: SnapshotReceiverOptions;
  #installing: Promise<void> | null = null;
  #last: Promise<void> = Promise.resolve();

  constructor(options: SnapshotReceiverOptions) {
    this.#options = options;
  }

  get installing(): boolean {
    return this.#installing !== null;
  }

  settled(): Promise<void> {
    return this.#installing ?? Promise.resolve();
  }

  receive(header: SnapshotHeader, chunks: AsyncIterable<Uint8Array>): Promise<void> {
    const { to, state, assertRunning, staged } = this.#options;
    const turn = this.#last.then(async () => {
      assertRunning();
      await this.#installing;
      await state.stage(header, chunks);
      staged({ kind: "snapshot", from: header.from, to, term: header.term, meta: header.meta });
      await this.#installing;
    });
    this.#last = turn.catch(() => {});
    return turn;
  }

  /** R8: the new state first, then the log, then (by Raft) the acknowledgement. `done` goes on with what waited for it. */
  install(meta: SnapshotMeta, done: () => void, failed: (error: unknown) => void): void {
    this.#installing = this.#install(meta).then(() => {
      this.#installing = null;
      done();
    }, failed);
  }

  async #install(meta: SnapshotMeta): Promise<void> {
    const { state, log, drained, running, installed } = this.#options;
    await drained();
    if (!running()) return;
    const stored = await state.install(meta);
    await log.reset({ index: meta.index, term: meta.term });
    if (running()) installed(meta, stored);
  }
}
