/** A cluster's ledger as far as it was read, and on from there: `/v1/changes` of whichever node answers. */
import { serverEvents } from "@openclaw/edge-runtime/cli/server-events.ts";
import * as z from "zod";
import { changeId, type LedgerEdits, putId } from "./oracle.ts";

/** Ms without anything to read before a node is given up. */
const SILENCE_MS = 20_000;

const at = z.object({ revision: z.number() });
const place = z.object({ index: z.number(), count: z.number() });
const put = z.object({ key: z.string(), value: z.string() });
const change = z.object({ hash: z.string() });

export class Ledger implements LedgerEdits {
  readonly times = new Map<string, number>();
  readonly values = new Map<string, string>();
  readonly #nodes: () => readonly string[];
  #read = 0;
  /** Events of a revision that is not yet here whole: a stream that breaks off begins with it again. */
  #half: { readonly event: string; readonly data: unknown }[] = [];

  /** @param nodes base URLs of those that are alive */
  constructor(nodes: () => readonly string[]) {
    this.#nodes = nodes;
  }

  /** Reads to the present end of one node's. False when no node answers. */
  async advance(): Promise<boolean> {
    for (const http of this.#nodes()) {
      try {
        await this.#advanceAt(http);
        return true;
      } catch (error) {
        if (!(error instanceof Error)) throw error;
        // Dead, or dying: the next one. What it told so far counts.
      }
    }
    return false;
  }

  async #advanceAt(http: string): Promise<void> {
    const silence = new AbortController();
    let timer = setTimeout(() => silence.abort(), SILENCE_MS);
    try {
      const response = await fetch(`${http}/v1/changes?from=${this.#read + 1}`, { signal: silence.signal });
      if (!response.ok || response.body === null) throw new Error(`${response.status} ${await response.text()}`);
      let end = Number.POSITIVE_INFINITY;
      for await (const { event, data } of serverEvents(response.body)) {
        clearTimeout(timer);
        timer = setTimeout(() => silence.abort(), SILENCE_MS);
        const { revision } = at.parse(data);
        if (event === "hello") end = revision;
        else if (event === "progress") this.#read = Math.max(this.#read, revision);
        else this.#take(event, data, revision);
        if (this.#read >= end) return;
      }
      throw new Error(`the stream ended before revision ${end}`);
    } finally {
      clearTimeout(timer);
      silence.abort();
    }
  }

  #take(event: string, data: unknown, revision: number): void {
    const { index, count } = place.parse(data);
    if (index === 0) this.#half = [];
    this.#half.push({ event, data });
    if (index < count - 1) return;
    for (const one of this.#half) this.#count(one.event, one.data);
    this.#read = revision;
  }

  #count(event: string, data: unknown): void {
    if (event === "put") {
      const { key, value } = put.parse(data);
      this.values.set(putId(key), Buffer.from(value, "base64").toString());
      this.#once(putId(key));
    } else if (event === "change") {
      this.#once(changeId(change.parse(data).hash));
    }
  }

  #once(id: string): void {
    this.times.set(id, (this.times.get(id) ?? 0) + 1);
  }
}
