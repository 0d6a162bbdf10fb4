/**
 * `/v1/changes`: everything that happens in this cluster's ledger, keys and documents, in one stream that can be resumed.
 * An event is named by cluster, partition, epoch, revision and its place in the revision, and has that name for good: who
 * keeps the name of the last one beside its effect takes each exactly once, whatever breaks off.
 */
import { OpenClawError, unreachable } from "@openclaw/core/errors.ts";
import { PARTITION, type Revision, revision } from "@openclaw/core/ids.ts";
import { parsePosition, positionText, positionToken } from "@openclaw/core/ledger/position-token.ts";
import type { LedgerEvent } from "@openclaw/core/ledger/record.ts";
import { decodeRecord } from "@openclaw/core/ledger/record-codec.ts";
import type { StoredRecord } from "@openclaw/core/ports.ts";
import { mayReadEvent } from "@openclaw/core/sync/admission.ts";
import type { FastifyInstance, FastifyRequest } from "fastify";
import { failures } from "./answers.ts";
import type { ApiDeps, ApiPrincipal, ReplicaDoor } from "./deps.ts";
import type { EventStream } from "./event-stream.ts";
import { base64, keyAsText, valueAsText } from "./key-text.ts";
import { reached } from "./ledger.ts";
import { ledgerPages } from "./ledger-pages.ts";
import type { ServerEvent } from "./stream-format.ts";
import { formatFor, JSON_LINES, SERVER_SENT } from "./stream-format.ts";
import { streaming } from "./streaming.ts";
import { WatchProgress } from "./watch-progress.ts";

interface ChangesQuery {
  from?: number;
  to?: number;
  after?: string;
  access_token?: string;
}
type ChangesRequest = FastifyRequest<{ Querystring: ChangesQuery }>;

/** The first revision to send, and how many of its events the reader has already. */
interface Start {
  readonly revision: number;
  readonly skip: number;
}

export function changesRoute(app: FastifyInstance, deps: ApiDeps): void {
  const streams = new Set<EventStream>();
  app.addHook("preClose", async () => {
    for (const stream of streams) stream.fail(new OpenClawError("STOPPED"));
  });

  app.get<{ Querystring: ChangesQuery }>(
    "/v1/changes",
    {
      config: { stream: true },
      schema: {
        tags: ["operation"],
        summary: "Every event of the ledger that may be read (server-sent events, or NDJSON by Accept)",
        description:
          "`put`, `delete` and `change` (of a document) carry {kind, cluster, partition, epoch, revision, index, count, " +
          "…, origin, principal, time}, and `snapshot` where a snapshot brought them (SPEC S4): `index` is the place among the `count` events of the revision. Their id names " +
          "them: `Last-Event-ID`, or `after`, goes on behind it, and is refused WRONG_EPOCH when the cluster was " +
          "restored meanwhile. `hello` says where the stream starts, `progress` how far it is when there was nothing to " +
          "read, and `closed` why the node ended it. What the token may not read is left out.",
        produces: [SERVER_SENT.mediaType, JSON_LINES.mediaType],
        querystring: {
          type: "object",
          additionalProperties: false,
          properties: {
            from: { type: "integer", minimum: 1, description: "First revision to see; absent: what comes next" },
            to: { type: "integer", minimum: 1, description: "Last revision to see: the stream ends behind it" },
            after: { type: "string", maxLength: 160, description: "The id of an event, as Last-Event-ID" },
            access_token: { type: "string", description: "A token, for an EventSource, which can send no headers" },
          },
        },
        response: {
          200: {
            description: "Events",
            content: {
              [SERVER_SENT.mediaType]: { schema: { type: "string" } },
              [JSON_LINES.mediaType]: { schema: { type: "string" } },
            },
          },
          ...failures(
            "BAD_REQUEST",
            "REVISION_AHEAD",
            "COMPACTED",
            "WRONG_CLUSTER",
            "WRONG_EPOCH",
            "OVERLOADED",
            "UNAVAILABLE",
          ),
        },
      },
    },
    async (request, reply) => {
      const start = await startOf(deps.replica, request);
      await requireKept(deps.replica, start);
      const { to } = request.query;
      const serve = (stream: EventStream) => feed(deps.replica, stream, request.principal, start, to ?? null);
      await streaming(request, reply, streams, serve, formatFor(request.headers.accept));
    },
  );
}

async function feed(
  replica: ReplicaDoor,
  stream: EventStream,
  principal: ApiPrincipal,
  start: Start,
  to: number | null,
): Promise<void> {
  const position = replica.position();
  const { cluster, epoch, revision: at } = position;
  const named = (of: Revision): string => positionText(positionToken(position, of));
  const common = { cluster, partition: PARTITION, epoch: epoch.nonce };
  await stream.send([{ event: "hello", data: { ...common, revision: at, from: start.revision } }]);
  const progress = new WatchProgress(stream, start.revision - 1, (reachedNow) => named(revision(reachedNow)));
  try {
    for await (const page of ledgerPages(replica, revision(start.revision), stream.signal)) {
      const wanted = to === null ? page.records : page.records.filter((record) => record.revision <= to);
      const events = wanted.flatMap((stored) => eventsOf(stored, common, named, principal, start));
      const last = page.records.at(-1)?.revision ?? page.revision;
      // Before the reader takes them, which may last: an earlier place that is told meanwhile would have it take them twice.
      if (events.length > 0) progress.told(last);
      await stream.send(events);
      if (to !== null && last >= to) {
        if (events.length === 0 && to >= start.revision) progress.tellNow(to);
        stream.end();
        return;
      }
      if (page.records.length === 0) progress.tell(page.revision);
    }
  } finally {
    progress.stop();
  }
}

function eventsOf(
  stored: StoredRecord,
  common: object,
  named: (of: Revision) => string,
  principal: ApiPrincipal,
  start: Start,
): ServerEvent[] {
  const { revision: at, events, origin, principal: author, time, snapshot } = decodeRecord(stored.record);
  const mark = snapshot ? { snapshot } : {};
  const count = events.length;
  return events.flatMap((event, index): ServerEvent[] => {
    if (at === start.revision && index < start.skip) return [];
    // Asked at every event: rights are not a matter of connecting only (pitfall 50).
    if (!mayReadEvent(event, principal)) return [];
    // Only the last event of a revision completes it; after an earlier one the rest is still to come.
    const id = index === count - 1 ? named(at) : `${named(at)}.${index + 1}`;
    const place = { ...common, revision: at, index, count };
    const { kind } = event;
    return [{ event: kind, id, data: { kind, ...place, ...shown(event), origin, principal: author, time, ...mark } }];
  });
}

function shown(event: LedgerEvent): object {
  switch (event.kind) {
    case "put":
      return { ...keyAsText(event.key), ...valueAsText(event.value), lease: event.lease };
    case "delete":
      return keyAsText(event.key);
    case "change": {
      const { collection, document, change } = event;
      const { hash, actor, seq, deps, bytes } = change;
      return { collection, document, hash, actor, seq, deps, change: base64(bytes) };
    }
    case "home":
      return { prefix: keyAsText(event.prefix), step: event.step };
    case "command":
      return { via: event.via, to: event.to, command: base64(event.command) };
    case "result":
      return { to: event.to, of: { epoch: event.epoch, revision: event.revision }, outcome: base64(event.outcome) };
    default:
      return unreachable(event);
  }
}

/** @throws OpenClawError BAD_REQUEST, WRONG_CLUSTER, WRONG_EPOCH, REVISION_AHEAD, UNAVAILABLE */
async function startOf(replica: ReplicaDoor, request: ChangesRequest): Promise<Start> {
  const header = request.headers["last-event-id"];
  const after = typeof header === "string" && header !== "" ? header : request.query.after;
  const start = after === undefined ? fromQuery(replica, request.query.from) : behind(replica, after);
  await reached(replica, start.revision);
  return start;
}

const fromQuery = (replica: ReplicaDoor, from: number | undefined): Start => ({
  revision: from ?? replica.position().revision + 1,
  skip: 0,
});

function behind(replica: ReplicaDoor, id: string): Start {
  const [, position = "", seen] = /^([^.]*\.[^.]*\.[^.]*\.[^.]*)(?:\.(\d{1,6}))?$/.exec(id) ?? [];
  const { cluster, epoch, revision: at } = parsePosition(position);
  const here = replica.position();
  if (cluster !== here.cluster) throw new OpenClawError("WRONG_CLUSTER", `${cluster}, this is ${here.cluster}`);
  if (epoch !== here.epoch.nonce) throw new OpenClawError("WRONG_EPOCH", `epoch ${epoch}, this is ${here.epoch.nonce}`);
  return seen === undefined ? { revision: at + 1, skip: 0 } : { revision: at, skip: Number(seen) };
}

/** What is no longer kept is told by the status of the answer, not in the stream. @throws OpenClawError COMPACTED */
async function requireKept(replica: ReplicaDoor, { revision: at }: Start): Promise<void> {
  if (at <= replica.position().revision) await replica.ledger(revision(at), 1);
}
