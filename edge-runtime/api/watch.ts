/** `/v1/watch`: the changes of keys, live and from any revision that is still kept. */
import { EMPTY_BYTES } from "@openclaw/core/bytes.ts";
import { OpenClawError } from "@openclaw/core/errors.ts";
import { isClusterId, PARTITION, type Revision, revision } from "@openclaw/core/ids.ts";
import type { LedgerEvent, LedgerRecord } from "@openclaw/core/ledger/record.ts";
import { decodeRecord } from "@openclaw/core/ledger/record-codec.ts";
import type { StoredRecord } from "@openclaw/core/ports.ts";
import type { FastifyInstance, FastifyRequest } from "fastify";
import { expected, failures, REQUEST_TIMEOUT_MS } from "./answers.ts";
import type { ApiDeps, ApiPrincipal } from "./deps.ts";
import { EventStream, type ServerEvent } from "./event-stream.ts";
import { keyAsText, valueAsText } from "./key-text.ts";
import { ledgerPages } from "./ledger-pages.ts";
import { queryBytes } from "./url-bytes.ts";

/** Watchers of one node; one more is OVERLOADED. */
const WATCHERS_MAX = 1_000;
/** While nothing matches, a watcher learns at most this often how far it is, ms. */
const PROGRESS_MS = 1_000;

interface WatchQuery {
  prefix?: string;
  from?: number;
  origin?: string;
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

  app.get<{ Querystring: WatchQuery }>(
    "/v1/watch",
    {
      config: { stream: true },
      schema: {
        tags: ["kv"],
        summary: "Watch a prefix (server-sent events)",
        description:
          "`put` and `delete` events carry {kind, key, value, text, revision, origin, principal, time} in the order of " +
          "revisions, each once; their id is what Last-Event-ID resumes after. `hello` says where the watch starts, " +
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
      if (streams.size >= WATCHERS_MAX) throw new OpenClawError("OVERLOADED", `${WATCHERS_MAX} watchers`);
      const prefix = queryBytes(request.url, "prefix") ?? EMPTY_BYTES;
      if (!request.principal.mayReadPrefix(prefix)) throw new OpenClawError("FORBIDDEN", "read");
      const selection: Selection = {
        prefix,
        origin: watchedOrigin(request.query.origin),
        principal: request.principal,
      };
      const start = await startOf(deps, request);
      reply.hijack();
      const stream = new EventStream(reply.raw, reply.getHeaders());
      streams.add(stream);
      try {
        await serve(deps, stream, selection, start);
      } catch (error) {
        const failure = expected(error);
        if (failure.code === "INTERNAL") request.log.error({ err: error }, "a watch failed");
        stream.fail(failure);
      } finally {
        streams.delete(stream);
      }
    },
  );
}

interface Selection {
  readonly prefix: Uint8Array;
  /** Null: our own keys; "*": ours and every mirror. */
  readonly origin: string | null;
  readonly principal: ApiPrincipal;
}

async function serve(deps: ApiDeps, stream: EventStream, selection: Selection, start: Resume): Promise<void> {
  const { cluster, epoch, revision: at } = deps.replica.position();
  const hello = { cluster, partition: PARTITION, epoch: epoch.nonce, revision: at, from: start.revision };
  await stream.send([{ event: "hello", data: hello }]);
  const progress = new Progress(stream, start.revision - 1);
  const endOfToken = atExpiry(selection.principal, () =>
    stream.fail(new OpenClawError("UNAUTHENTICATED", "the token expired")),
  );
  try {
    for await (const page of ledgerPages(deps.replica, revision(start.revision), stream.signal)) {
      const events = page.records.flatMap((stored) => eventsOf(stored, selection, start));
      const last = events.at(-1);
      if (last !== undefined) progress.told(Number.parseInt(last.id, 10));
      await stream.send(events);
      if (page.records.length === 0) progress.tell(page.revision);
    }
  } finally {
    progress.stop();
    clearInterval(endOfToken);
  }
}

/** Rights end when the token does, in mid-stream too (pitfall 50). A timeout takes no longer than 24 days; a day's check does. */
function atExpiry({ expires }: ApiPrincipal, end: () => void): NodeJS.Timeout | undefined {
  if (expires === null) return undefined;
  const check = (): void => {
    if (expires <= Date.now()) end();
  };
  return setInterval(check, Math.min(Math.max(expires - Date.now(), 0) + 1, 86_400_000));
}

/** Tells a watcher how far it is when nothing matched: at once at first, then at most once in PROGRESS_MS. */
class Progress {
  readonly #stream: EventStream;
  #told: number;
  #reached: number;
  #pause: NodeJS.Timeout | null = null;

  constructor(stream: EventStream, told: number) {
    this.#stream = stream;
    this.#told = told;
    this.#reached = told;
  }
  told(at: number): void {
    this.#told = at;
  }
  tell(reached: number): void {
    this.#reached = reached;
    if (this.#reached <= this.#told || this.#pause !== null) return;
    this.#told = reached;
    const id = String(reached);
    // A reader that takes nothing fails the next send of events; progress alone never fills its buffer.
    void this.#stream.send([{ event: "progress", id, data: { revision: reached } }]).catch(() => {});
    this.#pause = setTimeout(() => {
      this.#pause = null;
      this.tell(this.#reached);
    }, PROGRESS_MS);
  }
  stop(): void {
    if (this.#pause !== null) clearTimeout(this.#pause);
  }
}

type KeyChange = ServerEvent & { readonly id: string };
type KeyEvent = Exclude<LedgerEvent, { kind: "change" }>;

function eventsOf(stored: StoredRecord, { prefix, origin, principal }: Selection, start: Resume): KeyChange[] {
  const record = decoded(stored);
  if (origin !== "*" && (record.origin?.cluster ?? null) !== origin) return [];
  const matching = record.events.filter(
    (event): event is KeyEvent => event.kind !== "change" && startsWith(event.key, prefix),
  );
  return matching.flatMap((event, at): KeyChange[] => {
    if (record.revision === start.revision && at < start.skip) return [];
    // Asked again at every event: rights are not a matter of connecting only (pitfall 50).
    if (!principal.mayReadKey(event.key)) return [];
    // Only the last event of a revision completes it; after an earlier one the rest is still to come.
    const id = at === matching.length - 1 ? `${record.revision}` : `${record.revision}.${at + 1}`;
    return [{ event: event.kind, id, data: shown(event, record) }];
  });
}

function shown(event: KeyEvent, { revision: at, origin, principal, time }: LedgerRecord) {
  const value = event.kind === "put" ? valueAsText(event.value) : {};
  return { kind: event.kind, ...keyAsText(event.key), ...value, revision: at, origin, principal, time };
}

/** A live record reaches every watcher as one object: decoded once. */
const records = new WeakMap<StoredRecord, LedgerRecord>();

function decoded(stored: StoredRecord): LedgerRecord {
  let record = records.get(stored);
  if (record === undefined) {
    record = decodeRecord(stored.record);
    records.set(stored, record);
  }
  return record;
}

const startsWith = (key: Uint8Array, prefix: Uint8Array): boolean =>
  prefix.length <= key.length && prefix.every((byte, i) => byte === key[i]);

function watchedOrigin(text: string | undefined): string | null {
  if (text === undefined || text === "") return null;
  if (text !== "*" && !isClusterId(text)) throw new OpenClawError("BAD_REQUEST", "origin is a cluster's name or *");
  return text;
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
