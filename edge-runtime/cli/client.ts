/**
 * The HTTP client of the command line: several endpoints, the next one when one cannot be reached, breaks off or cannot
 * serve just now; each once, so that a call ends. What changes something carries an `Idempotency-Key`, so that it runs once
 * also where it was asked for twice. It writes request paths itself, because a URL parser would tidy a key such as `..` away.
 */
import { randomUUID } from "node:crypto";
import { type ClientRequest, request as httpRequest, type IncomingMessage } from "node:http";
import { request as httpsRequest } from "node:https";
import { isErrorCode, OpenClawError } from "@openclaw/core/errors.ts";

interface Bounds {
  /** Ms without any answer: longer than a node itself waits. Then, between two parts of one that is no stream. */
  readonly answerMs: number;
  /** Ms in which nothing comes on a stream: four of the signs of life that a node gives. */
  readonly silenceMs: number;
}
const BOUNDS: Bounds = { answerMs: 20_000, silenceMs: 60_000 };
/** Bytes of an answer that is not a stream. */
const ANSWER_BYTES_MAX = 64 * 1_048_576;
/** Of a refusal. */
const REFUSAL_CHARACTERS_MAX = 65_536;

export interface Call {
  readonly method: "GET" | "PUT" | "POST" | "DELETE";
  /** With its query, percent-encoded. */
  readonly path: string;
  readonly body?: Uint8Array;
  readonly headers?: Readonly<Record<string, string>>;
}

export interface Answered {
  readonly body: Buffer;
  readonly headers: IncomingMessage["headers"];
}

/** A failure in the words of whoever refused, not of our table. */
export class Refused extends OpenClawError {
  constructor(code: OpenClawError["code"], message: string) {
    super(code);
    this.message = message;
  }
}

export class ApiClient {
  readonly #endpoints: readonly URL[];
  readonly #token: string | null;
  readonly #bounds: Bounds;
  /** Where the last call succeeded; the next one begins there. */
  #current = 0;

  /** @throws OpenClawError BAD_REQUEST when an endpoint is no http(s) URL */
  constructor(endpoints: readonly string[], token: string | null, bounds = BOUNDS) {
    this.#endpoints = endpoints.map((endpoint) => {
      if (!URL.canParse(endpoint) || !/^https?:$/.test(new URL(endpoint).protocol)) {
        throw new OpenClawError("BAD_REQUEST", `${endpoint} is no endpoint; one looks like http://127.0.0.1:8101`);
      }
      return new URL(endpoint);
    });
    this.#token = token;
    this.#bounds = bounds;
  }

  /** @throws OpenClawError whatever the node answers, or UNAVAILABLE when no endpoint can be reached */
  call(call: Call): Promise<Answered> {
    return this.#anywhere(call, async (response) => {
      silentFor(response, this.#bounds.answerMs);
      const chunks: Buffer[] = [];
      let length = 0;
      for await (const chunk of response as AsyncIterable<Buffer>) {
        length += chunk.length;
        if (length > ANSWER_BYTES_MAX) throw new OpenClawError("FRAME_TOO_LARGE", "the answer");
        chunks.push(chunk);
      }
      return { body: Buffer.concat(chunks), headers: response.headers };
    });
  }

  async json(call: Call): Promise<unknown> {
    const { body } = await this.call(call);
    return JSON.parse(body.toString("utf8"));
  }

  /** A successful response, its body still to be read: it fails when nothing comes for too long. */
  stream(call: Call): Promise<IncomingMessage> {
    return this.#anywhere(call, async (response) => silentFor(response, this.#bounds.silenceMs));
  }

  /** @param take of a successful response: what fails there is asked for at the next endpoint, too */
  async #anywhere<T>(call: Call, take: (response: IncomingMessage) => Promise<T>): Promise<T> {
    const once = runningOnce(call);
    let failure = "";
    let refusal: OpenClawError | null = null;
    for (let tried = 0; tried < this.#endpoints.length; tried++) {
      const at = (this.#current + tried) % this.#endpoints.length;
      const endpoint = this.#endpoints[at];
      if (endpoint === undefined) continue;
      try {
        const response = await this.#send(endpoint, once);
        if ((response.statusCode ?? 500) < 300) {
          const taken = await take(response);
          this.#current = at;
          return taken;
        }
        throw await refusalOf(silentFor(response, this.#bounds.answerMs));
      } catch (error) {
        // Another node may do better, or tell why not; what is refused for good every one of them refuses.
        if (error instanceof OpenClawError && !error.retryable) throw error;
        if (error instanceof OpenClawError) refusal = error;
        else failure += `${failure === "" ? "" : "; "}${endpoint.origin}: ${reason(error)}`;
      }
    }
    throw refusal ?? new Refused("UNAVAILABLE", `no node can be reached: ${failure}`);
  }

  #send(endpoint: URL, { method, path, body, headers }: Call): Promise<IncomingMessage> {
    return new Promise((resolve, reject) => {
      const open = endpoint.protocol === "https:" ? httpsRequest : httpRequest;
      const request: ClientRequest = open(
        {
          hostname: endpoint.hostname.replace(/^\[|\]$/g, ""),
          port: endpoint.port,
          method,
          path,
          agent: false,
          headers: {
            ...headers,
            ...(this.#token === null ? {} : { authorization: `Bearer ${this.#token}` }),
            ...(body === undefined ? {} : { "content-length": body.length }),
          },
        },
        (response) => {
          clearTimeout(late);
          resolve(response);
        },
      );
      const { answerMs } = this.#bounds;
      const late = setTimeout(() => request.destroy(new Error(`no answer within ${answerMs} ms`)), answerMs);
      request.on("error", (error) => {
        clearTimeout(late);
        reject(error);
      });
      request.end(body);
    });
  }
}

const silentFor = (response: IncomingMessage, ms: number): IncomingMessage =>
  response.setTimeout(ms, () => response.destroy(new Error(`nothing came for ${ms} ms`)));

async function refusalOf(response: IncomingMessage): Promise<OpenClawError> {
  let text = "";
  for await (const chunk of response) {
    text += String(chunk);
    if (text.length > REFUSAL_CHARACTERS_MAX) break;
  }
  try {
    const body: unknown = JSON.parse(text);
    if (typeof body === "object" && body !== null && "code" in body && isErrorCode(body.code)) {
      return new Refused(body.code, "message" in body ? String(body.message) : "");
    }
  } catch {
    // Not our JSON: a proxy's page, say. It is told as what it is below.
  }
  return new OpenClawError("UNAVAILABLE", `HTTP ${response.statusCode}, not from an OpenClaw node`);
}

/** A repeat at another node gets the outcome of the first (Q1). */
const runningOnce = (call: Call): Call =>
  call.method === "GET" ? call : { ...call, headers: { "idempotency-key": `"${randomUUID()}"`, ...call.headers } };

const reason = (error: unknown): string => {
  if (error instanceof AggregateError) return error.errors.map(reason).join(", ");
  if (!(error instanceof Error)) return String(error);
  return "code" in error && error.message === "" ? String(error.code) : error.message;
};
