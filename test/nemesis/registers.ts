/**
 * Clients that read, write, compare and set, and delete a handful of keys, and write down what they did. Every value is
 * written once, so a key's revision stands for its value, and the API's compare and set on a revision is one on the value.
 */
import type { Random } from "@openclaw/core/ports.ts";
import type { Call, Outcome } from "../history/history.ts";
import { Recorder } from "../history/recorder.ts";
import { anyOf } from "./choice.ts";
import type { Answer, KeyValueClient, Versioned } from "./key-value-client.ts";
import type { Ending, Observations } from "./observations.ts";

/** Keys in use at a time: few, so that clients meet. */
const KEYS = 5;
/** Then another key takes its place: the search for an order takes longer the more there is to order … */
const OPERATIONS_PER_KEY = 400;
/** … and much longer the more of it may have happened at any time. */
const UNKNOWN_PER_KEY = 25;
/** Seen values that are kept for a compare and set: old ones too, which must be refused. */
const SEEN_MAX = 4;

interface Register {
  readonly key: string;
  operations: number;
  unknown: number;
  readonly seen: Versioned[];
}

export class Registers {
  readonly recorder = new Recorder();
  /** Every key that was ever in use. */
  readonly keys: string[] = [];
  readonly #registers: Register[];
  readonly #random: Random;
  readonly #observations: Observations;
  #values = 0;

  constructor(random: Random, observations: Observations) {
    this.#random = random;
    this.#observations = observations;
    this.#registers = Array.from({ length: KEYS }, () => this.#fresh());
  }

  /** One operation of client `process` at a node. @returns whether it was answered */
  async step(process: number, client: KeyValueClient): Promise<boolean> {
    const register = anyOf(this.#random, this.#registers);
    const answered = await this.#operate(process, client, register);
    register.operations++;
    if (register.operations >= OPERATIONS_PER_KEY || register.unknown >= UNKNOWN_PER_KEY) {
      const slot = this.#registers.indexOf(register);
      if (slot >= 0) this.#registers[slot] = this.#fresh();
    }
    return answered;
  }

  #operate(process: number, client: KeyValueClient, register: Register): Promise<boolean> {
    const luck = this.#random.unit();
    if (luck < 0.4) return this.read(process, client, register.key, register.seen);
    if (luck < 0.65) return this.#put(process, client, register);
    if (luck < 0.95) return this.#compareAndSet(process, client, register);
    return this.#delete(process, client, register);
  }

  /** @returns whether it was answered */
  async read(process: number, client: KeyValueClient, key: string, seen: Versioned[] = []): Promise<boolean> {
    const from = this.#begin(process, key, { kind: "get" });
    const answer = await client.get(key);
    if (answer.kind === "ok") remember(seen, answer.result);
    // A read that was not answered tells nothing.
    const outcome: Outcome = answer.kind === "ok" ? { kind: "saw", value: answer.result.value } : { kind: "failed" };
    return this.#end(process, from, outcome, false, answer);
  }

  async #put(process: number, client: KeyValueClient, register: Register): Promise<boolean> {
    const value = this.#nextValue();
    const from = this.#begin(process, register.key, { kind: "put", value });
    const answer = await client.put(register.key, value);
    if (answer.kind === "ok") remember(register.seen, { value, revision: answer.result });
    return this.#end(process, from, this.#written(answer, register), true, answer);
  }

  async #compareAndSet(process: number, client: KeyValueClient, register: Register): Promise<boolean> {
    // The newest ones more often.
    const known = register.seen[Math.floor(this.#random.unit() ** 2 * register.seen.length)];
    const { value: before, revision } = known ?? { value: null, revision: 0 };
    const value = this.#nextValue();
    const from = this.#begin(process, register.key, { kind: "cas", from: before, to: value });
    const answer = await client.compareAndSet(register.key, revision, value);
    if (answer.kind === "ok") remember(register.seen, { value, revision: answer.result });
    return this.#end(process, from, this.#written(answer, register), true, answer);
  }

  async #delete(process: number, client: KeyValueClient, register: Register): Promise<boolean> {
    const from = this.#begin(process, register.key, { kind: "delete" });
    const answer = await client.delete(register.key);
    // Deleting what is not there leaves it so.
    const outcome: Outcome = answer.kind === "absent" ? { kind: "ok" } : this.#written(answer, register);
    return this.#end(process, from, outcome, true, answer);
  }

  #written(answer: Answer<number>, register: Register): Outcome {
    switch (answer.kind) {
      case "ok":
        return { kind: "ok" };
      case "differs":
        return { kind: "differed" };
      case "unsent":
        return { kind: "failed" };
      case "absent":
        throw new Error("a put was answered NOT_FOUND");
      case "unknown":
        register.unknown++;
        return { kind: "unknown" };
    }
  }

  #begin(process: number, key: string, call: Call): number {
    this.recorder.invoke(process, key, call);
    return this.#observations.now();
  }

  #end(process: number, from: number, outcome: Outcome, isWrite: boolean, answer: Answer<unknown>): boolean {
    this.recorder.complete(process, outcome);
    const code = answer.kind === "unknown" || answer.kind === "unsent" ? answer.code : undefined;
    const endings: Readonly<Record<Answer<unknown>["kind"], Ending>> = {
      ok: "ok",
      absent: "refused",
      differs: "refused",
      unsent: "unreachable",
      unknown: "unknown",
    };
    this.#observations.add(from, endings[answer.kind], isWrite, code);
    return code === undefined;
  }

  #fresh(): Register {
    const key = `register-${this.keys.length + 1}`;
    this.keys.push(key);
    return { key, operations: 0, unknown: 0, seen: [] };
  }

  #nextValue(): string {
    return `v${++this.#values}`;
  }
}

/** Newest first. */
function remember(seen: Versioned[], version: Versioned): void {
  seen.unshift(version);
  seen.length = Math.min(seen.length, SEEN_MAX);
}
