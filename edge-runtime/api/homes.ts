/** `/v1/homes`: where the keys of a prefix are written (Q3). */
import { equalBytes, prefixEnd, utf8, utf8Text } from "@openclaw/core/bytes.ts";
import { OpenClawError } from "@openclaw/core/errors.ts";
import { type ClusterId, isClusterId } from "@openclaw/core/ids.ts";
import { HOMES, type Home } from "@openclaw/core/ledger/record.ts";
import type { HomeRow } from "@openclaw/core/state-machine/home.ts";
import { plainRange } from "@openclaw/core/state-machine/operation.ts";
import type { FastifyInstance } from "fastify";
import { requireAdmin } from "./admin.ts";
import { failures, REQUEST_TIMEOUT_MS } from "./answers.ts";
import type { ApiDeps } from "./deps.ts";
import { acceptIdempotencyKey } from "./idempotency.ts";
import { base64 } from "./key-text.ts";
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
import { performByOperator } from "./write.ts";

const homeSchema = { type: "string", enum: HOMES } as const;

export function homeRoutes(app: FastifyInstance, deps: ApiDeps): void {
  app.get<{ Querystring: ReadModeQuery }>(
    "/v1/homes",
    {
      schema: {
        tags: ["homes"],
        summary: "The prefixes that are written elsewhere, or never leave this cluster",
        querystring: { type: "object", additionalProperties: false, properties: readModeSchema },
        response: {
          200: {
            description:
              "Those whose keys may be read. A key is of the longest prefix that it has; any other key is this cluster's own",
            type: "object",
            headers: readHeaders,
            properties: {
              mirrored: {
                type: ["integer", "null"],
                description: "The parent's ledger is here up to this revision of it; null before it told anything",
              },
              homes: {
                type: "array",
                items: {
                  type: "object",
                  properties: {
                    prefix: { type: ["string", "null"], description: "Null where it is not UTF-8" },
                    prefixBase64: { type: "string", description: "Only where the prefix is not UTF-8" },
                    home: homeSchema,
                    owner: { type: "string", description: "The cluster at which it is written" },
                    open: {
                      type: "boolean",
                      description:
                        "False while the home moves there: it queues writes until all have released the prefix",
                    },
                    waiting: {
                      type: "array",
                      items: { type: "string" },
                      description: "Children of this cluster that have not released it yet",
                    },
                  },
                },
              },
            },
          },
          ...failures(...READ_FAILURES),
        },
      },
    },
    async (request, reply) => {
      const { homes, mirrored } = await reading(deps, request.query, reply, () => deps.replica.read({ kind: "homes" }));
      const readable = homes.filter(({ prefix }) => request.principal.mayReadPrefix(prefix));
      return { mirrored, homes: readable.map((row) => shown(row, deps.replica.position().cluster)) };
    },
  );

  app.put<{ Body: { prefix: string; home: Home; without?: string[]; dryRun: boolean } }>(
    "/v1/homes",
    {
      schema: {
        tags: ["homes"],
        summary: "Say where the keys of a prefix are written",
        description:
          "hub: here, for every cluster below this one, which then reads a mirror; its writes are queued and run here. " +
          "site: each cluster has its own again. private: here, and it never leaves this cluster. A home moves online: " +
          "the new one queues writes until every old one has released the prefix, and has what those had. Asked of a " +
          "cluster that reads the prefix from an owner that is gone for good: site, without that owner. What its mirror has " +
          "becomes this cluster's own, and what was queued for it OUTCOME_UNKNOWN.",
        body: {
          type: "object",
          additionalProperties: false,
          required: ["prefix", "home"],
          properties: {
            prefix: { type: "string" },
            home: homeSchema,
            without: {
              type: "array",
              maxItems: 1_000,
              items: { type: "string" },
              description:
                "With hub: children that are gone, whose release is not waited for. With site: the owner, where it is gone for good",
            },
            dryRun: { type: "boolean", default: false, description: "Say whose keys they are now, and change nothing" },
          },
        },
        response: {
          200: {
            description: "Committed",
            type: "object",
            headers: positionHeaders,
            properties: {
              ...positionProperties,
              prefix: { type: "string" },
              home: homeSchema,
              dryRun: { type: "boolean" },
              owner: { type: "string", description: "With dryRun: the cluster at which the prefix is written now" },
              keys: {
                type: "integer",
                description: "With dryRun: how many keys it has under the prefix, as they are read here",
              },
            },
          },
          ...failures(
            "BAD_REQUEST",
            "FORBIDDEN",
            "READ_ONLY",
            "NOT_EMPTY",
            "TXN_TOO_LARGE",
            "OVERLOADED",
            "IDEMPOTENCY_KEY_REUSED",
            "UNAVAILABLE",
            "STOPPED",
          ),
        },
      },
    },
    async (request, reply) => {
      const { prefix, home } = request.body;
      const without = (request.body.without ?? []).map(clusterOf);
      const command = { kind: "setHome", prefix: utf8(prefix), home, without } as const;
      if (request.body.dryRun) {
        requireAdmin(request);
        acceptIdempotencyKey(request);
        const found = await lookAt(deps, command);
        return { ...written(deps, deps.replica.position().revision, reply), prefix, home, dryRun: true, ...found };
      }
      const { revision } = await performByOperator(deps, command, { request, reply });
      return { ...written(deps, revision, reply), prefix, home, dryRun: false };
    },
  );
}

/** Whose keys they are. @throws OpenClawError READ_ONLY, as the command would be refused; UNAVAILABLE */
async function lookAt(
  { replica }: ApiDeps,
  { prefix, home, without }: { prefix: Uint8Array; home: Home; without: readonly ClusterId[] },
): Promise<{ readonly owner: ClusterId; readonly keys: number }> {
  await replica.barrier(REQUEST_TIMEOUT_MS);
  const { homes } = await replica.read({ kind: "homes" });
  const owner = homes.find((row) => equalBytes(row.prefix, prefix))?.owner ?? null;
  if (owner !== null && (home !== "site" || !without.includes(owner)))
    throw new OpenClawError("READ_ONLY", `${owner} declared it`);
  const range = { ...plainRange(prefix, prefixEnd(prefix) ?? null, 1), counted: true };
  const { count } = await replica.read({ kind: "range", origin: null, ...range });
  return { owner: owner ?? replica.position().cluster, keys: count ?? 0 };
}

function shown({ prefix, home, owner, open, waiting }: HomeRow, cluster: ClusterId) {
  const text = utf8Text(prefix);
  const named = text === undefined ? { prefix: null, prefixBase64: base64(prefix) } : { prefix: text };
  return { ...named, home, owner: owner ?? cluster, open, waiting };
}

function clusterOf(name: string): ClusterId {
  if (!isClusterId(name)) throw new OpenClawError("BAD_REQUEST", `${name} is no cluster's name`);
  return name;
}
