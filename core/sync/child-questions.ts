/** What a child asked its parent and waits for: questions, and keep-alives of leases. Each ends with an answer or a time-out. */
import { OpenClawError } from "../errors.ts";
import type { LeaseId } from "../ids.ts";
import { KEPT_LEASES_MAX } from "../limits.ts";
import type { Clock } from "../ports.ts";
import type { ReadMode } from "../replica/read-mode.ts";
import type { Answer } from "../state-machine/query.ts";
import type { ChildAnswer, ChildMessage, ChildQuery, ParentMessage, Seen } from "./message.ts";

/** Questions that wait for an answer; a further one is refused OVERLOADED. */
const ASKS_IN_FLIGHT_MAX = 64;

/** An answer, and the state that it was read from. */
export interface Asked<Q extends ChildQuery> {
  readonly answer: Answer<Q>;
  readonly seen: Seen;
}

interface Keeping {
  readonly resolve: () => void;
  readonly reject: (error: OpenClawError) => void;
  readonly cancel: () => void;
}

interface Asking extends Omit<Keeping, "resolve"> {
  readonly resolve: (answer: ChildAnswer, seen: Seen) => void;
}

type Answering = Extract<ParentMessage, { kind: "answer" | "kept" | "askFailed" }>;

export interface ChildQuestionsOptions {
  readonly clock: Clock;
  readonly open: () => boolean;
  readonly send: (message: ChildMessage) => void;
  readonly malformed: (what: string) => void;
}

export class ChildQuestions {
  readonly #options: ChildQuestionsOptions;
  readonly #asking = new Map<number, Asking>();
  readonly #keeping = new Map<number, Keeping>();
  #next = 1;

  constructor(options: ChildQuestionsOptions) {
    this.#options = options;
  }

  /** @throws OpenClawError UNAVAILABLE, OVERLOADED, and what the parent refuses it with */
  ask<Q extends ChildQuery>(query: Q, mode: ReadMode, timeoutMs: number): Promise<Asked<Q>> {
    const { open, send, malformed } = this.#options;
    if (!open()) return Promise.reject(new OpenClawError("UNAVAILABLE", "not connected"));
    if (this.#asking.size >= ASKS_IN_FLIGHT_MAX)
      return Promise.reject(new OpenClawError("OVERLOADED", "questions in flight"));
    const id = this.#next++;
    return new Promise((resolve, reject) => {
      const settle = (answer: ChildAnswer, seen: Seen): void => {
        if (answer.kind !== query.kind) return malformed(`a ${query.kind} was answered with a ${answer.kind}`);
        // The kinds are the same, and the kind decides the type.
        resolve({ answer: answer.answer as Answer<Q>, seen });
      };
      this.#asking.set(id, { resolve: settle, reject, cancel: this.#timeout(this.#asking, id, timeoutMs, reject) });
      send({ kind: "ask", id, mode, query });
    });
  }

  /** Past everything that waits to be pushed. @throws OpenClawError UNAVAILABLE, OVERLOADED, LEASE_NOT_FOUND, FORBIDDEN */
  keepAlive(lease: LeaseId, timeoutMs: number): Promise<void> {
    const { open, send } = this.#options;
    if (!open()) return Promise.reject(new OpenClawError("UNAVAILABLE", "not connected"));
    if (this.#keeping.size >= KEPT_LEASES_MAX)
      return Promise.reject(new OpenClawError("OVERLOADED", "keep-alives in flight"));
    const id = this.#next++;
    return new Promise((resolve, reject) => {
      this.#keeping.set(id, { resolve, reject, cancel: this.#timeout(this.#keeping, id, timeoutMs, reject) });
      send({ kind: "keepAlive", id, lease });
    });
  }

  answered(message: Answering): void {
    switch (message.kind) {
      case "answer":
        return settled(this.#asking, message.id)?.resolve(message.answer, message.seen);
      case "kept":
        return settled(this.#keeping, message.id)?.resolve();
      case "askFailed": {
        const waiting = settled(this.#asking, message.id) ?? settled(this.#keeping, message.id);
        return waiting?.reject(new OpenClawError(message.code, message.details));
      }
    }
  }

  /** The connection is gone. */
  close(): void {
    for (const waiting of [...this.#asking.values(), ...this.#keeping.values()]) {
      waiting.cancel();
      waiting.reject(new OpenClawError("UNAVAILABLE", "the connection to the parent closed"));
    }
    this.#asking.clear();
    this.#keeping.clear();
  }

  #timeout(waiting: Map<number, unknown>, id: number, ms: number, reject: (error: OpenClawError) => void): () => void {
    return this.#options.clock.after(ms, () => {
      waiting.delete(id);
      reject(new OpenClawError("UNAVAILABLE", "the parent did not answer in time"));
    });
  }
}

/** An answer that comes after its time-out finds nobody, and that is in order. */
function settled<T extends { readonly cancel: () => void }>(waiting: Map<number, T>, id: number): T | undefined {
  const one = waiting.get(id);
  one?.cancel();
  waiting.delete(id);
  return one;
}
