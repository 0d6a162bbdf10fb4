/** The reference replay beside everything else: on a thread of its own, because it takes a while. */
import { isMainThread, parentPort, Worker, workerData } from "node:worker_threads";
import { referenceText } from "./reference.ts";
import type { Transaction } from "./trace.ts";

export class Reference {
  readonly #worker: Worker;
  readonly #text: Promise<string>;

  private constructor(worker: Worker) {
    this.#worker = worker;
    this.#text = new Promise((resolve, reject) => {
      worker.once("message", resolve);
      worker.once("error", reject);
      worker.once("exit", () => reject(new Error("the reference replay ended early")));
    });
    // Whoever stops it before it is done does not ask for the text.
    this.#text.catch(() => undefined);
  }

  static start(transactions: readonly Transaction[]): Reference {
    return new Reference(new Worker(new URL(import.meta.url), { workerData: { reference: transactions } }));
  }

  /** The text after all transactions. */
  text(): Promise<string> {
    return this.#text;
  }

  async stop(): Promise<void> {
    await this.#worker.terminate();
  }
}

if (!isMainThread && workerData?.reference !== undefined) parentPort?.postMessage(referenceText(workerData.reference));
