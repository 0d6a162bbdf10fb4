/** `/v1/sites/:site/left/:epoch`: what was taken of a life that was left (L3): it stands in the ledger here, put aside. */
import { OpenClawError, unreachable } from "@openclaw/core/errors.ts";
import { isClusterId, isNonce, linkOfCluster, revision } from "@openclaw/core/ids.ts";
import type { LedgerRecord } from "@openclaw/core/ledger/record.ts";
import { decodeRecord } from "@openclaw/core/ledger/record-codec.ts";
import { BATCH_BYTES_MAX } from "@openclaw/core/limits.ts";
import type { LeftLife } from "@openclaw/core/state-machine/life.ts";
import type { FastifyInstance } from "fastify";
import { requireAdmin } from "./admin.ts";
import { failures, REQUEST_TIMEOUT_MS } from "./answers.ts";
import type { ApiDeps } from "./deps.ts";
import { base64 } from "./key-text.ts";

export function leftLivesRoute(app: FastifyInstance, { replica }: Pick<ApiDeps, "replica">): void {
  app.get<{ Params: { site: string; epoch: string }; Querystring: { after: number } }>(
    "/v1/sites/:site/left/:epoch",
    {
      schema: {
        tags: ["operation"],
        summary: "A page of what was taken of a life of a child that was left",
        description:
          "Its revisions in their order, each with its record as it came (base64) and what it did. Go on with `after` until it " +
          "is null. What was compacted here is not there.",
        params: {
          type: "object",
          required: ["site", "epoch"],
          properties: { site: { type: "string" }, epoch: { type: "string", description: "Its nonce" } },
        },
        querystring: {
          type: "object",
          additionalProperties: false,
          properties: { after: { type: "integer", minimum: 0, default: 0, description: "Revision here" } },
        },
        response: {
          200: { description: "A page", type: "object", additionalProperties: true },
          ...failures("BAD_REQUEST", "FORBIDDEN", "NOT_FOUND", "COMPACTED", "UNAVAILABLE"),
        },
      },
    },
    async (request) => {
      requireAdmin(request);
      const { site, epoch } = request.params;
      if (!isClusterId(site) || !isNonce(epoch)) throw new OpenClawError("BAD_REQUEST", "a site and an epoch's nonce");
      await replica.barrier(REQUEST_TIMEOUT_MS);
      const { left } = await replica.read({ kind: "lives", link: linkOfCluster(site) });
      const life = left.find((one) => one.epoch.nonce === epoch);
      const before = left.filter(({ at }) => life !== undefined && at < life.at);
      if (life === undefined) throw new OpenClawError("NOT_FOUND", `no life ${epoch} of ${site} was left`);
      const from = Math.max(request.query.after + 1, replica.position().compacted, 1);
      const records = from > life.at ? [] : (await replica.ledger(revision(from), BATCH_BYTES_MAX)).records;
      const last = records.at(-1)?.revision ?? life.at;
      const items = records.flatMap(({ revision: here, record }) => {
        const read = decodeRecord(record);
        const { origin } = read;
        const isOf = origin?.cluster === site && isWithin(life, origin.revision, here);
        // A life that was left earlier had revisions of the same numbers, which were put aside then.
        if (!isOf || before.some((one) => isWithin(one, origin.revision, here))) return [];
        return read.link !== null && String(read.link) === site && read.body !== null
          ? [itemOf(read, here, read.body)]
          : [];
      });
      return { site, epoch, from: life.from, to: life.to, items, after: last < life.at ? last : null };
    },
  );
}

const isWithin = ({ from, to, at }: LeftLife, revision: number, here: number): boolean =>
  here <= at && from <= revision && revision <= to;

const itemOf = ({ origin, time, principal, events }: LedgerRecord, here: number, body: Uint8Array) => ({
  revision: origin?.revision,
  epoch: origin?.epoch,
  here,
  time,
  principal,
  events: events.map((event) => {
    switch (event.kind) {
      case "put":
        return { kind: event.kind, key: base64(event.key), value: base64(event.value) };
      case "delete":
        return { kind: event.kind, key: base64(event.key) };
      case "change":
        return { kind: event.kind, collection: event.collection, document: event.document, change: event.change.hash };
      case "home":
      case "command":
      case "result":
        return { kind: event.kind };
      default:
        return unreachable(event);
    }
  }),
  record: base64(body),
});
