/** `POST /v1/watch`: many watches on one stream; and what is asked of such a stream while it is open. */
import { randomUUID } from "node:crypto";
import { OpenClawError } from "@openclaw/core/errors.ts";
import { selectKeys } from "@openclaw/core/state-machine/operation.ts";
import { mayRead } from "@openclaw/core/sync/key-rights.ts";
import type { FastifyInstance } from "fastify";
import { z } from "zod";
import { failures } from "./answers.ts";
import type { ApiDeps, ApiPrincipal } from "./deps.ts";
import type { EventStream } from "./event-stream.ts";
import { keysForm } from "./key-form.ts";
import type { PreviousRows } from "./previous-rows.ts";
import { streaming } from "./streaming.ts";
import { WATCH_FILTERS, watchedOrigin } from "./watch-selection.ts";
import { STREAM_WATCHES_MAX, type WatchCreate, WatchStream } from "./watch-stream.ts";

const watchId = z.int().min(0).describe("Chosen by you; each event carries it");
const create = z.strictObject({
  watch: watchId,
  ...keysForm,
  from: z.int().min(1).optional().describe("First revision to see, past or future; absent: what comes next"),
  origin: z.string().optional().describe("Watch the mirror of this cluster instead of our own keys; * for all"),
  previous: z
    .boolean()
    .default(false)
    .describe(
      "Tell with each event what was under its key before; not where that is compacted, nor beyond 8 MiB a revision",
    ),
  filters: z.array(z.enum(WATCH_FILTERS)).max(WATCH_FILTERS.length).default([]),
});
const creates = z.array(create).max(STREAM_WATCHES_MAX);
const OpenForm = z.strictObject({ watches: creates.min(1) });
const AskForm = z.strictObject({
  create: creates.default([]),
  cancel: z.array(watchId).max(STREAM_WATCHES_MAX).default([]),
  progress: z.boolean().default(false).describe("Tell how far all watches are, in the stream"),
});

const formSchema = (form: z.ZodType) =>
  z.toJSONSchema(form, { unrepresentable: "any", io: "input", target: "draft-7" });

export function watchStreamRoutes(
  app: FastifyInstance,
  deps: ApiDeps,
  streams: Set<EventStream>,
  rows: PreviousRows,
): void {
  const open = new Map<string, { readonly stream: WatchStream; readonly owner: string }>();

  app.post<{ Body: z.output<typeof OpenForm> }>(
    "/v1/watch",
    {
      config: { stream: true },
      validatorCompiler: () => (body) => parsed(OpenForm, body),
      schema: {
        tags: ["kv"],
        summary: "Watch many ranges of keys on one stream (server-sent events)",
        description:
          "`hello` names the stream. `created` says where a watch starts; `events` carries all that one revision holds for " +
          "one watch: {watch, revision, origin, principal, time, events: [{kind, key, value}]}, keys and values in base64, in " +
          "the order of revisions, each once. `canceled` ends one watch, with an error's code (COMPACTED: what it asked for is " +
          "not kept any more) or without one when you asked for it; `closed` ends the stream. `progress` says how far all " +
          "watches are. To resume, open another stream from the revision after the last one that each watch has seen.",
        produces: ["text/event-stream"],
        body: formSchema(OpenForm),
        response: {
          200: { description: "Events", content: { "text/event-stream": { schema: { type: "string" } } } },
          ...failures("BAD_REQUEST", "FORBIDDEN", "OVERLOADED", "UNAVAILABLE"),
        },
      },
    },
    async (request, reply) => {
      const watches = createsOf(request.body.watches, request.principal);
      const id = randomUUID();
      await streaming(request, reply, streams, async (events) => {
        const stream = new WatchStream(id, events, deps.replica, rows);
        open.set(id, { stream, owner: request.principal.name });
        try {
          await stream.run(watches);
        } finally {
          open.delete(id);
        }
      });
    },
  );

  app.post<{ Params: { stream: string }; Body: z.output<typeof AskForm> }>(
    "/v1/watch/:stream",
    {
      validatorCompiler:
        ({ httpPart }) =>
        (value) =>
          httpPart === "body" ? parsed(AskForm, value) : { value },
      schema: {
        tags: ["kv"],
        summary: "Create and cancel watches of an open stream, or ask for its progress",
        params: { type: "object", properties: { stream: { type: "string" } } },
        body: formSchema(AskForm),
        response: {
          200: { description: "Told in the stream", type: "object", properties: { watches: { type: "integer" } } },
          ...failures("BAD_REQUEST", "FORBIDDEN", "NOT_FOUND", "OVERLOADED"),
        },
      },
    },
    async (request) => {
      const found = open.get(request.params.stream);
      // Another's stream is as good as none: its name gives nothing away.
      if (found === undefined || found.owner !== request.principal.name)
        throw new OpenClawError("NOT_FOUND", "no such stream at this node");
      const { stream } = found;
      const { create: wanted, cancel, progress } = request.body;
      const watches = createsOf(wanted, request.principal);
      for (const watch of cancel) stream.cancel(watch);
      stream.create(watches);
      await stream.flush();
      if (progress) stream.askProgress();
      return { watches: stream.size };
    },
  );
}

/** @throws OpenClawError BAD_REQUEST, FORBIDDEN */
function createsOf(wanted: readonly z.output<typeof create>[], principal: ApiPrincipal): WatchCreate[] {
  return wanted.map(({ watch, key, rangeEnd, from, origin, filters, previous }) => {
    const keys = selectKeys(key, rangeEnd);
    if (!mayRead(keys, principal)) throw new OpenClawError("FORBIDDEN", `watch ${watch}: reading these keys`);
    const selection = { keys, origin: watchedOrigin(origin), filters, principal };
    return { watch, selection, from: from ?? null, previous };
  });
}

function parsed<T>(form: z.ZodType<T>, body: unknown): { readonly value: T } | { readonly error: Error } {
  const result = form.safeParse(body);
  return result.success
    ? { value: result.data }
    : { error: new Error(z.prettifyError(result.error).slice(0, ERROR_TEXT_MAX)) };
}
const ERROR_TEXT_MAX = 1_024;
