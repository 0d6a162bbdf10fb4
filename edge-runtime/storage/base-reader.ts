/**
 * A base, read out of a copy of the state by a thread of its own: the state's worker and the main thread do their work
 * meanwhile. One part is read at a time, when it is asked for: a slow taker costs the copy's place on the disk and no memory.
 */
import { OpenClawError } from "@openclaw/core/errors.ts";
import type { BaseCalls } from "./base-protocol.ts";
import type { SnapshotFile } from "./state-protocol.ts";
import { WorkerChannel } from "./worker-channel.ts";

export class BaseReader {
  readonly #file: SnapshotFile;
  #channel: WorkerChannel<BaseCalls> | null = null;
  #closed = false;

  constructor(file: SnapshotFile) {
    this.#file = file;
  }

  /** @param rotten the copy has other bytes than when it was made @throws OpenClawError BAD_REQUEST, UNAVAILABLE, STOPPED */
  async *parts(rotten: () => Promise<void>): AsyncGenerator<Uint8Array> {
    if (this.#closed) throw new OpenClawError("STOPPED", "the state is closed");
    const channel = new WorkerChannel<BaseCalls>("base worker", new URL("./base-worker.ts", import.meta.url));
    this.#channel = channel;
    const { path, pieces, bytes } = this.#file;
    if (!(await this.#asked(channel.call("open", { path, pieces, bytes })))) {
      await rotten();
      throw new OpenClawError("UNAVAILABLE", "the copy of the state rotted on the disk");
    }
    for (;;) {
      const part = await this.#asked(channel.call("part", null));
      if (part === null) return;
      yield part;
    }
  }

  /** Repeating it is harmless. */
  async close(): Promise<void> {
    this.#closed = true;
    await this.#channel?.terminate();
    this.#channel = null;
  }

  /** A thread that was ended by `close` is no broken disk. */
  async #asked<T>(answer: Promise<T>): Promise<T> {
    try {
      return await answer;
    } catch (error) {
      if (this.#closed) throw new OpenClawError("STOPPED", "the state is closed", { cause: error });
      throw error;
    }
  }
}
