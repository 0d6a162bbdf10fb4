/** The worker's end of a storage worker's calls. */
import { type MessagePort, parentPort, receiveMessageOnPort, type Transferable } from "node:worker_threads";
import { InvariantViolation, invariant, OpenClawError } from "@openclaw/core/errors.ts";
import { storageError } from "./sqlite.ts";
import type { Call, CallMap, Failure, Reply } from "./worker-calls.ts";

/** Calls taken at once; what is left stays in the port, whose limit is the channel's. */
const CALLS_AT_ONCE_MAX = 1_024;

export class WorkerPort<Calls extends CallMap<Calls>> {
  readonly #port: MessagePort;

  constructor() {
    invariant(parentPort !== null, "a storage worker is started as a worker thread");
    this.#port = parentPort;
  }

  /** Hands over everything that waits, in order: what came in while the last I/O was in flight is one group (R3). */
  serve(take: (calls: readonly Call<Calls>[]) => void): void {
    this.#port.on("message", (first: Call<Calls>) => take([first, ...this.take()]));
  }

  /** What waits now, in order; for a worker that waits without its event loop. */
  take(): readonly Call<Calls>[] {
    const calls: Call<Calls>[] = [];
    while (calls.length < CALLS_AT_ONCE_MAX) {
      const next: { message: Call<Calls> } | undefined = receiveMessageOnPort(this.#port);
      if (next === undefined) break;
      calls.push(next.message);
    }
    return calls;
  }

  answer<Kind extends keyof Calls & string>(
    call: { readonly id: number; readonly kind: Kind },
    answer: Calls[Kind]["answer"],
    transfer: readonly Transferable[] = [],
  ): void {
    const reply: Reply = { ok: true, ids: [call.id], answer };
    this.#port.postMessage(reply, transfer);
  }

  /** Answers calls that ask for no more than to be told. */
  done(calls: readonly { readonly id: number }[]): void {
    const reply: Reply = { ok: true, ids: calls.map((call) => call.id) };
    this.#port.postMessage(reply);
  }

  fail(call: { readonly id: number }, error: Error): void {
    const reply: Reply = { id: call.id, ok: false, failure: failureOf(error) };
    this.#port.postMessage(reply);
  }

  /** Lets the thread end once its own work is done. */
  close(): void {
    this.#port.close();
  }
}

function failureOf(error: Error): Failure {
  if (error instanceof InvariantViolation) return { kind: "invariant", message: error.message };
  if (error instanceof OpenClawError) return { kind: "expected", code: error.code, details: error.details };
  return failureOf(storageError(error, "in the worker"));
}
