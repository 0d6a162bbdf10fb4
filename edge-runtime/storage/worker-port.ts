/** The worker's end of a storage worker's calls. */
import { type MessagePort, parentPort, receiveMessageOnPort, type Transferable } from "node:worker_threads";
import { InvariantViolation, invariant, OpenClawError } from "@openclaw/core/errors.ts";
import { storageError } from "./sqlite.ts";
import type { Call, CallMap, Failure, Reply } from "./worker-calls.ts";

/** Calls taken at once, and those of one message more; what is left stays in the port, whose limit is the channel's. */
const CALLS_AT_ONCE_MAX = 1_024;

export class WorkerPort<Calls extends CallMap<Calls>> {
  readonly #port: MessagePort;
  /** Replies to the group in hand, which cross in one message; null between groups. */
  #replies: Reply[] | null = null;

  constructor() {
    invariant(parentPort !== null, "a storage worker is started as a worker thread");
    this.#port = parentPort;
  }

  /** Hands over everything that waits, in order: what came in while the last I/O was in flight is one group (R3). */
  serve(take: (calls: readonly Call<Calls>[]) => void): void {
    this.#port.on("message", (first: readonly Call<Calls>[]) => {
      this.#replies = [];
      try {
        take([...first, ...this.take()]);
      } finally {
        this.#flush([]);
        this.#replies = null;
      }
    });
  }

  /** What waits now, in order; for a worker that waits without its event loop. */
  take(): readonly Call<Calls>[] {
    const calls: Call<Calls>[] = [];
    while (calls.length < CALLS_AT_ONCE_MAX) {
      const next: { message: readonly Call<Calls>[] } | undefined = receiveMessageOnPort(this.#port);
      if (next === undefined) break;
      calls.push(...next.message);
    }
    return calls;
  }

  answer<Kind extends keyof Calls & string>(
    call: { readonly id: number; readonly kind: Kind },
    answer: Calls[Kind]["answer"],
    transfer: readonly Transferable[] = [],
  ): void {
    this.#reply({ ok: true, ids: [call.id], answer }, transfer);
  }

  /** Answers calls that ask for no more than to be told. */
  done(calls: readonly { readonly id: number }[]): void {
    this.#reply({ ok: true, ids: calls.map((call) => call.id) }, []);
  }

  fail(call: { readonly id: number }, error: Error): void {
    this.#reply({ id: call.id, ok: false, failure: failureOf(error) }, []);
  }

  /** Lets the thread end once its own work is done. */
  close(): void {
    this.#flush([]);
    this.#port.close();
  }

  /** An answer that hands something over, an apply above all, does not wait for the rest of its group. */
  #reply(reply: Reply, transfer: readonly Transferable[]): void {
    if (this.#replies === null) {
      this.#port.postMessage([reply], transfer);
      return;
    }
    this.#replies.push(reply);
    if (transfer.length > 0) this.#flush(transfer);
  }

  #flush(transfer: readonly Transferable[]): void {
    if (this.#replies === null || this.#replies.length === 0) return;
    this.#port.postMessage(this.#replies, transfer);
    this.#replies = [];
  }
}

function failureOf(error: Error): Failure {
  if (error instanceof InvariantViolation) return { kind: "invariant", message: error.message };
  if (error instanceof OpenClawError) return { kind: "expected", code: error.code, details: error.details };
  return failureOf(storageError(error, "in the worker"));
}
