/** Snapshots that a leader sends us: staged one after the other, each until Raft has taken or refused it (pitfall 14). */
import type { SnapshotChunks, SnapshotHeader, StateStore } from "../ports.ts";
import { SnapshotProgress, type SnapshotTransfer } from "./snapshot-progress.ts";

export interface SnapshotReceiverOptions {
  readonly state: StateStore;
  /** @throws OpenClawError STOPPED */
  readonly assertRunning: () => void;
  /** An install in work; null when there is none. */
  readonly installing: () => Promise<void> | null;
  /** The bytes are here, checked: Raft may take the snapshot. */
  readonly staged: (header: SnapshotHeader) => void;
}

export class SnapshotReceiver {
  readonly #options: SnapshotReceiverOptions;
  readonly #progress = new SnapshotProgress();
  #last: Promise<void> = Promise.resolve();

  constructor(options: SnapshotReceiverOptions) {
    this.#options = options;
  }

  get receiving(): SnapshotTransfer | null {
    return this.#progress.current;
  }

  /** Resolves when the snapshot is the state, or Raft had no use for it. */
  receive(header: SnapshotHeader, chunks: SnapshotChunks): Promise<void> {
    const turn = this.#last.then(() => this.#take(header, chunks));
    this.#last = turn.catch(() => {});
    return turn;
  }

  async #take(header: SnapshotHeader, chunks: SnapshotChunks): Promise<void> {
    const { state, assertRunning, installing, staged } = this.#options;
    assertRunning();
    await installing();
    try {
      await state.stage(header, this.#progress.counted(header.from, header, chunks));
    } finally {
      this.#progress.ended();
    }
    staged(header);
    await installing();
  }
}
