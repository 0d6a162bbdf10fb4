/** Events on one response for as long as it lasts, with a bound on how long its reader may not read. */
import type { ServerResponse } from "node:http";
import { OpenClawError } from "@openclaw/core/errors.ts";
import { errorBody } from "./answers.ts";
import { SERVER_SENT, type ServerEvent, type StreamFormat } from "./stream-format.ts";

/** A reader whose socket takes nothing for this long is cut off, ms. Its buffer meanwhile is one page of events. */
const STALL_MS_MAX = 30_000;
/** Comments sent when there is nothing else, so that proxies and clients see a live connection, ms. */
const KEEP_ALIVE_MS = 15_000;

export class EventStream {
  readonly #response: ServerResponse;
  readonly #ended = new AbortController();
  readonly #keepAlive: NodeJS.Timeout;
  readonly #stallMs: number;
  readonly #format: StreamFormat;

  /** @param headers what the framework's hooks have set */
  constructor(
    response: ServerResponse,
    headers: Record<string, number | string | string[] | undefined>,
    format: StreamFormat = SERVER_SENT,
    stallMs = STALL_MS_MAX,
  ) {
    this.#response = response;
    this.#format = format;
    this.#stallMs = stallMs;
    for (const [name, value] of Object.entries(headers)) if (value !== undefined) response.setHeader(name, value);
    response.writeHead(200, {
      "content-type": `${format.mediaType}; charset=utf-8`,
      "cache-control": "no-store",
      "x-accel-buffering": "no",
    });
    response.flushHeaders();
    response.once("close", () => this.#finish());
    this.#keepAlive = setInterval(() => {
      if (!response.writableNeedDrain) response.write(format.idle);
    }, KEEP_ALIVE_MS);
    // Its reader went away while the request was looked at: nothing would tell of it any more.
    if (response.destroyed) this.#finish();
  }

  /** Aborts when either side ended the stream. */
  get signal(): AbortSignal {
    return this.#ended.signal;
  }

  /** Resolves when the reader's socket takes more. @throws OpenClawError OVERLOADED when it does not for too long */
  async send(events: readonly ServerEvent[]): Promise<void> {
    if (events.length === 0 || this.#ended.signal.aborted) return;
    if (this.#response.write(events.map(this.#format.written).join(""))) return;
    await this.#drained();
  }

  /** There is no more to tell. */
  end(): void {
    this.#endWith("");
  }

  /** The last thing its reader sees. */
  fail(error: OpenClawError): void {
    this.#endWith(this.#format.written({ event: "closed", data: errorBody(error) }));
  }

  #endWith(text: string): void {
    if (this.#ended.signal.aborted) return;
    this.#response.end(text);
    this.#finish();
    // A reader that takes nothing would hold the socket open.
    setTimeout(() => this.#response.destroy(), this.#stallMs).unref();
  }

  #drained(): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const late = setTimeout(() => reject(new OpenClawError("OVERLOADED", "the watcher does not read")), this.#stallMs);
    const done = (): void => {
      clearTimeout(late);
      this.#response.off("drain", done);
      this.#ended.signal.removeEventListener("abort", done);
      resolve();
    };
    this.#response.on("drain", done);
    this.#ended.signal.addEventListener("abort", done);
    return promise;
  }

  #finish(): void {
    clearInterval(this.#keepAlive);
    this.#ended.abort();
  }
}
