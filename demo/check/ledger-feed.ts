/** Reads a cluster's ledger of puts from its first revision to its present end, as any watcher would. */

import { serverEvents } from "@openclaw/edge-runtime/cli/server-events.ts";
import * as z from "zod";
import { sha256 } from "../replay.ts";

/** A put as a ledger has it. */
export interface LedgerPut {
  readonly key: string;
  /** Hex. */
  readonly sha256: string;
  /** Revision in the ledger that was read. */
  readonly revision: number;
  /** Revision in the ledger where it was first written; null when that is the ledger that was read. */
  readonly originRevision: number | null;
}

/** Ms without anything to read before a feed is given up. */
const SILENCE_MS = 20_000;

const hello = z.object({ revision: z.number() });
const progress = z.object({ revision: z.number() });
const put = z.object({
  key: z.string(),
  value: z.string(),
  revision: z.number(),
  origin: z.object({ revision: z.number() }).nullable(),
});
const closed = z.object({ code: z.string(), message: z.string() });

/**
 * @param http base URL of a node
 * @param origin cluster whose mirror is read; null for the node's own cluster's keys
 */
export async function readPuts(http: string, origin: string | null, prefix: string): Promise<readonly LedgerPut[]> {
  const query = new URLSearchParams({ from: "1", prefix, ...(origin === null ? {} : { origin }) });
  const silence = new AbortController();
  let timer = setTimeout(() => silence.abort(), SILENCE_MS);
  const response = await fetch(`${http}/v1/watch?${query}`, { signal: silence.signal });
  if (!response.ok || response.body === null)
    throw new Error(`${http}/v1/watch: ${response.status} ${await response.text()}`);
  const puts: LedgerPut[] = [];
  let end = Number.POSITIVE_INFINITY;
  try {
    for await (const { event, data } of serverEvents(response.body)) {
      clearTimeout(timer);
      timer = setTimeout(() => silence.abort(), SILENCE_MS);
      switch (event) {
        case "hello":
          end = hello.parse(data).revision;
          if (end === 0) return puts;
          break;
        case "put": {
          const { key, value, revision, origin: source } = put.parse(data);
          const bytes = Buffer.from(value, "base64");
          puts.push({ key, sha256: sha256(bytes), revision, originRevision: source?.revision ?? null });
          if (revision >= end) return puts;
          break;
        }
        case "progress":
          if (progress.parse(data).revision >= end) return puts;
          break;
        case "closed": {
          const { code, message } = closed.parse(data);
          throw new Error(`the watch at ${http} was closed: ${code}: ${message}`);
        }
        default:
          throw new Error(`the watch at ${http} sent an event that nobody expects here: ${event}`);
      }
    }
    throw new Error(`the watch at ${http} ended before revision ${end}`);
  } finally {
    clearTimeout(timer);
    silence.abort();
  }
}
