/** `/v1/sites/:site/ledger`: what of a site's ledger is here, as it came, page by page; what a verify and a rebuild read. */
import { OpenClawError } from "@openclaw/core/errors.ts";
import { encodeMirror } from "@openclaw/core/history/mirror-codec.ts";
import { isLinkId, revision } from "@openclaw/core/ids.ts";
import { BATCH_BYTES_MAX } from "@openclaw/core/limits.ts";
import { requireAdmin } from "@openclaw/edge-runtime/api/admin.ts";
import { failures, REQUEST_TIMEOUT_MS } from "@openclaw/edge-runtime/api/answers.ts";
import { frameOf } from "@openclaw/edge-runtime/backup/record-frames.ts";
import type { NodeOptions, RunningNode } from "@openclaw/edge-runtime/node.ts";

type App = Parameters<NonNullable<NodeOptions["extend"]>>[0];

export function siteLedgerRoute(app: App, { replica }: Pick<RunningNode, "replica">): void {
  app.get<{ Params: { site: string }; Querystring: { from: number } }>(
    "/v1/sites/:site/ledger",
    {
      schema: {
        tags: ["hub"],
        summary: "A page of a site's ledger as it came here, from one of the site's revisions on",
        description:
          "Frames of a 4-byte length and a MessagePack tuple: [openclaw mirror, [epoch, cursor, hash] or null, hash before, " +
          "fault or null], then [body, revision, record, hash] and [gap, from, to, hash, reason]: about a MiB, at least one " +
          "up to the cursor. Hashes are the site's own. Go on behind the last; none is left at the cursor, as a majority " +
          "knows it. A first gap may begin before `from`. `fault` is [revision, kind, details] where what is here does not " +
          "lead to the hashes that came with it. Needs the admin claim.",
        produces: ["application/octet-stream"],
        params: { type: "object", properties: { site: { type: "string" } } },
        querystring: {
          type: "object",
          additionalProperties: false,
          properties: { from: { type: "integer", minimum: 1, default: 1 } },
        },
        response: {
          200: {
            description: "Frames",
            content: { "application/octet-stream": { schema: { type: "string", format: "binary" } } },
          },
          ...failures("BAD_REQUEST", "FORBIDDEN", "NOT_FOUND", "REVISION_AHEAD", "OVERLOADED", "UNAVAILABLE"),
        },
      },
    },
    async (request, reply) => {
      requireAdmin(request);
      const { site } = request.params;
      if (!isLinkId(site)) throw new OpenClawError("BAD_REQUEST", `${site} is no site's name`);
      // Whoever hears that there is no more takes it for all: so it is what a majority has.
      await replica.barrier(REQUEST_TIMEOUT_MS);
      const from = revision(request.query.from);
      const mirror = await replica.history({ kind: "mirror", link: site, from, bytes: BATCH_BYTES_MAX });
      if (mirror.link === null) throw new OpenClawError("NOT_FOUND", `no ledger of ${site} came here`);
      return reply
        .header("content-type", "application/octet-stream")
        .send(Buffer.concat(encodeMirror(mirror).map(frameOf)));
    },
  );
}
