/** `/v1/ledger`: the records of the ledger as they are, page by page; what a backup reads. */
import { OpenClawError } from "@openclaw/core/errors.ts";
import { type Revision, revision } from "@openclaw/core/ids.ts";
import { positionText, positionToken } from "@openclaw/core/ledger/position-token.ts";
import { BATCH_BYTES_MAX } from "@openclaw/core/limits.ts";
import type { FastifyInstance } from "fastify";
import { recordFrames } from "../backup/record-frames.ts";
import { requireAdmin } from "./admin.ts";
import { failures, REQUEST_TIMEOUT_MS } from "./answers.ts";
import type { ApiDeps, ReplicaDoor } from "./deps.ts";
import { positionHeaders } from "./reading.ts";

export function ledgerRoute(app: FastifyInstance, { replica }: ApiDeps): void {
  app.get<{ Querystring: { from: number } }>(
    "/v1/ledger",
    {
      schema: {
        tags: ["operation"],
        summary: "A page of the ledger's records, from a revision on",
        description:
          "Frames of a 4-byte length and a MessagePack tuple [revision, record, ledger hash]; as many as make a MiB, at " +
          "least one if there is one. The position in the header is how far this node is. Needs the admin claim.",
        produces: ["application/octet-stream"],
        querystring: {
          type: "object",
          additionalProperties: false,
          required: ["from"],
          properties: { from: { type: "integer", minimum: 1 } },
        },
        response: {
          200: {
            description: "Frames; none at the ledger's end, as a majority knows it",
            headers: positionHeaders,
            content: { "application/octet-stream": { schema: { type: "string", format: "binary" } } },
          },
          ...failures("BAD_REQUEST", "FORBIDDEN", "REVISION_AHEAD", "COMPACTED", "OVERLOADED", "UNAVAILABLE"),
        },
      },
    },
    async (request, reply) => {
      requireAdmin(request);
      const from = revision(request.query.from);
      // Whoever hears that there is no more takes it for all: so it is what a majority has.
      if (from > replica.position().revision) await replica.barrier(REQUEST_TIMEOUT_MS);
      await reached(replica, from);
      const { records, revision: newest } = await replica.ledger(from, BATCH_BYTES_MAX);
      const frames = recordFrames(records);
      return reply
        .header("content-type", "application/octet-stream")
        .header("x-openclaw-position", positionText(positionToken(replica.position(), newest)))
        .send(Buffer.from(frames.buffer, frames.byteOffset, frames.byteLength));
    },
  );
}

/**
 * Ahead is not a fork (L3): a revision that this node has not applied yet is waited for before it is called unknown.
 * @throws OpenClawError REVISION_AHEAD, OVERLOADED, UNAVAILABLE, STOPPED
 */
export async function reached(replica: ReplicaDoor, from: number): Promise<void> {
  const here = (): Revision => replica.position().revision;
  if (from > here() + 1) await replica.barrier(REQUEST_TIMEOUT_MS);
  if (from > here() + 1) throw new OpenClawError("REVISION_AHEAD", `revision ${from}, here ${here()}`);
}
