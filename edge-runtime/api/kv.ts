/** `/v1/kv/{key}`: a key's value as raw bytes. */
import type { IncomingHttpHeaders } from "node:http";
import { EMPTY_BYTES } from "@openclaw/core/bytes.ts";
import { OpenClawError } from "@openclaw/core/errors.ts";
import { revision } from "@openclaw/core/ids.ts";
import { VALUE_BYTES_MAX } from "@openclaw/core/limits.ts";
import type { KeyCommand, UserCommand } from "@openclaw/core/state-machine/command.ts";
import { compareAndSet, comparedOutcome } from "@openclaw/core/state-machine/compare-and-set.ts";
import type { KeyValue } from "@openclaw/core/state-machine/operation.ts";
import type { FastifyInstance, FastifyReply } from "fastify";
import { failures } from "./answers.ts";
import { queued, queuedSchema } from "./commands.ts";
import type { ApiDeps } from "./deps.ts";
import { viewed } from "./key-text.ts";
import { MOMENT_FAILURES, type MomentQuery, momentHeaders, momentOf, momentSchema } from "./moment.ts";
import { mirrorHeaders, ofMirror, originOf, originSchema } from "./origin.ts";
import {
  positionHeaders,
  positionProperties,
  READ_FAILURES,
  type ReadModeQuery,
  readHeaders,
  reading,
  readModeSchema,
  written,
} from "./reading.ts";
import { keyOf, keyParameter } from "./url-bytes.ts";
import { perform } from "./write.ts";

const bytesSchema = { type: "string", format: "binary" } as const;

const writeFailures = (code: "COMPARE_FAILED" | "NOT_FOUND") =>
  failures(
    code,
    "BAD_REQUEST",
    "KEY_EMPTY",
    "KEY_TOO_LARGE",
    "VALUE_TOO_LARGE",
    "FORBIDDEN",
    "UNKNOWN_CHILD",
    "OVERLOADED",
    "IDEMPOTENCY_KEY_REUSED",
    "UNAVAILABLE",
    "STORAGE_FULL",
  );

interface KeyRoute {
  Params: { key: string };
}
interface ReadQuery extends ReadModeQuery, MomentQuery {
  origin?: string;
}

export function kvRoutes(app: FastifyInstance, deps: ApiDeps): void {
  app.register(async (kv) => {
    // A value is bytes, whatever its sender calls them. Not "*": Fastify remembers what an expression matched, and would
    // parse the header of every request anew.
    kv.removeAllContentTypeParsers();
    kv.addContentTypeParser(/^/, { parseAs: "buffer" }, (_request, body, done) => done(null, body));

    kv.put<KeyRoute & { Querystring: { expected?: number; origin?: string }; Body: Buffer | undefined }>(
      "/v1/kv/:key",
      {
        bodyLimit: VALUE_BYTES_MAX,
        schema: {
          tags: ["kv"],
          summary: "Put a value, or compare and set it",
          description:
            "`expected` (or If-Match with the ETag of a GET) puts only if the key is at that revision; 0 (or " +
            "If-None-Match: *) only if there is no such key. Answered once a majority of the site has it on disk. A key whose " +
            "home is elsewhere, or a cluster below as `origin`: 202, the write is queued and runs there once.",
          consumes: ["application/octet-stream"],
          params: keyParameter,
          querystring: {
            type: "object",
            additionalProperties: false,
            properties: {
              expected: { type: "integer", minimum: 0, maximum: Number.MAX_SAFE_INTEGER },
              origin: writeOriginSchema,
            },
          },
          response: {
            200: { description: "Committed", type: "object", properties: positionProperties, headers: positionHeaders },
            202: queuedSchema,
            ...writeFailures("COMPARE_FAILED"),
          },
        },
      },
      async (request, reply) => {
        const key = keyOf(request.params.key);
        const value = bytesOf(request.body);
        const expected = request.query.expected ?? expectedByHeader(request.headers);
        const command: KeyCommand =
          expected === undefined ? { kind: "put", key, value } : compareAndSet(key, revision(expected), value);
        const asked = addressed(command, request.query.origin);
        const outcome = comparedOutcome(command, await perform(deps, asked, { request, reply }));
        if (!outcome.ok) throw new OpenClawError(outcome.code, outcome.details);
        if (outcome.response?.kind === "queued") return queued(deps, outcome.revision, reply);
        return written(deps, outcome.revision, reply);
      },
    );

    kv.get<KeyRoute & { Querystring: ReadQuery }>(
      "/v1/kv/:key",
      {
        schema: {
          tags: ["kv"],
          summary: "Get a value",
          params: keyParameter,
          produces: ["application/octet-stream"],
          querystring: {
            type: "object",
            additionalProperties: false,
            properties: { ...momentSchema, ...readModeSchema, origin: originSchema },
          },
          response: {
            200: {
              description: "The value's bytes",
              content: { "application/octet-stream": { schema: bytesSchema } },
              headers: {
                ...readHeaders,
                ...mirrorHeaders,
                ...momentHeaders,
                "X-Openclaw-Mod-Revision": {
                  type: "integer",
                  description: "Of the last put; in a mirror, the origin's",
                },
                "X-Openclaw-Create-Revision": { type: "integer" },
                "X-Openclaw-Version": { type: "integer", description: "Puts since it was created" },
                "X-Openclaw-Revision": { type: "integer", description: "Of the state that was read" },
              },
            },
            ...failures("NOT_FOUND", "KEY_EMPTY", "KEY_TOO_LARGE", "FORBIDDEN", ...MOMENT_FAILURES, ...READ_FAILURES),
          },
        },
      },
      async (request, reply) => {
        const key = keyOf(request.params.key);
        if (!request.principal.mayReadKey(key)) throw new OpenClawError("FORBIDDEN", "read");
        const origin = originOf(request.query.origin);
        const answer = await reading(deps, request.query, reply, async () => {
          const at = await momentOf(deps, request.query, reply);
          if (at === null) return deps.replica.read({ kind: "get", origin, key });
          return { ...(await deps.replica.history({ kind: "get", origin, key, at })), revision: at, origin };
        });
        void reply.header("x-openclaw-revision", answer.revision);
        ofMirror(deps, answer.origin, reply);
        if (answer.row === null) throw new OpenClawError("NOT_FOUND");
        return sendValue(reply, answer.row);
      },
    );

    kv.delete<KeyRoute & { Querystring: { origin?: string } }>(
      "/v1/kv/:key",
      {
        schema: {
          tags: ["kv"],
          summary: "Delete a key",
          params: keyParameter,
          querystring: { type: "object", additionalProperties: false, properties: { origin: writeOriginSchema } },
          response: {
            200: { description: "Committed", type: "object", properties: positionProperties, headers: positionHeaders },
            202: queuedSchema,
            ...writeFailures("NOT_FOUND"),
          },
        },
      },
      async (request, reply) => {
        const key = keyOf(request.params.key);
        const command = addressed({ kind: "deleteRange", keys: { kind: "key", key } }, request.query.origin);
        const { revision: at, response } = await perform(deps, command, { request, reply });
        if (response?.kind === "queued") return queued(deps, at, reply);
        if (response?.kind === "deleteRange" && response.deleted === 0) throw new OpenClawError("NOT_FOUND");
        return written(deps, at, reply);
      },
    );
  });
}

const writeOriginSchema = {
  type: "string",
  description: "A cluster below this one: the write is queued, and runs on its own keys",
} as const;

/** To the keys of a cluster below, where one is named. @throws OpenClawError BAD_REQUEST */
function addressed(command: KeyCommand, origin: string | undefined): UserCommand {
  const to = originOf(origin);
  return to === null ? command : { kind: "addressed", to, command };
}

function sendValue(reply: FastifyReply, row: KeyValue): Buffer {
  void reply
    .header("content-type", "application/octet-stream")
    // A value is anybody's bytes: no browser may take it for a page.
    .header("x-content-type-options", "nosniff")
    .header("content-security-policy", "sandbox")
    .header("cache-control", "no-cache")
    .header("etag", `"${row.modRevision}"`)
    .header("x-openclaw-mod-revision", row.modRevision)
    .header("x-openclaw-create-revision", row.createRevision)
    .header("x-openclaw-version", row.version);
  return viewed(row.value);
}

/** A copy that holds nothing but the value: the buffer of a socket may be larger and shared. */
const bytesOf = (body: Buffer | undefined): Uint8Array => (body === undefined ? EMPTY_BYTES : Uint8Array.from(body));

/** RFC 9110 §13.1: If-Match carries what GET gave as ETag, If-None-Match `*` means that nothing is there. */
function expectedByHeader(headers: IncomingHttpHeaders): number | undefined {
  const match = headers["if-match"];
  if (match !== undefined) {
    const digits = /^\s*"(\d{1,15})"\s*$/.exec(match)?.[1];
    if (digits === undefined) throw new OpenClawError("BAD_REQUEST", "If-Match is one ETag of a GET");
    return Number(digits);
  }
  const none = headers["if-none-match"];
  if (none === undefined) return undefined;
  if (none.trim() !== "*") throw new OpenClawError("BAD_REQUEST", "If-None-Match of a PUT is *");
  return 0;
}
