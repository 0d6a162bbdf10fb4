/**
 * A follower's snapshots, from the first chunk to the state that replaces ours: one is staged at a time, and the next
 * waits until Raft has taken or refused it (pitfall 14).
 */
import type { Index, NodeId } from "../ids.ts";
import type { LogStore, SnapshotChunks, SnapshotHeader, StateStore, StoredState } from "../ports.ts";
import type { RaftMessage, SnapshotMeta } from "../raft/message.ts";
import { SnapshotProgress, type SnapshotTransfer } from "./snapshot-progress.ts";

export interface SnapshotReceiverOptions {
  readonly to: NodeId;
  readonly state: StateStore;
  readonly log: LogStore;
  /** @throws OpenClawError STOPPED */
  readonly assertRunning: () => void;
  readonly running: () => boolean;
  /** Resolves when nothing is being applied any more: the snapshot holds what waits. */
  readonly drained: () => Promise<void>;
  /** The bytes are here, checked: Raft may take the snapshot. */
  readonly staged: (message: RaftMessage) => void;
  /** The round that found our state to be wrong, in whose place the snapshot comes; null: it is only older. */
  readonly replaces: () => Index | null;
  /** Resolves when entries may be applied to it. */
  readonly installed: (meta: SnapshotMeta, stored: StoredState, logStays: boolean) => Promise<void>;
}

export class SnapshotReceiver {
  readonly #options: SnapshotReceiverOptions;
  readonly #progress = new SnapshotProgress();
  #installing: Promise<void> | null = null;
  #last: Promise<void> = Promise.resolve();

  constructor(options: SnapshotReceiverOptions) {
    this.#options = options;
  }

  get receiving(): SnapshotTransfer | null {
    return this.#progress.current;
  }

  get installing(): boolean {
    return this.#installing !== null;
  }

  settled(): Promise<void> {
    return this.#installing ?? Promise.resolve();
  }

  /** Resolves when the snapshot is the state, or Raft had no use for it. */
  receive(header: SnapshotHeader, chunks: SnapshotChunks): Promise<void> {
    const turn = this.#last.then(() => this.#take(header, chunks));
    this.#last = turn.catch(() => {});
    return turn;
  }

  /**
   * R8: the new state first, then the log unless that stays, then (by Raft) the acknowledgement. `done` goes on with what
   * waited for it.
   */
  install(meta: SnapshotMeta, logStays: boolean, done: () => void, failed: (error: unknown) => void): void {
    this.#installing = this.#install(meta, logStays).then(() => {
      this.#installing = null;
      done();
    }, failed);
  }

  async #take(header: SnapshotHeader, chunks: SnapshotChunks): Promise<void> {
    const { to, state, assertRunning, staged } = this.#options;
    assertRunning();
    await this.#installing;
    try {
      await state.stage(header, this.#progress.counted(header.from, header, chunks));
    } finally {
      this.#progress.ended();
    }
    staged({ kind: "snapshot", from: header.from, to, term: header.term, meta: header.meta });
    await this.#installing;
  }

  async #install(meta: SnapshotMeta, logStays: boolean): Promise<void> {
    const { state, log, drained, running, replaces, installed } = this.#options;
    await drained();
    if (!running()) return;
    const round = replaces();
    const stored = round === null ? await state.install(meta) : await state.replace(meta, round);
    if (!logStays) await log.reset({ index: meta.index, term: meta.term });
    if (running()) await installed(meta, stored, logStays);
  }
}
