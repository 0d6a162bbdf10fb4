/** A client in a process of its own, as a benchmark sees it. */
import path from "node:path";
import { fileURLToPath } from "node:url";
import { z } from "zod";
import type { Measured } from "./cluster.ts";
import { type Ask, type Asked, answerSchema } from "./docs-ask.ts";
import type { BenchProcess, Workbench } from "./workbench.ts";

const PROGRAM = fileURLToPath(new URL("./docs-client-main.ts", import.meta.url));
/** Whatever is asked is done within this, ms. */
const ANSWER_MS_MAX = 300_000;

export class DocsClient {
  readonly #process: BenchProcess;
  readonly #asked = new Map<number, { resolve(value: unknown): void; reject(error: Error): void }>();
  #next = 1;

  /** @param folder for its log */
  constructor(workbench: Workbench, system: Measured, gateway: string, folder: string) {
    const args = [...process.execArgv, PROGRAM, system, gateway];
    const log = path.join(folder, "clients.log");
    this.#process = workbench.process(process.execPath, args, log, (message) => this.#answered(message));
    this.#process.start();
    void this.#process.exited.then(() => {
      for (const { reject } of this.#asked.values()) reject(new Error(`a client ended. ${this.#process.endOfLog()}`));
    });
  }

  /** @returns what others open them by */
  create(count: number): Promise<readonly string[]> {
    return this.#ask({ kind: "create", count }, z.array(z.string()));
  }

  async open(refs: readonly string[]): Promise<void> {
    await this.#ask({ kind: "open", refs: [...refs] }, z.null());
  }

  /** Edits every open document so many times. @returns the moment before the first edit */
  edit(rounds: number): Promise<number> {
    return this.#ask({ kind: "edit", rounds }, z.number());
  }

  /** Resolves with the moment at which the last of the open documents first showed so many edits. */
  until(edits: number): Promise<number> {
    return this.#ask({ kind: "until", edits }, z.number());
  }

  async offline(): Promise<void> {
    await this.#ask({ kind: "offline" }, z.null());
  }

  /** @returns the moment before */
  online(): Promise<number> {
    return this.#ask({ kind: "online" }, z.number());
  }

  /** How long each edit since the last call took to reach the site, ms; none where nobody says so. */
  rungs(): Promise<readonly number[]> {
    return this.#ask({ kind: "rungs" }, z.array(z.number()));
  }

  close(): Promise<void> {
    return this.#process.kill();
  }

  async #ask<T>(ask: Ask, answer: z.ZodType<T>): Promise<T> {
    const id = this.#next++;
    const value = await new Promise((resolve, reject) => {
      const late = (): void => reject(new Error(`${ask.kind} takes too long. ${this.#process.endOfLog()}`));
      const timer = setTimeout(late, ANSWER_MS_MAX);
      const done = (): void => {
        clearTimeout(timer);
        this.#asked.delete(id);
      };
      this.#asked.set(id, {
        resolve: (told) => {
          done();
          resolve(told);
        },
        reject: (error) => {
          done();
          reject(error);
        },
      });
      this.#process.send({ id, ask } satisfies Asked);
    });
    return answer.parse(value);
  }

  #answered(message: unknown): void {
    const { id, value, error } = answerSchema.parse(message);
    const asked = this.#asked.get(id);
    if (error === undefined) asked?.resolve(value);
    else asked?.reject(new Error(error));
  }
}
