/** Reads server-sent events as a browser would. */

import type { IncomingMessage, RequestOptions } from "node:http";
import { request } from "node:http";

export interface Received {
  readonly event: string;
  readonly id: string | undefined;
  // biome-ignore lint/suspicious/noExplicitAny: assertions look into it
  readonly data: any;
}

export class EventReader {
  readonly received: Received[] = [];
  readonly response: IncomingMessage;
  ended = false;
  #text = "";
  #wake = (): void => {};

  private constructor(response: IncomingMessage) {
    this.response = response;
    response.setEncoding("utf8");
    response.on("data", (text: string) => this.#take(text));
    response.on("close", () => {
      this.ended = true;
      this.#wake();
    });
    response.on("error", () => {});
  }

  static open(url: string, headers: Record<string, string> = {}): Promise<EventReader> {
    return EventReader.#ask(url, { headers });
  }

  static post(url: string, body: unknown, headers: Record<string, string> = {}): Promise<EventReader> {
    const json = { ...headers, "content-type": "application/json" };
    return EventReader.#ask(url, { method: "POST", headers: json }, JSON.stringify(body));
  }

  static #ask(url: string, options: RequestOptions, body?: string): Promise<EventReader> {
    return new Promise((resolve, reject) => {
      request(url, { ...options, agent: false }, (response) => resolve(new EventReader(response)))
        .on("error", reject)
        .end(body);
    });
  }

  /** Resolves when `enough` of what was received so far; rejects when the stream ended before. */
  async until(enough: (received: readonly Received[]) => boolean): Promise<readonly Received[]> {
    while (!enough(this.received)) {
      if (this.ended) throw new Error(`the stream ended after ${JSON.stringify(this.received.at(-1))}`);
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
    return this.received;
  }

  close(): void {
    this.response.destroy();
  }

  #take(text: string): void {
    this.#text += text;
    const blocks = this.#text.split("\n\n");
    this.#text = blocks.pop() ?? "";
    for (const block of blocks) {
      const field = (name: string) =>
        block
          .split("\n")
          .find((line) => line.startsWith(`${name}: `))
          ?.slice(name.length + 2);
      const event = field("event");
      if (event !== undefined)
        this.received.push({ event, id: field("id"), data: JSON.parse(field("data") ?? "null") });
    }
    this.#wake();
  }
}

export const changes = (received: readonly Received[]) =>
  received.filter(({ event }) => event === "put" || event === "delete");
