/** `/v1/leases`: keys that end with whoever keeps them alive. A key is attached by the `lease` of a put in `/v1/txn`. */
import { randomInt } from "node:crypto";
import { OpenClawError } from "@openclaw/core/errors.ts";
import { isLeaseId, type LeaseId } from "@openclaw/core/ids.ts";
import { LEASE_TTL_MS_MAX } from "@openclaw/core/limits.ts";
import type { FastifyInstance } from "fastify";
import { failures } from "./answers.ts";
import type { ApiDeps } from "./deps.ts";
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
import { perform, performDrawn } from "./write.ts";

/** Ids are drawn below it: what `randomInt` draws from. */
const IDS = 2 ** 48 - 1;

const leaseSchema = { type: "integer", minimum: 1, maximum: Number.MAX_SAFE_INTEGER } as const;
const leaseParameter = { type: "object", properties: { lease: leaseSchema } } as const;
const WRITE_FAILURES = [
  "BAD_REQUEST",
  "FORBIDDEN",
  "OVERLOADED",
  "IDEMPOTENCY_KEY_REUSED",
  "UNAVAILABLE",
  "STORAGE_FULL",
] as const;
const committed = {
  description: "Committed",
  type: "object",
  headers: positionHeaders,
  properties: { ...positionProperties, lease: leaseSchema, ttlMs: { type: "integer" } },
} as const;

interface LeaseRoute {
  Params: { lease: number };
}

export function leaseRoutes(app: FastifyInstance, deps: ApiDeps): void {
  app.post<{ Body: { ttlMs: number; lease?: number } }>(
    "/v1/leases",
    {
      schema: {
        tags: ["leases"],
        summary: "Grant a lease",
        description:
          "Lives for ttlMs after it was granted or last kept alive, in time that the cluster's leaders count: a change of " +
          "leaders may lengthen it, never shorten it. Whoever knows its id may use it.",
        body: {
          type: "object",
          additionalProperties: false,
          required: ["ttlMs"],
          properties: {
            ttlMs: { type: "integer", minimum: 1, maximum: LEASE_TTL_MS_MAX },
            lease: { ...leaseSchema, description: "Its id; absent: one is drawn" },
          },
        },
        response: { 200: committed, ...failures("LEASE_EXISTS", ...WRITE_FAILURES) },
      },
    },
    async (request, reply) => {
      const { ttlMs } = request.body;
      const drawn = leaseOf(request.body.lease ?? randomInt(1, IDS));
      const command = { kind: "leaseGrant", lease: drawn, ttlMs } as const;
      const { outcome, note } = await performDrawn(deps, command, String(drawn), { request, reply });
      return { ...written(deps, outcome.revision, reply), lease: leaseOf(Number(note)), ttlMs };
    },
  );

  app.post<LeaseRoute>(
    "/v1/leases/:lease/keep-alive",
    {
      schema: {
        tags: ["leases"],
        summary: "Keep a lease alive: its time to live begins again",
        params: leaseParameter,
        response: { 200: committed, ...failures("LEASE_NOT_FOUND", ...WRITE_FAILURES) },
      },
    },
    async (request, reply) => {
      const lease = leaseOf(request.params.lease);
      const { revision } = await perform(deps, { kind: "leaseKeepAlive", lease }, { request, reply });
      return { ...written(deps, revision, reply), lease };
    },
  );

  app.delete<LeaseRoute>(
    "/v1/leases/:lease",
    {
      schema: {
        tags: ["leases"],
        summary: "Revoke a lease: its keys are deleted, at one revision",
        params: leaseParameter,
        response: { 200: committed, ...failures("LEASE_NOT_FOUND", ...WRITE_FAILURES) },
      },
    },
    async (request, reply) => {
      const lease = leaseOf(request.params.lease);
      const { revision } = await perform(deps, { kind: "leaseRevoke", lease }, { request, reply });
      return { ...written(deps, revision, reply), lease };
    },
  );

  app.get<LeaseRoute & { Querystring: ReadModeQuery }>(
    "/v1/leases/:lease",
    {
      schema: {
        tags: ["leases"],
        summary: "A lease's time to live, and its keys as far as they may be read",
        params: leaseParameter,
        querystring: { type: "object", additionalProperties: false, properties: readModeSchema },
        response: {
          200: {
            description: "The lease",
            type: "object",
            headers: readHeaders,
            properties: {
              revision: { type: "integer" },
              lease: leaseSchema,
              ttlMs: { type: "integer" },
              remainingMs: { type: "integer", description: "As of the last entry that was applied" },
              keys: { type: "array", items: { type: "string", format: "byte", description: "Base64" } },
            },
          },
          ...failures("LEASE_NOT_FOUND", "BAD_REQUEST", ...READ_FAILURES),
        },
      },
    },
    async (request, reply) => {
      const id = leaseOf(request.params.lease);
      const question = { kind: "lease", lease: id } as const;
      const { lease, revision } = await reading(deps, request.query, reply, () => deps.replica.read(question));
      if (lease === null) throw new OpenClawError("LEASE_NOT_FOUND", String(id));
      const { ttlMs, remainingMs, keys } = lease;
      const readable = keys.filter((key) => request.principal.mayReadKey(key));
      return { revision, lease: id, ttlMs, remainingMs, keys: readable.map(base64) };
    },
  );
}

/** @throws OpenClawError BAD_REQUEST */
function leaseOf(number: number): LeaseId {
  if (!isLeaseId(number)) throw new OpenClawError("BAD_REQUEST", "a lease is a number from 1");
  return number;
}
