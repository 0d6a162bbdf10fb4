/** A counter: a key with a whole number, as decimal digits, that many add to. Each addition takes place once. */
import { utf8, utf8Text } from "../../bytes.ts";
import { invariant, OpenClawError } from "../../errors.ts";
import { revision } from "../../ids.ts";
import { compareAndSet } from "../../state-machine/compare-and-set.ts";
import { type KeyValue, plainRange, type RangeRequest } from "../../state-machine/operation.ts";
import { Backoff } from "../../sync/backoff.ts";
import { type Bytes, toBytes } from "../key-row.ts";
import type { RecipeHost } from "./host.ts";
import { Wait, type WaitOptions } from "./wait.ts";

/** Additions by others that may come between before it is given up: each of them is progress. */
const TRIES_MAX = 64;
/** First and longest delay before the next try, ms. */
const RETRY_MS_FIRST = 10;
const RETRY_MS_MAX = 1_000;
/** Until an addition is given up, unless told otherwise, ms. */
const ADD_MS = 30_000;

export class Counter {
  readonly #host: RecipeHost;
  readonly #key: Uint8Array;

  constructor(host: RecipeHost, key: Bytes) {
    this.#host = host;
    this.#key = toBytes(key);
  }

  /** 0 where there is no such key. @throws OpenClawError VALUE_INVALID, UNAVAILABLE, FORBIDDEN */
  async get(): Promise<number> {
    return numberOf((await this.#host.kv.range(one(this.#key))).rows[0]);
  }

  /**
   * Resolves with the sum that it made.
   * @throws OpenClawError VALUE_INVALID: what is there is no number, or the sum none that counts exactly. COMPARE_FAILED:
   * too many others add. UNAVAILABLE, SESSION_EXPIRED, or what `signal` was aborted with: no answer, and the try under way
   * may have taken place, or still does. OVERLOADED, STOPPED: it does not
   */
  async add(by: number, options: WaitOptions = {}): Promise<number> {
    const { clock, random } = this.#host.ports;
    const wait = new Wait(clock, null, { timeoutMs: ADD_MS, ...options });
    const backoff = new Backoff(clock, random, RETRY_MS_FIRST, RETRY_MS_MAX);
    try {
      // Nothing is read before: the first try finds out.
      let row: KeyValue | undefined;
      for (let tries = 0; tries < TRIES_MAX; tries++) {
        if (tries > 1) await wait.for(() => backoff.wait());
        const sum = numberOf(row) + by;
        if (!Number.isSafeInteger(sum)) throw new OpenClawError("VALUE_INVALID", `${sum} is no exact whole number`);
        const txn = compareAndSet(this.#key, row?.modRevision ?? revision(0), utf8(String(sum)));
        const [look] = txn.failure;
        invariant(look?.kind === "range", "a failed compareAndSet looks at the key");
        const failure = [{ ...look, view: "rows" } as const];
        const { succeeded, responses } = await wait.for(() => this.#host.kv.attempt({ ...txn, failure }).response);
        if (succeeded) return sum;
        const [found] = responses;
        invariant(found?.kind === "range", "a range is answered as one");
        row = found.rows[0];
      }
      throw new OpenClawError("COMPARE_FAILED", `${TRIES_MAX} tries, and each time somebody else added`);
    } finally {
      backoff.wake();
      wait.end();
    }
  }
}

const one = (key: Uint8Array): RangeRequest => ({ ...plainRange(key, null, 1), keys: { kind: "key", key } });

function numberOf(row: KeyValue | undefined): number {
  if (row === undefined) return 0;
  const text = utf8Text(row.value);
  const number = text !== undefined && /^-?\d{1,16}$/.test(text) ? Number(text) : Number.NaN;
  if (!Number.isSafeInteger(number)) throw new OpenClawError("VALUE_INVALID", "the key holds no whole number");
  return number;
}
