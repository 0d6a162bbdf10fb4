/**
 * One site as its sensors see it: several gateways, any of which will do. A put is retried at the next gateway until it
 * is acknowledged, and takes effect exactly once.
 *
 * How: a PUT that was answered `UNAVAILABLE`, or not at all, may or may not have happened. So every put is a compare and
 * set (`?expected=`) on the revision that the sensor last wrote. Of an attempt and its repetition at most one can find
 * that revision; and if the repetition finds another, a linearizable read tells whether it is our own value that stands
 * there. A sensor is the only writer of its key.
 */
import { setTimeout as sleep } from "node:timers/promises";
import * as z from "zod";

export interface Acknowledged {
  readonly revision: number;
  /** How often it was sent; 1 unless something went wrong on the way. */
  readonly attempts: number;
}

export interface StoredValue {
  readonly value: Uint8Array;
  readonly modRevision: number;
}

/** An answer that no retry will change, or none in time. */
class SiteRefusal extends Error {
  readonly code: string;

  constructor(code: string, message: string) {
    super(`${code}: ${message}`);
    this.name = "SiteRefusal";
    this.code = code;
  }
}

/** Ms one attempt may take: longer than a gateway itself waits (10 s), so that it is the gateway which says what is. */
const ATTEMPT_MS = 12_000;
/** Ms until a put is given up: several elections. */
const GIVE_UP_MS = 60_000;
/** Ms between two attempts. */
const PAUSE_MS = 50;
const LIST_ROWS = 1_000;

const failureBody = z.object({ code: z.string(), message: z.string(), retryable: z.boolean() });
const positionBody = z.object({ revision: z.number() });
const listBody = z.object({
  more: z.boolean(),
  rows: z.array(z.object({ key: z.string().nullable(), value: z.string(), modRevision: z.number() })),
});

export class SiteClient {
  readonly #gateways: readonly string[];
  #current = 0;

  /** @param gateways base URLs */
  constructor(gateways: readonly string[]) {
    this.#gateways = gateways;
  }

  /**
   * Puts a value if the key is at revision `expected` (0: is not there).
   * @throws SiteRefusal COMPARE_FAILED when somebody else wrote the key; UNAVAILABLE when nobody acknowledged in time
   */
  async put(
    key: string,
    value: Uint8Array<ArrayBuffer>,
    expected: number,
    signal?: AbortSignal,
  ): Promise<Acknowledged> {
    const deadline = performance.now() + GIVE_UP_MS;
    let lastFailure = "";
    for (let attempts = 1; performance.now() < deadline; attempts++) {
      signal?.throwIfAborted();
      const gateway = this.#current;
      const answer = await this.#ask(`${keyPath(key)}?expected=${expected}`, { method: "PUT", body: value }, signal);
      if (answer.kind === "ok")
        return { revision: positionBody.parse(JSON.parse(answer.body.toString())).revision, attempts };
      if (answer.code === "COMPARE_FAILED") {
        const stored = await this.get(key, signal);
        if (stored !== null && Buffer.compare(stored.value, value) === 0)
          return { revision: stored.modRevision, attempts };
        throw new SiteRefusal(
          answer.code,
          `${key} is at ${stored?.modRevision ?? "no revision"}, expected ${expected}`,
        );
      }
      if (!answer.retryable) throw new SiteRefusal(answer.code, answer.message);
      lastFailure = `${answer.code}: ${answer.message}`;
      this.#turnFrom(gateway);
      await sleep(PAUSE_MS, undefined, { signal });
    }
    throw new SiteRefusal(
      "UNAVAILABLE",
      `${key} was not acknowledged within ${GIVE_UP_MS / 1_000} s; last: ${lastFailure}`,
    );
  }

  /** The value now, linearizably; null when there is none. @throws SiteRefusal */
  async get(key: string, signal?: AbortSignal): Promise<StoredValue | null> {
    const answer = await this.#read(keyPath(key), signal);
    if (answer === null) return null;
    const modRevision = Number(answer.headers.get("x-openclaw-mod-revision"));
    return { value: answer.body, modRevision };
  }

  /** Every key with the prefix, linearizably. @throws SiteRefusal */
  async list(prefix: string, signal?: AbortSignal): Promise<ReadonlyMap<string, StoredValue>> {
    const rows = new Map<string, StoredValue>();
    let after = "";
    for (;;) {
      const query = new URLSearchParams({ prefix, limit: String(LIST_ROWS), ...(after === "" ? {} : { after }) });
      const answer = await this.#read(`/v1/kv?${query}`, signal);
      const page = listBody.parse(JSON.parse(answer?.body.toString() ?? ""));
      for (const { key, value, modRevision } of page.rows) {
        if (key !== null) rows.set(key, { value: Buffer.from(value, "base64"), modRevision });
        after = key ?? after;
      }
      if (!page.more) return rows;
    }
  }

  async #read(path: string, signal: AbortSignal | undefined): Promise<(Answer & { kind: "ok" }) | null> {
    const deadline = performance.now() + GIVE_UP_MS;
    for (;;) {
      const gateway = this.#current;
      const answer = await this.#ask(path, { method: "GET" }, signal);
      if (answer.kind === "ok") return answer;
      if (answer.code === "NOT_FOUND") return null;
      if (!answer.retryable || performance.now() > deadline) throw new SiteRefusal(answer.code, answer.message);
      this.#turnFrom(gateway);
      await sleep(PAUSE_MS, undefined, { signal });
    }
  }

  /** Of many requests that fail at one gateway, the first one turns to the next. */
  #turnFrom(gateway: number): void {
    if (this.#current === gateway) this.#current = (gateway + 1) % this.#gateways.length;
  }

  async #ask(path: string, request: RequestInit, signal: AbortSignal | undefined): Promise<Answer> {
    const timeout = AbortSignal.timeout(ATTEMPT_MS);
    try {
      const response = await fetch(`${this.#gateways[this.#current]}${path}`, {
        ...request,
        signal: signal === undefined ? timeout : AbortSignal.any([signal, timeout]),
      });
      const body = Buffer.from(await response.arrayBuffer());
      if (response.ok) return { kind: "ok", headers: response.headers, body };
      const failure = failureBody.safeParse(JSON.parse(body.toString()));
      if (failure.success) return { kind: "failed", ...failure.data };
      return {
        kind: "failed",
        code: "INTERNAL",
        message: `status ${response.status}`,
        retryable: response.status >= 500,
      };
    } catch (error) {
      signal?.throwIfAborted();
      // No answer at all, or half of one: the node is gone, or the request was. Whether it took effect is unknown.
      const message = error instanceof Error ? String(error.cause ?? error.message) : String(error);
      return { kind: "failed", code: "UNAVAILABLE", message, retryable: true };
    }
  }
}

type Answer =
  | { readonly kind: "ok"; readonly headers: Headers; readonly body: Buffer }
  | { readonly kind: "failed"; readonly code: string; readonly message: string; readonly retryable: boolean };

const keyPath = (key: string): string => `/v1/kv/${key.split("/").map(encodeURIComponent).join("/")}`;
