/**
 * The main thread's end of a storage worker: numbered requests, bounded, every one answered. Those of one turn of the event
 * loop cross in one message, since a message costs more than most requests.
 */
import { type Transferable, Worker } from "node:worker_threads";
import { InvariantViolation, OpenClawError } from "@openclaw/core/errors.ts";
import type { Doorbell } from "./doorbell.ts";
import type { CallMap, Failure, Reply } from "./worker-calls.ts";

/** Requests that wait for one worker; one more is refused OVERLOADED. */
const REQUESTS_MAX = 4_096;
/**
 * MB of the part of a worker's heap that is collected often. V8's own limit, made for pages of the web, grows to 48 MB a
 * thread under load; less changed nothing of the CPU (docs/performance.md).
 */
const YOUNG_GENERATION_MB = 6;
/** Bytes that wait for one worker: 64 full batches. */
const REQUEST_BYTES_MAX = 67_108_864;

interface Waiting {
  readonly kind: string;
  readonly bytes: number;
  readonly resolve: (answer: unknown) => void;
  readonly reject: (error: Error) => void;
}

interface Sent {
  readonly id: number;
  readonly kind: string;
  readonly ask: unknown;
}

export interface CallOptions {
  /** Size of what is sent, where it matters. */
  readonly bytes?: number;
  readonly transfer?: readonly Transferable[];
}

export class WorkerChannel<Calls extends CallMap<Calls>> {
  readonly #worker: Worker;
  readonly #name: string;
  readonly #bell: Doorbell | null;
  readonly #waiting = new Map<number, Waiting>();
  /** Requests of this turn; all of them are among those that wait. */
  #unsent: Sent[] = [];
  #waitingBytes = 0;
  #nextId = 1;
  #ended: Error | null = null;
  /** Text of the last failure that a caller of anything but `close` was told of. */
  #told = "";
  readonly #exit: Promise<void>;

  /**
   * @param name for error texts
   * @param bell wakes a worker that waits for it instead of for messages
   */
  constructor(name: string, file: URL, bell: Doorbell | null = null) {
    this.#name = name;
    this.#bell = bell;
    this.#worker = new Worker(file, {
      name,
      workerData: bell?.shared,
      resourceLimits: { maxYoungGenerationSizeMb: YOUNG_GENERATION_MB },
    });
    this.#worker.on("message", (replies: readonly Reply[]) => {
      for (const reply of replies) this.#answered(reply);
    });
    this.#worker.on("error", (error) => this.#end(error));
    this.#worker.on("messageerror", (error) => this.#end(error));
    this.#exit = new Promise((resolve) => {
      this.#worker.on("exit", (code) => {
        this.#end(new Error(`exited with code ${code}`));
        resolve();
      });
    });
  }

  /** @throws OpenClawError OVERLOADED, STORAGE_FAILED when the worker died, and what the call itself throws */
  call<Kind extends keyof Calls & string>(
    kind: Kind,
    ask: Calls[Kind]["ask"],
    { bytes = 0, transfer = [] }: CallOptions = {},
  ): Promise<Calls[Kind]["answer"]> {
    if (
      this.#waiting.size >= REQUESTS_MAX ||
      (this.#waitingBytes > 0 && this.#waitingBytes + bytes > REQUEST_BYTES_MAX)
    ) {
      return Promise.reject(new OpenClawError("OVERLOADED", `the ${this.#name} is behind`));
    }
    return this.#request(kind, ask, bytes, transfer);
  }

  /** Closes the worker after what waits. Throws what went wrong unless a call has been told already; the worker ends anyway. */
  async close(): Promise<void> {
    try {
      await this.#request("close", null);
    } catch (error) {
      await this.terminate();
      if (!(error instanceof Error && error.message === this.#told)) throw error;
    }
    await this.#exit;
  }

  /** Ends the worker as it stands; what waits is rejected. */
  async terminate(): Promise<void> {
    await this.#worker.terminate();
  }

  #request<Answer>(kind: string, ask: unknown, bytes = 0, transfer: readonly Transferable[] = []): Promise<Answer> {
    return new Promise<Answer>((resolve, reject) => {
      // The call map pairs each kind with its answer, and both ends are compiled against it.
      const waiting: Waiting = { kind, bytes, resolve: (answer) => resolve(answer as Answer), reject };
      if (this.#ended !== null) {
        this.#reject(waiting, this.#ended);
        return;
      }
      const id = this.#nextId++;
      this.#waiting.set(id, waiting);
      this.#waitingBytes += bytes;
      this.#unsent.push({ id, kind, ask });
      // What is handed over is no longer the caller's from now on.
      if (transfer.length > 0) this.#send(transfer);
      else if (this.#unsent.length === 1) queueMicrotask(() => this.#send([]));
    });
  }

  #send(transfer: readonly Transferable[]): void {
    if (this.#unsent.length === 0) return;
    this.#worker.postMessage(this.#unsent, transfer);
    this.#unsent = [];
    this.#bell?.ring();
  }

  #answered(reply: Reply): void {
    if (!reply.ok) {
      const waiting = this.#taken(reply.id);
      if (waiting !== null) this.#reject(waiting, errorOf(reply.failure));
      return;
    }
    for (const id of reply.ids) this.#taken(id)?.resolve(reply.answer);
  }

  #taken(id: number): Waiting | null {
    const waiting = this.#waiting.get(id);
    if (waiting === undefined) {
      this.#end(new Error(`answered request ${id}, which nobody made`));
      return null;
    }
    this.#waiting.delete(id);
    this.#waitingBytes -= waiting.bytes;
    return waiting;
  }

  #reject(waiting: Waiting, error: Error): void {
    if (waiting.kind !== "close") this.#told = error.message;
    waiting.reject(error);
  }

  #end(cause: unknown): void {
    this.#ended ??= new OpenClawError("STORAGE_FAILED", `the ${this.#name} stopped: ${String(cause)}`, { cause });
    for (const waiting of this.#waiting.values()) this.#reject(waiting, this.#ended);
    this.#waiting.clear();
    this.#waitingBytes = 0;
  }
}

const errorOf = (failure: Failure): Error =>
  failure.kind === "invariant"
    ? new InvariantViolation(failure.message)
    : new OpenClawError(failure.code, failure.details);
