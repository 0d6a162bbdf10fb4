/** The main thread's handle on the document worker: one job at a time, a bounded queue, and a fresh thread after a crash. */
import { Worker } from "node:worker_threads";
import { OpenClawError } from "@openclaw/core/errors.ts";
import type { Job, JobAnswer, JobReply } from "./job.ts";

/** Jobs that wait; one more is OVERLOADED. */
const JOBS_WAITING_MAX = 256;
/** Bytes of changes in the jobs that wait; more is OVERLOADED. */
const BYTES_WAITING_MAX = 64 * 1_048_576;
/** A job that takes longer ends with its thread: nothing that passed the bounds needs a tenth of it. */
const JOB_MS_MAX = 10_000;
/** V8 heap of the thread. WebAssembly's memory is apart from it, and bounded by the sizes checked before Automerge runs. */
const HEAP_MB_MAX = 512;

interface Waiting {
  readonly job: Job;
  readonly bytes: number;
  resolve(answer: unknown): void;
  reject(error: OpenClawError): void;
}

export class DocumentWorker {
  readonly #queue: Waiting[] = [];
  #bytesWaiting = 0;
  #current: Waiting | null = null;
  #worker: Worker | null = null;
  #stopped = false;

  /** @throws OpenClawError OVERLOADED, STOPPED, what the job throws, and INTERNAL when the thread died of it */
  run<J extends Job>(job: J): Promise<JobAnswer<J>> {
    const bytes = bytesOf(job);
    if (this.#stopped) return Promise.reject(new OpenClawError("STOPPED"));
    if (this.#queue.length >= JOBS_WAITING_MAX || (bytes > 0 && this.#bytesWaiting + bytes > BYTES_WAITING_MAX)) {
      return Promise.reject(new OpenClawError("OVERLOADED", "documents waiting for their check"));
    }
    return new Promise<JobAnswer<J>>((resolve, reject) => {
      this.#queue.push({ job, bytes, resolve: resolve as (answer: unknown) => void, reject });
      this.#bytesWaiting += bytes;
      this.#next();
    });
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    for (const waiting of [this.#current, ...this.#queue.splice(0)]) waiting?.reject(new OpenClawError("STOPPED"));
    this.#current = null;
    await this.#worker?.terminate();
  }

  #next(): void {
    if (this.#current !== null) return;
    const waiting = this.#queue.shift();
    if (waiting === undefined) return;
    this.#bytesWaiting -= waiting.bytes;
    this.#current = waiting;
    const worker = this.#worker ?? this.#spawn();
    worker.ref();
    const late = setTimeout(() => void worker.terminate(), JOB_MS_MAX);
    const settle = (reply: JobReply): void => {
      clearTimeout(late);
      worker.removeAllListeners();
      worker.unref();
      // An idle worker that dies is replaced at the next job.
      worker.once("exit", () => this.#forget(worker));
      worker.on("error", () => this.#forget(worker));
      if (this.#current !== waiting) return;
      this.#current = null;
      if (reply.ok) waiting.resolve(reply.answer);
      else waiting.reject(new OpenClawError(reply.code, reply.details));
      this.#next();
    };
    worker.removeAllListeners();
    worker.once("message", settle);
    worker.on("error", () => {});
    worker.once("exit", () => {
      this.#forget(worker);
      settle({ ok: false, code: "INTERNAL", details: "the document worker ran out of time or memory" });
    });
    try {
      worker.postMessage(waiting.job);
    } catch (error) {
      settle({ ok: false, code: "INTERNAL", details: error instanceof Error ? error.message : "not cloneable" });
    }
  }

  #spawn(): Worker {
    const worker = new Worker(new URL("./change-worker.ts", import.meta.url), {
      resourceLimits: { maxOldGenerationSizeMb: HEAP_MB_MAX },
    });
    this.#worker = worker;
    return worker;
  }

  #forget(worker: Worker): void {
    if (this.#worker === worker) this.#worker = null;
  }
}

function bytesOf(job: Job): number {
  if (job.kind !== "check" && job.kind !== "extend") return 0;
  let bytes = 0;
  for (const change of job.changes) bytes += change.bytes.length;
  return bytes;
}
