/** `/v1/docs`: Automerge documents for callers without Automerge. */
import { randomBytes } from "node:crypto";
import { invariant, OpenClawError } from "@openclaw/core/errors.ts";
import { DEPTH_MAX } from "@openclaw/core/limits.ts";
import type { FastifyInstance, FastifySchemaCompiler } from "fastify";
import { z } from "zod";
import type { DocumentOperation, Json } from "../documents/job.ts";
import { failures, REQUEST_TIMEOUT_MS } from "./answers.ts";
import type { ApiDeps } from "./deps.ts";
import { shallow, wellFormed } from "./json-depth.ts";
import { MOMENT_FAILURES, type MomentQuery, momentHeaders, momentOf, momentSchema } from "./moment.ts";
import {
  positionHeaders,
  READ_FAILURES,
  type ReadModeQuery,
  readHeaders,
  reading,
  readModeSchema,
  written,
} from "./reading.ts";
import { firstOutcome, performDrawn } from "./write.ts";

/** Operations of one edit. */
const OPERATIONS_MAX = 1_000;
/** Bytes of one edit's JSON. */
const EDIT_BYTES_MAX = 1_048_576;
const BYTES = "application/octet-stream";

const collection = { type: "string", pattern: "^[^/]{1,128}$" } as const;
const document = { type: "string", minLength: 1, maxLength: 256 } as const;
const documentParameters = { type: "object", properties: { collection, id: document } } as const;

const json = z.custom<Json>(
  (value) => value !== undefined && shallow(value, DEPTH_MAX),
  "a JSON value, at most 32 deep",
);
const path = z.array(z.union([z.string().max(1_024), z.int().min(0)])).max(DEPTH_MAX);
const index = z.int().min(0);
const Edit = z.strictObject({
  ops: z
    .array(
      z.discriminatedUnion("op", [
        z.strictObject({ op: z.literal("put"), path, value: json }),
        z.strictObject({ op: z.literal("delete"), path }),
        z
          .strictObject({
            op: z.literal("splice"),
            path,
            index,
            delete: index,
            insert: z.union([z.string(), z.array(json)]),
          })
          .describe("index and delete count UTF-16 code units of a text, elements of a list"),
      ]),
    )
    .min(1)
    .max(OPERATIONS_MAX),
});
const DocumentParameters = z.object({
  collection: z.string().regex(/^[^/]{1,128}$/),
  id: z.string().min(1).max(256),
});

/** The framework's validator turns a path's "0" into 0; ours changes nothing. */
const validatorCompiler: FastifySchemaCompiler<unknown> = ({ httpPart }) => {
  const schema = httpPart === "body" ? Edit : DocumentParameters;
  return (data: unknown) => {
    const parsed = schema.safeParse(data);
    if (!parsed.success) return { error: new Error(z.prettifyError(parsed.error)) };
    // Automerge keeps UTF-8, in which it would become another text.
    if (!wellFormed(parsed.data)) return { error: new Error("a text is not well-formed Unicode") };
    return { value: parsed.data };
  };
};

const heads = { type: "array", items: { type: "string" }, description: "Hashes of the newest changes" } as const;

interface DocumentRoute {
  Params: { collection: string; id: string };
}

export function docsRoutes(app: FastifyInstance, deps: ApiDeps): void {
  app.get<{ Params: { collection: string }; Querystring: ReadModeQuery }>(
    "/v1/docs/:collection",
    {
      schema: {
        tags: ["documents"],
        summary: "List a collection's documents",
        params: { type: "object", properties: { collection } },
        querystring: { type: "object", additionalProperties: false, properties: readModeSchema },
        response: {
          200: {
            description: "Their ids",
            type: "object",
            headers: readHeaders,
            properties: { documents: { type: "array", items: { type: "string" } } },
          },
          ...failures("BAD_REQUEST", "FORBIDDEN", ...READ_FAILURES),
        },
      },
    },
    async (request, reply) => {
      const { collection } = request.params;
      if (!request.principal.mayReadCollection(collection)) throw new OpenClawError("FORBIDDEN", "read");
      const list = { kind: "documents", collection } as const;
      const { documents } = await reading(deps, request.query, reply, () => deps.replica.read(list));
      return { documents };
    },
  );

  app.get<DocumentRoute & { Querystring: ReadModeQuery & MomentQuery }>(
    "/v1/docs/:collection/:id",
    {
      schema: {
        tags: ["documents"],
        summary: "Get a document, as JSON or as Automerge bytes (Accept: application/octet-stream)",
        params: documentParameters,
        querystring: {
          type: "object",
          additionalProperties: false,
          properties: { ...momentSchema, ...readModeSchema },
        },
        response: {
          200: {
            headers: { ...readHeaders, ...momentHeaders },
            description: "The document. In JSON bytes are base64, dates ISO 8601, counters numbers",
            content: {
              "application/json": {
                schema: {
                  type: "object",
                  properties: {
                    heads,
                    document: { type: "object", additionalProperties: true },
                    pending: { type: "integer", description: "Changes that wait for others they depend on" },
                    quarantined: { type: "integer", description: "Changes set aside: another one has their number" },
                    refused: {
                      type: "array",
                      items: { type: "string" },
                      description: "Changes Automerge cannot apply",
                    },
                  },
                },
              },
              [BYTES]: { schema: { type: "string", format: "binary" } },
            },
          },
          ...failures("NOT_FOUND", "FORBIDDEN", "DOCUMENT_TOO_LARGE", ...MOMENT_FAILURES, ...READ_FAILURES),
        },
      },
    },
    async (request, reply) => {
      const { collection, id } = request.params;
      if (!request.principal.mayReadDocument(collection, id)) throw new OpenClawError("FORBIDDEN", "read");
      const kind = request.headers.accept?.includes(BYTES) === true ? "bytes" : "json";
      const found = await reading(deps, request.query, reply, async () => {
        const at = await momentOf(deps, request.query, reply);
        if (at === null) return deps.documents.materialise(collection, id, { kind });
        return deps.documents.materialiseAt(collection, id, at, { kind });
      });
      if (found.position === 0) throw new OpenClawError("NOT_FOUND");
      void reply.header("cache-control", "no-cache").header("vary", "Accept");
      const { output } = found;
      if (output.kind === "bytes") {
        void reply.header("content-type", BYTES).header("x-openclaw-heads", found.heads.join(" "));
        return Buffer.from(output.bytes.buffer, output.bytes.byteOffset, output.bytes.byteLength);
      }
      invariant(output.kind === "json", "JSON was asked for");
      const { heads, pending, quarantined, refused } = found;
      // The document is JSON text already, made off this thread: it is not parsed again.
      const rest = JSON.stringify({ heads, pending, quarantined, refused });
      return reply
        .header("content-type", "application/json; charset=utf-8")
        .serializer((text) => String(text))
        .send(`{"document":${output.text},${rest.slice(1)}`);
    },
  );

  app.post<DocumentRoute & { Body: { ops: DocumentOperation[] } }>(
    "/v1/docs/:collection/:id",
    {
      validatorCompiler,
      bodyLimit: EDIT_BYTES_MAX,
      schema: {
        tags: ["documents"],
        summary: "Edit a document, or begin it",
        description: "Forks from the committed heads under an actor drawn for this edit, and commits one change.",
        params: documentParameters,
        body: z.toJSONSchema(Edit, { unrepresentable: "any", target: "draft-7" }),
        response: {
          200: {
            description: "Committed",
            type: "object",
            headers: positionHeaders,
            properties: {
              revision: { type: "integer" },
              position: { type: "string", description: "For the minRevision of a read" },
              heads,
              hash: { type: ["string", "null"], description: "Of the change; null when the operations change nothing" },
            },
          },
          ...failures(
            "BAD_REQUEST",
            "FORBIDDEN",
            "CHANGE_TOO_LARGE",
            "DOCUMENT_TOO_LARGE",
            "IDEMPOTENCY_KEY_REUSED",
            "OVERLOADED",
            "UNAVAILABLE",
            "STORAGE_FULL",
          ),
        },
      },
    },
    async (request, reply) => {
      const { collection, id } = request.params;
      const { principal } = request;
      if (!principal.mayWriteDocument(collection, id)) throw new OpenClawError("FORBIDDEN", "write");
      // The fork's base must hold whatever this caller was told before, by whichever node.
      await deps.replica.barrier(REQUEST_TIMEOUT_MS);
      const [forking] = await Promise.allSettled([
        deps.documents.materialise(collection, id, {
          kind: "fork",
          actor: randomBytes(16).toString("hex"),
          time: Math.trunc(Date.now() / 1_000),
          operations: request.body.ops,
        }),
      ]);
      // Of the present state a repeat makes another change, or none, or cannot be: what the first one did, it is told.
      const repeated = await firstOutcome(deps, request, reply);
      if (repeated !== null) {
        const { heads } = await deps.replica.read({ kind: "document", collection, document: id, after: 0, limit: 0 });
        const { revision, position } = written(deps, repeated.outcome.revision, reply);
        return { revision, position, heads, hash: repeated.note };
      }
      if (forking.status === "rejected") throw forking.reason;
      const forked = forking.value;
      invariant(forked.output.kind === "fork", "a fork was asked for");
      const { change } = forked.output;
      if (change === null) {
        const { revision, position } = written(deps, deps.replica.position().revision, reply);
        return { revision, position, heads: forked.heads, hash: null };
      }
      const command = { kind: "change", collection, document: id, changes: [change] } as const;
      // A repeat that came while the first one was under way is told of the change that that one made.
      const { outcome, note } = await performDrawn(deps, command, change.hash, { request, reply });
      const { revision } = outcome;
      const after = await deps.replica.read({
        kind: "document",
        collection,
        document: id,
        after: forked.position,
        limit: 1,
      });
      const { position } = written(deps, revision, reply);
      return { revision, position, heads: after.heads, hash: note };
    },
  );
}
