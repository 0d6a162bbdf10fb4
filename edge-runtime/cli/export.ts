/** `openclaw export`: the ledger's events as lines of JSON, across restarts of nodes, each once. */
import { createInterface } from "node:readline";
import { setTimeout as delay } from "node:timers/promises";
import { isErrorCode, OpenClawError } from "@openclaw/core/errors.ts";
import type { Command } from "commander";
import { z } from "zod";
import { type ApiClient, Refused } from "./client.ts";
import { clientOf, examples, print, type Reach, reaching, wholeNumber } from "./reach.ts";

/** Between two attempts to reach a node, ms. */
const RETRY_MS = 1_000;

const Line = z.object({ kind: z.string(), id: z.string().optional(), code: z.string().optional() });
const Closed = z.object({ code: z.string().refine(isErrorCode), message: z.string() });
const Status = z.object({ revision: z.int() });

export function addExport(program: Command): void {
  reaching(program.command("export"))
    .description("print the events of keys and documents from a revision on, a JSON object a line (NDJSON)")
    .option("--from <revision>", "the first revision", wholeNumber, 1)
    .option("--after <id>", "go on behind the event of this id instead")
    .option("--to <revision>", "the last revision (default: the newest as of now)", wholeNumber)
    .option("--follow", "go on with what comes, until Ctrl-C")
    .addHelpText(
      "after",
      `${examples(
        "openclaw export > shop.ndjson",
        "openclaw export --from 4711 --follow",
        "openclaw export --after shop.0.6f…2a.4711 --follow",
      )}\n\nEach line's id names the event for good: keep the last one with what you made of it, and go on with --after.`,
    )
    .action(async (options: Reach & ExportOptions) => {
      const client = clientOf(options);
      const stop = new AbortController();
      for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, () => stop.abort());
      await exportEvents(client, {
        from: options.from,
        after: options.after ?? null,
        to: options.follow === true ? (options.to ?? null) : (options.to ?? (await newest(client))),
        write: print,
        warn: (line) => void process.stderr.write(`${line}; trying again\n`),
        signal: stop.signal,
      });
    });
}

interface ExportOptions {
  readonly from: number;
  readonly after?: string;
  readonly to?: number;
  readonly follow?: boolean;
}

/** What was acknowledged before is in it, whichever node answers. */
export const newest = async (client: ApiClient): Promise<number> =>
  Status.parse(await client.json({ method: "GET", path: "/v1/status?consistency=linearizable" })).revision;

export interface Export {
  readonly from: number;
  readonly after: string | null;
  /** Null: without an end. */
  readonly to: number | null;
  readonly write: (line: string) => void;
  readonly warn: (line: string) => void;
  readonly signal: AbortSignal;
}

/** Ends behind `to`, or when `signal` aborts. @throws OpenClawError what a node refuses for good */
export async function exportEvents(client: ApiClient, plan: Export): Promise<void> {
  const { signal, to } = plan;
  if (to !== null && (to < 1 || (plan.after === null && to < plan.from))) return;
  let last = plan.after;
  while (!signal.aborted) {
    try {
      const range = `from=${plan.from}${to === null ? "" : `&to=${to}`}`;
      const headers = {
        accept: "application/x-ndjson",
        ...(last === null ? {} : { "last-event-id": last }),
      };
      const response = await client.stream({ method: "GET", path: `/v1/changes?${range}`, headers });
      const end = () => response.destroy();
      signal.addEventListener("abort", end, { once: true });
      for await (const text of createInterface({ input: response })) {
        if (text === "") continue;
        last = told(text, plan) ?? last;
      }
      // A stream with an end that came to it, rather than to the node's.
      if (response.complete && to !== null) return;
    } catch (error) {
      if (signal.aborted) return;
      if (error instanceof OpenClawError && !error.retryable) throw error;
      plan.warn(error instanceof Error ? error.message : String(error));
    }
    if (!signal.aborted) await delay(RETRY_MS, undefined, { signal }).catch(() => {});
  }
}

/** Where to go on behind this line, if it says so. */
function told(text: string, { write }: Export): string | undefined {
  const json: unknown = JSON.parse(text);
  const { kind, id } = Line.parse(json);
  switch (kind) {
    case "put":
    case "delete":
    case "change":
      write(text);
      return id;
    case "closed": {
      const { code, message } = Closed.parse(json);
      throw new Refused(code, message);
    }
    default: // hello says nothing that is not known; progress, how far it is
      return id;
  }
}
