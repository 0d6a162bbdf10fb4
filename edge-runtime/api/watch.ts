/** `/v1/watch`: the changes of keys, live and from any revision that is still kept. */
import { EMPTY_BYTES, prefixEnd } from "@openclaw/core/bytes.ts";
import { OpenClawError } from "@openclaw/core/errors.ts";
import { PARTITION, type Revision, revision } from "@openclaw/core/ids.ts";
import type { KeyEvent, LedgerRecord } from "@openclaw/core/ledger/record.ts";
import type { StoredRecord } from "@openclaw/core/ports.ts";
import type { FastifyInstance, FastifyRequest } from "fastify";
import { failures, REQUEST_TIMEOUT_MS } from "./answers.ts";
import type { ApiDeps } from "./deps.ts";
import type { EventStream } from "./event-stream.ts";
import { keyAsText, valueAsText } from "./key-text.ts";
import { ledgerPages } from "./ledger-pages.ts";
import { type Before, PreviousRows } from "./previous-rows.ts";
import type { ServerEvent } from "./stream-format.ts";
import { streaming } from "./streaming.ts";
import { queryBytes } from "./url-bytes.ts";
import { WatchProgress } from "./watch-progress.ts";
import {
  type Selection,
  selectedEvents,
  WATCH_FILTERS,
  type WatchFilter,
  watchedOrigin,
  watchedRecord,
} from "./watch-selection.ts";
import { watchStreamRoutes } from "./watch-stream-routes.ts";

interface WatchQuery {
  prefix?: string;
  from?: number;
  origin?: string;
  filter?: readonly WatchFilter[];
  previous?: boolean;
  access_token?: string;
}

/** Where a watcher stands: `event` counts the matching events of one revision, for records that hold several. */
interface Resume {
  readonly revision: number;
  /** Events of that revision which the watcher has already. */
  readonly skip: number;
}

export function watchRoutes(app: FastifyInstance, deps: ApiDeps): void {
  const streams = new Set<EventStream>();
  deps.metrics.watchers(() => streams.size);
  app.addHook("preClose", async () => {
    for (const stream of streams) stream.fail(new OpenClawError("STOPPED"));
  });

  const rows = new PreviousRows(deps.replica);
  watchStreamRoutes(app, deps, streams, rows);

  app.get<{ Querystring: WatchQuery }>(
    "/v1/watch",
    {
      config: { stream: true },
      schema: {
        tags: ["kv"],
        summary: "Watch a prefix (server-sent events)",
        description:
          "`put` and `delete` events carry {kind, key, value, text, revision, origin, principal, time} in the order of " +
          "revisions, each once; their id is what Last-Event-ID resumes after. `snapshot` is true of what tells how a snapshot " +
          "differed from the mirror here, and was not done one by one (SPEC S4). `hello` says where the watch starts, " +
          "`progress` how far it is when nothing matched, and `closed` why the node ended it.",
        produces: ["text/event-stream"],
        querystring: {
          type: "object",
          additionalProperties: false,
          properties: {
            prefix: { type: "string", description: "Percent-encoded bytes; absent watches everything" },
            from: { type: "integer", minimum: 1, description: "First revision to see; absent: what comes next" },
            origin: {
              type: "string",
              description: "Watch the mirror of this cluster instead of our own keys; * for all",
            },
            filter: {
              type: "array",
              items: { type: "string", enum: WATCH_FILTERS },
              maxItems: WATCH_FILTERS.length,
              description: "Leave out puts or deletes",
            },
            previous: {
              type: "boolean",
              default: false,
              description: "Tell with each event what was under its key before; not where that is compacted",
            },
            access_token: { type: "string", description: "A token, for an EventSource, which can send no headers" },
          },
        },
        response: {
          200: { description: "Events", content: { "text/event-stream": { schema: { type: "string" } } } },
          ...failures("BAD_REQUEST", "FORBIDDEN", "REVISION_AHEAD", "COMPACTED", "OVERLOADED", "UNAVAILABLE"),
        },
      },
    },
    async (request, reply) => {
      const prefix = queryBytes(request.url, "prefix") ?? EMPTY_BYTES;
      if (!request.principal.mayReadPrefix(prefix)) throw new OpenClawError("FORBIDDEN", "read");
      const selection: Selection = {
        keys: { kind: "range", from: prefix, to: prefixEnd(prefix) ?? null },
        origin: watchedOrigin(request.query.origin),
        filters: request.query.filter ?? [],
        principal: request.principal,
      };
      const start = await startOf(deps, request);
      await streaming(request, reply, streams, (stream) =>
        serve(deps, stream, selection, start, request.query.previous === true ? rows : null),
      );
    },
  );
}

/** @param rows null: nobody asks what was before */
async function serve(
  deps: ApiDeps,
  stream: EventStream,
  selection: Selection,
  start: Resume,
  rows: PreviousRows | null,
): Promise<void> {
  const { cluster, epoch, revision: at } = deps.replica.position();
  const hello = { cluster, partition: PARTITION, epoch: epoch.nonce, revision: at, from: start.revision };
  await stream.send([{ event: "hello", data: hello }]);
  const progress = new WatchProgress(stream, start.revision - 1);
  try {
    for await (const page of ledgerPages(deps.replica, revision(start.revision), stream.signal)) {
      const changes = page.records.flatMap((stored) => changesOf(stored, selection, start));
      const last = changes.at(-1);
      if (last !== undefined) progress.told(Number.parseInt(last.id, 10));
      if (rows === null) await stream.send(changes.map((change) => shown(change, {})));
      // One at a time: the rows before them may be far more than the events.
      else for (const change of changes) await stream.send([shown(change, await beforeOf(rows, change))]);
      if (page.records.length === 0) progress.tell(page.revision);
    }
  } finally {
    progress.stop();
  }
}

interface Change {
  readonly id: string;
  readonly event: KeyEvent;
  readonly record: LedgerRecord;
}

function changesOf(stored: StoredRecord, selection: Selection, start: Resume): Change[] {
  const watched = watchedRecord(stored);
  const { record } = watched;
  const matching = selectedEvents(watched, selection);
  return matching.flatMap((event, at): Change[] => {
    if (record.revision === start.revision && at < start.skip) return [];
    // Asked again at every event: rights are not a matter of connecting only (pitfall 50).
    if (!selection.principal.mayReadKey(event.key)) return [];
    // Only the last event of a revision completes it; after an earlier one the rest is still to come.
    const id = at === matching.length - 1 ? `${record.revision}` : `${record.revision}.${at + 1}`;
    return [{ id, event, record }];
  });
}

const beforeOf = async (rows: PreviousRows, { event, record }: Change): Promise<Before> =>
  (await rows.before(record, [event]))[0] ?? {};

function shown({ id, event, record }: Change, before: Before): ServerEvent {
  const { revision: at, origin, principal, time, snapshot } = record;
  const value = event.kind === "put" ? valueAsText(event.value) : {};
  const data = {
    kind: event.kind,
    ...keyAsText(event.key),
    ...value,
    revision: at,
    origin,
    principal,
    time,
    ...(snapshot ? { snapshot } : {}),
    ...before,
  };
  return { event: event.kind, id, data };
}

/** Ahead is not a fork (L3): a revision that this node has not applied yet is waited for before it is called unknown. */
async function startOf({ replica }: ApiDeps, request: FastifyRequest<{ Querystring: WatchQuery }>): Promise<Resume> {
  const last = request.headers["last-event-id"];
  const start = typeof last === "string" && last !== "" ? resumeAfter(last) : fromQuery(request.query.from);
  if (start === undefined) return { revision: replica.position().revision + 1, skip: 0 };
  const reached = (): Revision => replica.position().revision;
  if (start.revision > reached() + 1) await replica.barrier(REQUEST_TIMEOUT_MS);
  if (start.revision > reached() + 1)
    throw new OpenClawError("REVISION_AHEAD", `revision ${start.revision}, here ${reached()}`);
  return start;
}

const fromQuery = (from: number | undefined): Resume | undefined =>
  from === undefined ? undefined : { revision: from, skip: 0 };

function resumeAfter(id: string): Resume {
  const match = /^(\d{1,15})(?:\.(\d{1,6}))?$/.exec(id);
  if (match === null) throw new OpenClawError("BAD_REQUEST", "Last-Event-ID is the id of an event");
  const [, at, seen] = match;
  return seen === undefined ? { revision: Number(at) + 1, skip: 0 } : { revision: Number(at), skip: Number(seen) };
}
