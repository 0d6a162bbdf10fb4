/** How far the one snapshot is that this node sends, or the one that it receives. */
import type { Index, NodeId } from "../ids.ts";
import type { SnapshotChunks, SnapshotContent } from "../ports.ts";

export interface SnapshotTransfer {
  readonly peer: NodeId;
  /** Last entry in the snapshot. */
  readonly index: Index;
  readonly bytes: number;
  /** Where an earlier transfer of the same snapshot had stopped. */
  readonly resumedAt: number;
  /** Bytes of the snapshot that have gone, or come, those of earlier transfers included. */
  readonly done: number;
}

export class SnapshotProgress {
  #current: SnapshotTransfer | null = null;

  /** Null when nothing is on its way. */
  get current(): SnapshotTransfer | null {
    return this.#current;
  }

  /** The same chunks, counted as they are taken. */
  counted(peer: NodeId, { meta, bytes }: SnapshotContent, chunks: SnapshotChunks): SnapshotChunks {
    const progress = this;
    return async function* (from) {
      let transfer: SnapshotTransfer = { peer, index: meta.index, bytes, resumedAt: from, done: from };
      progress.#current = transfer;
      for await (const chunk of chunks(from)) {
        yield chunk;
        transfer = { ...transfer, done: transfer.done + chunk.length };
        progress.#current = transfer;
      }
    };
  }

  ended(): void {
    this.#current = null;
  }
}
