/** `/v1/admin/ledger-check`, `/v1/admin/compare-states`: whether what is stored is what was written, and the same everywhere. */
import { toHex } from "@openclaw/core/bytes.ts";
import { revision } from "@openclaw/core/ids.ts";
import type { LedgerChecked } from "@openclaw/core/ports.ts";
import type { Agreement } from "@openclaw/core/replica/comparisons.ts";
import { type Comparison, verdictOf } from "@openclaw/core/state-machine/finding.ts";
import type { FastifyInstance } from "fastify";
import { requireAdmin } from "./admin.ts";
import { failures, REQUEST_TIMEOUT_MS } from "./answers.ts";
import type { ApiDeps } from "./deps.ts";
import { acceptIdempotencyKey } from "./idempotency.ts";

/** Bytes of the ledger that the state's worker hashes between two of its other calls: a few ms. */
const SLICE_BYTES = 524_288;
/** Ms of slices in one answer: whoever asks sees it go on. */
const ANSWER_MS = 250;

export function verifyRoutes(app: FastifyInstance, { replica }: ApiDeps): void {
  app.get<{ Querystring: { from: number; to?: number } }>(
    "/v1/admin/ledger-check",
    {
      config: { whenRemoved: true },
      schema: {
        tags: ["operation"],
        summary: "Hash this node's stored ledger again, a part of it at a time",
        description:
          "Go on at `sound` + 1 until `done`. `fault` is the first wrong revision, and what is wrong with it.",
        querystring: {
          type: "object",
          additionalProperties: false,
          properties: {
            from: { type: "integer", minimum: 1, default: 1, description: "What stands before it is taken on trust" },
            to: { type: "integer", minimum: 1 },
          },
        },
        response: {
          200: {
            description: "What was found",
            type: "object",
            properties: {
              from: { type: "integer", description: "The first that was looked at: what was compacted is not there" },
              sound: { type: "integer", description: "Right up to this revision" },
              revision: { type: "integer", description: "The newest revision of this node" },
              done: { type: "boolean" },
              fault: {
                type: ["object", "null"],
                properties: {
                  revision: { type: "integer" },
                  kind: { type: "string", enum: ["unreadable", "order", "record", "hash", "chain", "position"] },
                  details: { type: "string" },
                },
              },
            },
          },
          ...failures("BAD_REQUEST", "FORBIDDEN", "OVERLOADED", "STOPPED"),
        },
      },
    },
    async (request): Promise<LedgerChecked> => {
      requireAdmin(request);
      const { from, to } = request.query;
      const until = performance.now() + ANSWER_MS;
      const check = (next: number): Promise<LedgerChecked> =>
        replica.checkLedger(revision(next), to === undefined ? null : revision(to), SLICE_BYTES);
      const first = await check(from);
      let last = first;
      while (!last.done && performance.now() < until) last = await check(last.sound + 1);
      return { ...last, from: first.from };
    },
  );

  app.post(
    "/v1/admin/compare-states",
    {
      schema: {
        tags: ["operation"],
        summary: "Compare the states of all replicas, now",
        description: "Answers when every voter has reported, or with what is known after ten seconds.",
        response: {
          200: {
            description: "What each found",
            type: "object",
            additionalProperties: true,
            properties: roundProperties,
          },
          ...failures("FORBIDDEN", "MEMBERSHIP_PENDING", "OVERLOADED", "UNAVAILABLE", "STOPPED"),
        },
      },
    },
    async (request) => {
      requireAdmin(request);
      acceptIdempotencyKey(request);
      return comparisonJson(await replica.compareStates(REQUEST_TIMEOUT_MS));
    },
  );
}

const roundProperties = {
  round: { type: "integer", description: "The log index as of which states are compared; 0: none were yet" },
  revision: { type: "integer" },
  verdict: { type: "string", enum: ["open", "agreed", "split"] },
  diverged: { type: "array", items: { type: "string" }, description: "Nodes that differ from a majority" },
} as const;

export function comparisonJson(comparison: Comparison) {
  const { round, revision: at, voters, reports } = comparison;
  const verdict = verdictOf(comparison);
  return {
    round,
    revision: at,
    voters,
    verdict: verdict.kind,
    diverged: verdict.kind === "agreed" ? verdict.diverged : [],
    reports: reports.map(({ node, finding }) => ({
      node,
      found: finding.kind,
      hash: finding.kind === "hash" ? toHex(finding.hash) : null,
    })),
  };
}

/** What an operator should know; null while nothing is wrong. */
export function agreementNote(agreement: Agreement): string | null {
  switch (agreement.kind) {
    case "sound":
      return null;
    case "diverged":
      return `this node's state differed from a majority's as of log index ${agreement.round}: it serves nothing, and takes its state from a peer`;
    case "split":
      return `as of log index ${agreement.round} no majority of the replicas held one state: nobody serves; see docs/errors.md, DIVERGED`;
  }
}
