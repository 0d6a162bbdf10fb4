/**
 * One request over HTTP, without any retry, and what its caller knows afterwards. Only what is certain is said: a node
 * that could not be reached at all did nothing; an answer that the state itself gives (not there, differs) is one; with
 * everything else the request may have taken effect, or may yet.
 */
import { setTimeout as sleep } from "node:timers/promises";
import { z } from "zod";

/** Ms until a client gives up: shorter than a node itself waits (10 s), so that requests outlive their clients. */
const PATIENCE_MS = 4_000;
/** Ms until a client whose node is not there asks for something else: it must not spin. */
const UNREACHABLE_MS = 200;

export interface Versioned {
  readonly value: string | null;
  /** Of its last put; 0 while there is no such key. */
  readonly revision: number;
}

export type Answer<T> =
  | { readonly kind: "ok"; readonly result: T }
  /** The key is not there. */
  | { readonly kind: "absent" }
  /** The key is not at the expected revision. */
  | { readonly kind: "differs" }
  /** Nobody got the request. */
  | { readonly kind: "unsent"; readonly code: string }
  | { readonly kind: "unknown"; readonly code: string };

type Failed = Exclude<Answer<never>, { kind: "ok" }>;

const failure = z.object({ code: z.string() });
const position = z.object({ revision: z.number() });
const list = z.object({
  more: z.boolean(),
  rows: z.array(z.object({ key: z.string(), value: z.string(), modRevision: z.number() })),
});

const LIST_ROWS = 1_000;

export class KeyValueClient {
  readonly #base: string;
  readonly #token: string;

  constructor(base: string, token: string) {
    this.#base = base;
    this.#token = token;
  }

  /** Linearizably. */
  async get(key: string): Promise<Answer<Versioned>> {
    const answer = await this.#ask("GET", `/v1/kv/${key}`);
    if (answer.kind === "absent") return { kind: "ok", result: { value: null, revision: 0 } };
    if (answer.kind !== "ok") return answer;
    const revision = Number(answer.result.headers.get("x-openclaw-mod-revision"));
    return { kind: "ok", result: { value: answer.result.body, revision } };
  }

  /** @returns the revision it took */
  put(key: string, value: string): Promise<Answer<number>> {
    return this.#write("PUT", `/v1/kv/${key}`, value);
  }

  /** Puts if the key is at that revision. */
  compareAndSet(key: string, expected: number, value: string): Promise<Answer<number>> {
    return this.#write("PUT", `/v1/kv/${key}?expected=${expected}`, value);
  }

  delete(key: string): Promise<Answer<number>> {
    return this.#write("DELETE", `/v1/kv/${key}`);
  }

  /** Every key with the prefix, linearizably page by page. @param origin the cluster whose keys they are; null: the node's own */
  async list(prefix: string, origin: string | null = null): Promise<Answer<ReadonlyMap<string, Versioned>>> {
    const rows = new Map<string, Versioned>();
    for (let after = ""; ; ) {
      const query = new URLSearchParams({
        ...{ prefix, limit: String(LIST_ROWS) },
        ...(after === "" ? {} : { after }),
        ...(origin === null ? {} : { origin }),
      });
      const answer = await this.#ask("GET", `/v1/kv?${query}`);
      if (answer.kind !== "ok") return answer;
      const page = list.parse(JSON.parse(answer.result.body));
      for (const { key, value, modRevision } of page.rows) {
        rows.set(key, { value: Buffer.from(value, "base64").toString(), revision: modRevision });
        after = key;
      }
      if (!page.more) return { kind: "ok", result: rows };
    }
  }

  async #write(method: "PUT" | "DELETE", path: string, body?: string): Promise<Answer<number>> {
    const answer = await this.#ask(method, path, body);
    if (answer.kind !== "ok") return answer;
    return { kind: "ok", result: position.parse(JSON.parse(answer.result.body)).revision };
  }

  async #ask(
    method: string,
    path: string,
    body?: string,
  ): Promise<{ kind: "ok"; result: { readonly headers: Headers; readonly body: string } } | Failed> {
    try {
      const response = await fetch(`${this.#base}${path}`, {
        method,
        headers: { authorization: `Bearer ${this.#token}`, "content-type": "application/octet-stream" },
        signal: AbortSignal.timeout(PATIENCE_MS),
        ...(body === undefined ? {} : { body }),
      });
      const text = await response.text();
      if (response.ok) return { kind: "ok", result: { headers: response.headers, body: text } };
      const { code } = failure.parse(JSON.parse(text));
      if (code === "NOT_FOUND") return { kind: "absent" };
      if (code === "COMPARE_FAILED") return { kind: "differs" };
      return { kind: "unknown", code };
    } catch (error) {
      const code = causeOf(error);
      if (code !== "ECONNREFUSED" && code !== "EHOSTUNREACH") return { kind: "unknown", code };
      await sleep(UNREACHABLE_MS);
      return { kind: "unsent", code };
    }
  }
}

function causeOf(error: unknown): string {
  if (!(error instanceof Error)) throw error;
  if (error.name === "TimeoutError") return "no answer";
  const { cause } = error;
  return cause instanceof Error && "code" in cause ? String(cause.code) : error.message;
}
