/** `/v1/sync`, `/v1/admin/uplink`: how the link to the parent stands, and what an operator changes of it. */
import { OpenClawError } from "@openclaw/core/errors.ts";
import { revision } from "@openclaw/core/ids.ts";
import { decodeRecord } from "@openclaw/core/ledger/record-codec.ts";
import type { FastifyInstance } from "fastify";
import { requireAdmin } from "./admin.ts";
import { failures } from "./answers.ts";
import type { ApiDeps, UplinkDoor, UplinkStatus } from "./deps.ts";
import { acceptIdempotencyKey } from "./idempotency.ts";

/**
 * Bytes of the oldest records that wait, which are read to say how many bytes wait in all. To add up all of them would be to
 * read the whole backlog: of a month offline that is gigabytes.
 */
const SAMPLE_BYTES = 65_536;

export function syncRoutes(app: FastifyInstance, deps: ApiDeps): void {
  app.get(
    "/v1/sync",
    {
      schema: {
        tags: ["operation"],
        summary: "How the links to the parent and from the children stand, as this node sees them",
        description: "The leader has the link to the parent: `leader` says where it is asked.",
        response: {
          200: {
            description: "Links",
            type: "object",
            additionalProperties: true,
            properties: {
              cluster: { type: "string" },
              node: { type: "string" },
              leader: { type: ["object", "null"], additionalProperties: true },
              parent: { type: ["object", "null"], additionalProperties: true, properties: parentProperties },
              children: {
                type: "array",
                items: {
                  type: "object",
                  properties: {
                    cluster: { type: "string" },
                    cursor: { type: "integer", description: "Its revision up to which its ledger is here" },
                  },
                },
              },
            },
          },
          ...failures("OVERLOADED", "UNAVAILABLE", "STOPPED"),
        },
      },
    },
    async () => syncOf(deps),
  );

  app.post<{ Body: { bytes: number } }>(
    "/v1/sync/allow",
    {
      schema: {
        tags: ["operation"],
        summary: "Let the link to the parent use more than its budget today",
        description: "Of the present day of log time; the next one has the budget again. Said again, it is not added.",
        body: {
          type: "object",
          additionalProperties: false,
          required: ["bytes"],
          properties: { bytes: { type: "integer", minimum: 0, maximum: Number.MAX_SAFE_INTEGER } },
        },
        response: {
          200: { description: "Done", type: "object", properties: { allowed: { type: "integer" } } },
          ...failures("BAD_REQUEST", "FORBIDDEN", "NOT_FOUND", "OVERLOADED", "UNAVAILABLE", "STOPPED"),
        },
      },
    },
    async (request) => {
      requireAdmin(request);
      acceptIdempotencyKey(request);
      await uplinkOf(deps).allow(request.body.bytes);
      return { allowed: request.body.bytes };
    },
  );

  app.post<{ Body: { enabled: boolean } }>(
    "/v1/admin/uplink",
    {
      schema: {
        tags: ["operation"],
        summary: "Pause or resume this node's uplink to the parent",
        description: "Not remembered across a restart. The leader's uplink is the one that ships.",
        body: {
          type: "object",
          additionalProperties: false,
          required: ["enabled"],
          properties: { enabled: { type: "boolean" } },
        },
        response: {
          200: { description: "Done", type: "object", properties: { enabled: { type: "boolean" } } },
          ...failures("BAD_REQUEST", "FORBIDDEN", "NOT_FOUND"),
        },
      },
    },
    async (request) => {
      requireAdmin(request);
      acceptIdempotencyKey(request);
      const uplink = uplinkOf(deps);
      uplink.setEnabled(request.body.enabled);
      return { enabled: uplink.status().enabled };
    },
  );
}

const parentProperties = {
  cluster: { type: "string" },
  state: {
    type: "string",
    enum: ["standby", "paused", "spent", "connecting", "idle", "shipping"],
    description: "`standby`: this node does not lead; `spent`: the bytes of the day are used up",
  },
  reason: { type: ["string", "null"], description: "Why nothing goes up; null while it does, or nothing waits" },
  cursor: { type: "integer", description: "Our revision up to which the parent has the ledger" },
  revision: { type: "integer", description: "Our newest" },
  waiting: {
    type: "object",
    additionalProperties: true,
    description:
      "Revisions that the parent lacks, and the bytes of their records in our ledger, but of those that were shed: exact " +
      "where they are few, else as many a revision as the oldest 64 KiB have. What goes over the link is less where it can be compressed",
  },
  oldest: {
    type: ["object", "null"],
    additionalProperties: true,
    description:
      "The oldest revision that is here and the parent lacks, and when it was written, by its writer's wall clock (T1)",
  },
  rate: {
    type: ["object", "null"],
    additionalProperties: true,
    description: "Revisions, and bytes on the wire, a second, of the last 10 s; null when none were taken",
  },
  secondsLeft: { type: ["number", "null"], description: "Until the parent has what waits now, at that rate" },
  used: {
    type: "object",
    additionalProperties: true,
    description:
      "Bytes on the wire of the present day of log time, both ways: frames with their heads, without what Noise, Yamux and " +
      "TCP add. `projected`: with what waits",
  },
} as const;

/** @throws OpenClawError NOT_FOUND */
function uplinkOf({ uplink }: ApiDeps): UplinkDoor {
  if (uplink === null) throw new OpenClawError("NOT_FOUND", "this cluster has no parent");
  return uplink;
}

async function syncOf(deps: ApiDeps) {
  const { cluster, id, leader } = deps.replica.status();
  const { links } = await deps.replica.read({ kind: "links" });
  const up = deps.uplink?.status() ?? null;
  const place = deps.members.list().find(({ node }) => node === leader);
  return {
    cluster,
    node: id,
    leader: leader === null ? null : { node: leader, http: place?.http ?? null },
    parent: up === null ? null : await parentOf(deps, up),
    children: links.flatMap(({ link, cursor, epoch }) =>
      epoch === null || link === String(up?.parent) ? [] : [{ cluster: link, cursor }],
    ),
  };
}

async function parentOf({ replica }: ApiDeps, up: UplinkStatus) {
  const { revision: newest, compacted } = replica.position();
  // A follower knows what is replicated.
  const { use: told } = await replica.read({ kind: "uplinkUse" });
  const use = told !== null && told.day >= up.use.day && told.bytes > up.use.bytes ? told : up.use;
  const waiting = newest - up.cursor;
  // What was shed before the parent had it is not there any more (S5).
  const oldest = Math.max(up.cursor + 1, compacted);
  const { bytes, exact, time } = await sampled(replica, oldest, newest - oldest + 1);
  const wire = up.rate === null ? null : up.rate.bytesPerSecond / up.rate.revisionsPerSecond;
  const { bytesPerDay, bytesPerSecond } = up.limits;
  return {
    cluster: up.parent,
    state: up.phase,
    reason: reasonOf(up),
    cursor: up.cursor,
    revision: newest,
    waiting: { revisions: waiting, bytes, exact },
    oldest: time === null ? null : { revision: oldest, time },
    rate: up.rate,
    secondsLeft: up.rate === null ? null : waiting / up.rate.revisionsPerSecond,
    used: {
      day: use.day,
      bytes: use.bytes,
      projected: Math.round(use.bytes + (wire === null ? bytes : wire * waiting)),
      bytesPerDay,
      allowed: use.allowed,
      left: up.left,
      secondsToNextDay: up.msToNextDay / 1_000,
    },
    bytesPerSecond,
  };
}

async function sampled(
  replica: ApiDeps["replica"],
  from: number,
  waiting: number,
): Promise<{ readonly bytes: number; readonly exact: boolean; readonly time: number | null }> {
  if (waiting <= 0) return { bytes: 0, exact: true, time: null };
  const { records } = await replica.ledger(revision(from), SAMPLE_BYTES);
  const [oldest] = records;
  if (oldest === undefined) return { bytes: 0, exact: true, time: null };
  const bytes = records.reduce((sum, { record }) => sum + record.length, 0);
  const all = records.length >= waiting;
  return {
    bytes: all ? bytes : Math.round((bytes / records.length) * waiting),
    exact: all,
    time: decodeRecord(oldest.record).time,
  };
}

function reasonOf({ phase, failure, limits, msToNextDay }: UplinkStatus): string | null {
  switch (phase) {
    case "standby":
      return "this node does not lead: the leader has the link";
    case "paused":
      return "paused by an operator at this node";
    case "spent":
      return (
        `the ${limits.bytesPerDay} bytes of the day are used up; it goes on in ${Math.ceil(msToNextDay / 60_000)} min of log ` +
        "time, or when an operator allows more"
      );
    case "connecting":
      return failure ?? "not connected yet";
    case "idle":
    case "shipping":
      return failure;
  }
}
