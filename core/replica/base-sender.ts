/** A base goes to who backs the cluster up: one at a time, no faster than a snapshot, and only while the state is right. */
import { EMPTY_BYTES } from "../bytes.ts";
import { OpenClawError } from "../errors.ts";
import type { Index } from "../ids.ts";
import type { Clock, StateStore } from "../ports.ts";
import { BURST_BYTES } from "./snapshot-sender.ts";
import { TokenBucket } from "./token-bucket.ts";

export interface BaseSenderOptions {
  readonly state: StateStore;
  readonly clock: Clock;
  readonly bytesPerSecond: number;
  readonly applied: () => Index;
  /** @throws OpenClawError STOPPED, DIVERGED */
  readonly assertServing: () => void;
}

export class BaseSender {
  readonly #options: BaseSenderOptions;
  readonly #bucket: TokenBucket;
  #sending = false;

  constructor(options: BaseSenderOptions) {
    this.#options = options;
    this.#bucket = new TokenBucket(options.clock, options.bytesPerSecond, BURST_BYTES);
  }

  /**
   * The parts as `encodeBasePart` writes them, of a state that has everything applied by now. The first item is empty and
   * comes at once: it says that the base is being made. @throws OpenClawError OVERLOADED, UNAVAILABLE, STORAGE_FULL, BAD_REQUEST
   */
  async *parts(): AsyncGenerator<Uint8Array> {
    const { state, applied, assertServing } = this.#options;
    assertServing();
    if (this.#sending) throw new OpenClawError("OVERLOADED", "a base is being sent");
    this.#sending = true;
    try {
      yield EMPTY_BYTES;
      const base = await state.base(applied());
      try {
        for await (const part of base.parts()) {
          await this.#bucket.take(part.length);
          assertServing();
          yield part;
        }
      } finally {
        await base.dispose();
      }
    } finally {
      this.#sending = false;
    }
  }
}
