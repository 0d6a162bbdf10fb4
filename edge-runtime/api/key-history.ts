/** `/v1/history/{key}`: what was under a key, newest first. */
import { OpenClawError } from "@openclaw/core/errors.ts";
import type { KeyVersion } from "@openclaw/core/history/history-query.ts";
import { revision } from "@openclaw/core/ids.ts";
import type { FastifyInstance } from "fastify";
import { failures } from "./answers.ts";
import type { ApiDeps } from "./deps.ts";
import { valueAsText } from "./key-text.ts";
import { originOf, originSchema } from "./origin.ts";
import { READ_FAILURES, type ReadModeQuery, readHeaders, reading, readModeSchema } from "./reading.ts";
import { keyOf, keyParameter } from "./url-bytes.ts";

const LIMIT_MAX = 1_000;
const LIMIT_DEFAULT = 100;

export function keyHistoryRoute(app: FastifyInstance, deps: ApiDeps): void {
  app.get<{
    Params: { key: string };
    Querystring: ReadModeQuery & { origin?: string; limit: number; before?: number };
  }>(
    "/v1/history/:key",
    {
      schema: {
        tags: ["kv"],
        summary: "What was put under a key, and deleted, newest first",
        params: keyParameter,
        querystring: {
          type: "object",
          additionalProperties: false,
          properties: {
            limit: { type: "integer", minimum: 1, maximum: LIMIT_MAX, default: LIMIT_DEFAULT },
            before: {
              type: "integer",
              minimum: 1,
              maximum: Number.MAX_SAFE_INTEGER,
              description: "Only earlier revisions: the last one of the page before",
            },
            ...readModeSchema,
            origin: originSchema,
          },
        },
        response: {
          200: {
            description: "Versions; empty where there never was such a key, or none that is kept",
            type: "object",
            headers: readHeaders,
            properties: {
              more: { type: "boolean", description: "There are earlier ones" },
              versions: {
                type: "array",
                items: {
                  type: "object",
                  properties: {
                    revision: { type: "integer", description: "Of this cluster" },
                    deleted: { type: "boolean" },
                    value: { type: "string", format: "byte", description: "Base64; not of a delete" },
                    text: { type: "string", description: "The value, where it is UTF-8" },
                    modRevision: { type: "integer", description: "In a mirror, the origin's" },
                    createRevision: { type: "integer" },
                    version: { type: "integer", description: "Puts since it was created; 0 of a delete" },
                    principal: { type: "string", description: "Who wrote it" },
                    time: { type: "integer", description: "Wall clock of the node that proposed it, ms since 1970" },
                  },
                },
              },
            },
          },
          ...failures(
            "BAD_REQUEST",
            "KEY_EMPTY",
            "KEY_TOO_LARGE",
            "FORBIDDEN",
            "OVERLOADED",
            "STORAGE_FULL",
            ...READ_FAILURES,
          ),
        },
      },
    },
    async (request, reply) => {
      const key = keyOf(request.params.key);
      if (!request.principal.mayReadKey(key)) throw new OpenClawError("FORBIDDEN", "read");
      const { limit, before, origin } = request.query;
      const question = {
        kind: "versions",
        origin: originOf(origin),
        key,
        limit,
        before: before === undefined ? null : revision(before),
      } as const;
      const { versions, more } = await reading(deps, request.query, reply, () => deps.replica.history(question));
      return { more, versions: versions.map(shown) };
    },
  );
}

const shown = ({ revision: at, value, modRevision, createRevision, version, principal, time }: KeyVersion) => ({
  revision: at,
  deleted: value === null,
  ...(value === null ? {} : valueAsText(value)),
  modRevision,
  createRevision,
  version,
  principal,
  time,
});
