/** `GET /v1/kv`: the keys with a prefix, sorted, bounded and counted as etcd's Range does. */
import { compareBytes, concatBytes, EMPTY_BYTES, prefixEnd } from "@openclaw/core/bytes.ts";
import { OpenClawError } from "@openclaw/core/errors.ts";
import { type Revision, revision } from "@openclaw/core/ids.ts";
import type { KeyValue, RangeRequest, RangeView } from "@openclaw/core/state-machine/operation.ts";
import type { FastifyInstance } from "fastify";
import { failures } from "./answers.ts";
import type { ApiDeps } from "./deps.ts";
import { keyAsText, valueAsText } from "./key-text.ts";
import { type EverywhereQuery, readEverywhere } from "./kv-everywhere.ts";
import { MOMENT_FAILURES, type MomentQuery, momentHeaders, momentOf, momentSchema } from "./moment.ts";
import { EVERYWHERE, mirrorHeaders, ofMirror, originOf, originSchema } from "./origin.ts";
import { type RangeQuery, rangeSchema } from "./range-query.ts";
import { READ_FAILURES, type ReadModeQuery, readHeaders, reading, readModeSchema } from "./reading.ts";
import { queryBytes } from "./url-bytes.ts";

export function kvListRoute(app: FastifyInstance, deps: ApiDeps): void {
  app.get<{ Querystring: ReadModeQuery & MomentQuery & EverywhereQuery & { origin?: string } }>(
    "/v1/kv",
    {
      schema: {
        tags: ["kv"],
        summary: "List keys with a prefix, in the order of their bytes or another",
        querystring: {
          type: "object",
          additionalProperties: false,
          properties: {
            prefix: { type: "string", description: "Percent-encoded bytes; empty or absent lists everything" },
            after: {
              type: "string",
              description:
                "Percent-encoded key to go on after: the last one of the page before. In the order of keys only",
            },
            ...rangeSchema,
            ...momentSchema,
            ...readModeSchema,
            origin: {
              ...originSchema,
              description: `${originSchema.description}. * for every origin: by origin, ours first, then by key`,
            },
            afterOrigin: {
              type: "string",
              description:
                "With origin=* and after: the origin of the last row of the page before; absent: our own keys",
            },
          },
        },
        response: {
          200: {
            description: "One revision's rows",
            type: "object",
            headers: { ...readHeaders, ...mirrorHeaders, ...momentHeaders },
            properties: {
              revision: { type: "integer" },
              more: {
                type: "boolean",
                description: "There are further rows: a limit, or the size of an answer, left them out",
              },
              count: { type: "integer", description: "Where it was asked for" },
              rows: {
                type: "array",
                items: {
                  type: "object",
                  properties: {
                    key: { type: ["string", "null"], description: "Null where it is not UTF-8" },
                    keyBase64: { type: "string", description: "Only where the key is not UTF-8" },
                    origin: {
                      type: ["string", "null"],
                      description: "Where an origin was asked for: whose key it is; null for our own",
                    },
                    value: { type: "string", format: "byte", description: "Base64" },
                    text: { type: "string", description: "The value, where it is UTF-8" },
                    modRevision: { type: "integer" },
                    createRevision: { type: "integer" },
                    version: { type: "integer" },
                  },
                },
              },
            },
          },
          ...failures("KEY_TOO_LARGE", "FORBIDDEN", ...MOMENT_FAILURES, ...READ_FAILURES),
        },
      },
    },
    async (request, reply) => {
      const prefix = queryBytes(request.url, "prefix") ?? EMPTY_BYTES;
      const after = queryBytes(request.url, "after");
      if (!request.principal.mayReadPrefix(prefix)) throw new OpenClawError("FORBIDDEN", "read");
      if (request.query.origin === EVERYWHERE) {
        const found = await reading(deps, request.query, reply, () =>
          readEverywhere(deps.replica, prefix, after, request.query),
        );
        return answerOf(
          found,
          found.rows.map((row) => ({ ...shownIn(request.query.view)(row), origin: row.origin })),
        );
      }
      const range = rangeOf(prefix, after, request.query);
      const question = { kind: "range", origin: originOf(request.query.origin), ...range } as const;
      const answer = await reading(deps, request.query, reply, async () => {
        const past = await momentOf(deps, request.query, reply);
        if (past === null) return deps.replica.read(question);
        return { ...(await deps.replica.history({ ...question, at: past })), revision: past, origin: question.origin };
      });
      ofMirror(deps, answer.origin, reply);
      // The state bounds an answer in bytes, too: then `more` is true before `limit` rows.
      const rows = answer.rows.map(shownIn(range.view));
      return answerOf(answer, answer.origin === null ? rows : rows.map((row) => ({ ...row, origin: answer.origin })));
    },
  );
}

const answerOf = (
  { revision: at, more, count }: { revision: Revision; more: boolean; count: number | null },
  rows: readonly object[],
) => ({ revision: at, more, ...(count === null ? {} : { count }), rows });

/** @throws OpenClawError BAD_REQUEST */
function rangeOf(prefix: Uint8Array, after: Uint8Array | undefined, query: RangeQuery): RangeRequest {
  const { limit, sort, order, view, count } = query;
  if (after !== undefined && (sort !== "key" || order !== "ascending"))
    throw new OpenClawError("BAD_REQUEST", "after goes with the ascending order of keys");
  const next = after === undefined ? prefix : concatBytes([after, Uint8Array.of(0)]);
  const from = compareBytes(next, prefix) > 0 ? next : prefix;
  return {
    keys: { kind: "range", from, to: prefixEnd(prefix) ?? null },
    limit,
    sort: { target: sort, order },
    view,
    counted: count,
    bounds: {
      minModRevision: revision(query.minModRevision),
      maxModRevision: revision(query.maxModRevision),
      minCreateRevision: revision(query.minCreateRevision),
      maxCreateRevision: revision(query.maxCreateRevision),
    },
  };
}

const keyShown = ({ key, modRevision, createRevision, version }: KeyValue) => ({
  ...keyAsText(key),
  modRevision,
  createRevision,
  version,
});

const shownIn = (view: RangeView) => (view === "keys" ? keyShown : rowShown);

const rowShown = (row: KeyValue) => ({ ...keyShown(row), ...valueAsText(row.value) });
