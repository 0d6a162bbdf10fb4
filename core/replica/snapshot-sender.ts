/** Followers that fell behind the log get a copy of the state, one after the other, and no faster than they should. */
import { OpenClawError } from "../errors.ts";
import { type Index, index, type NodeId, type Term } from "../ids.ts";
import type { Clock, SnapshotChunks, StateStore, Transport } from "../ports.ts";
import { SnapshotProgress, type SnapshotTransfer } from "./snapshot-progress.ts";
import { TokenBucket } from "./token-bucket.ts";

/** A copy of the state is costly: after a failed transfer the next one waits this long, ms. */
const REST_MS = 2_000;
/**
 * Bytes a second of a snapshot on its way out, unless configured: a gigabyte a minute, and an eighth of what a gigabit
 * link carries, so that heartbeats and appends pass.
 */
export const SNAPSHOT_BYTES_PER_SECOND = 16 * 1_048_576;
/** What may go at once. */
export const BURST_BYTES = 262_144;

export interface SnapshotSenderOptions {
  readonly from: NodeId;
  readonly state: StateStore;
  readonly transport: Transport;
  readonly clock: Clock;
  readonly bytesPerSecond: number;
  readonly running: () => boolean;
  /** False while our state is wrong: no copy of it goes on. */
  readonly sound: () => boolean;
  readonly term: () => Term;
  /** What the log follows: a copy that ends before it would leave a gap. */
  readonly base: () => Index;
  /** The follower has staged it, or was not reached. */
  readonly ended: (to: NodeId, outcome: "sent" | "failed") => void;
  readonly failed: (error: unknown) => void;
}

export class SnapshotSender {
  readonly #options: SnapshotSenderOptions;
  readonly #bucket: TokenBucket;
  readonly #progress = new SnapshotProgress();
  /** At most one a member, with the least index that it has to be of. */
  readonly #wanted = new Map<NodeId, Index>();
  #sending = false;

  constructor(options: SnapshotSenderOptions) {
    this.#options = options;
    this.#bucket = new TokenBucket(options.clock, options.bytesPerSecond, BURST_BYTES);
  }

  get sending(): SnapshotTransfer | null {
    return this.#progress.current;
  }

  /** @param atLeast of this index or later: what lets the follower go on */
  want(to: NodeId, atLeast: Index): void {
    this.#wanted.set(to, atLeast);
    this.#next();
  }

  #next(): void {
    const [wanted] = this.#wanted;
    if (wanted === undefined || this.#sending || !this.#options.running()) return;
    const [to, atLeast] = wanted;
    this.#wanted.delete(to);
    this.#sending = true;
    this.#send(to, atLeast)
      .then(
        () => this.#options.ended(to, "sent"),
        async (error: unknown) => {
          // Unreachable, or no room for a copy. What else a store says of itself is no failed transfer.
          if (!(error instanceof OpenClawError && error.retryable)) throw error;
          this.#options.ended(to, "failed");
          await new Promise<void>((resolve) => this.#options.clock.after(REST_MS, resolve));
        },
      )
      .then(() => {
        this.#sending = false;
        this.#next();
      })
      .catch((error: unknown) => this.#options.failed(error));
  }

  async #send(to: NodeId, atLeast: Index): Promise<void> {
    const { from, state, transport, term, base } = this.#options;
    const snapshot = await state.snapshot(index(Math.max(atLeast, base())));
    try {
      const { meta, epoch, hash, pieces, bytes } = snapshot;
      const chunks = this.#progress.counted(to, snapshot, this.#limited(snapshot.chunks));
      await transport.sendSnapshot(to, { from, term: term(), meta, epoch, hash, pieces, bytes }, chunks);
    } finally {
      this.#progress.ended();
      await snapshot.dispose();
    }
  }

  #limited(chunks: SnapshotChunks): SnapshotChunks {
    const bucket = this.#bucket;
    const { sound } = this.#options;
    return async function* (from) {
      for await (const chunk of chunks(from)) {
        await bucket.take(chunk.length);
        if (!sound()) throw new OpenClawError("UNAVAILABLE", "the state that is sent was found to be wrong");
        yield chunk;
      }
    };
  }
}
