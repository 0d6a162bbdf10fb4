/** `openclaw watch`: follows a prefix across restarts of nodes, from the last event it saw. */

import { setTimeout as delay } from "node:timers/promises";
import { isErrorCode, OpenClawError } from "@openclaw/core/errors.ts";
import { z } from "zod";
import { type ApiClient, Refused } from "./client.ts";
import { serverEvents } from "./server-events.ts";

/** Between two attempts to reach a node, ms. */
const RETRY_MS = 1_000;

const Change = z.object({
  kind: z.enum(["put", "delete"]),
  key: z.string().nullable(),
  keyBase64: z.string().optional(),
  value: z.string().optional(),
  text: z.string().optional(),
  revision: z.number(),
  origin: z.object({ cluster: z.string() }).nullable(),
});
const Closed = z.object({ code: z.string().refine(isErrorCode), message: z.string() });

export interface WatchOptions {
  /** Path and query of the watch. */
  readonly path: string;
  readonly json: boolean;
  readonly write: (line: string) => void;
  /** Told when the connection is lost and sought again. */
  readonly warn: (line: string) => void;
  readonly signal: AbortSignal;
}

/** Ends when `signal` aborts. @throws OpenClawError what a node refuses for good */
export async function watch(client: ApiClient, options: WatchOptions): Promise<void> {
  let last: string | undefined;
  while (!options.signal.aborted) {
    try {
      const headers: Record<string, string> = last === undefined ? {} : { "last-event-id": last };
      const response = await client.stream({ method: "GET", path: options.path, headers });
      const end = () => response.destroy();
      options.signal.addEventListener("abort", end, { once: true });
      for await (const { event, id, data } of serverEvents(response)) {
        last = id ?? last;
        show(event, data, options);
      }
    } catch (error) {
      if (options.signal.aborted) return;
      if (error instanceof OpenClawError && !error.retryable) throw error;
      options.warn(error instanceof Error ? error.message : String(error));
    }
    if (!options.signal.aborted) await delay(RETRY_MS, undefined, { signal: options.signal }).catch(() => {});
  }
}

function show(event: string, data: unknown, { json, write }: WatchOptions): void {
  switch (event) {
    case "put":
    case "delete":
      write(json ? JSON.stringify(data) : changeLine(Change.parse(data)));
      return;
    case "closed": {
      const { code, message } = Closed.parse(data);
      throw new Refused(code, message);
    }
    default: // hello and progress are for programs
      return;
  }
}

function changeLine({ kind, key, keyBase64, value, text, revision, origin }: z.infer<typeof Change>): string {
  const shown = kind === "delete" ? "" : ` ${text ?? `base64:${value}`}`;
  return `${revision} ${origin === null ? "" : `${origin.cluster} `}${kind} ${key ?? `base64:${keyBase64}`}${shown}`;
}
