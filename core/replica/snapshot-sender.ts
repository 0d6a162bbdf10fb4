/** Followers that fell behind the log get a copy of the state, one after the other. */
import { OpenClawError } from "../errors.ts";
import type { NodeId, Term } from "../ids.ts";
import type { Clock, StateStore, Transport } from "../ports.ts";

/** A copy of the state is costly: after a failed transfer the next one waits this long, ms. */
const REST_MS = 2_000;

export interface SnapshotSenderOptions {
  readonly from: NodeId;
  readonly state: StateStore;
  readonly transport: Transport;
  readonly clock: Clock;
  readonly running: () => boolean;
  readonly term: () => Term;
  /** The follower has staged it, or was not reached. */
  readonly ended: (to: NodeId, outcome: "sent" | "failed") => void;
  readonly failed: (error: unknown) => void;
}

export class SnapshotSender {
  readonly #options: SnapshotSenderOptions;
  /** At most one a voter. */
  readonly #wanted = new Set<NodeId>();
  #sending = false;

  constructor(options: SnapshotSenderOptions) {
    this.#options = options;
  }

  want(followers: readonly NodeId[]): void {
    for (const to of followers) this.#wanted.add(to);
    this.#next();
  }

  #next(): void {
    const [to] = this.#wanted;
    if (to === undefined || this.#sending || !this.#options.running()) return;
    this.#wanted.delete(to);
    this.#sending = true;
    this.#send(to)
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

  async #send(to: NodeId): Promise<void> {
    const { from, state, transport, term } = this.#options;
    const snapshot = await state.snapshot();
    try {
      const { meta, epoch, hash, bytes } = snapshot;
      await transport.sendSnapshot(to, { from, term: term(), meta, epoch, hash, bytes }, snapshot.chunks());
    } finally {
      await snapshot.dispose();
    }
  }
}
