/** `POST /v1/compact`: an operator says from which revision on the past is kept. */
import { OpenClawError } from "@openclaw/core/errors.ts";
import { revision } from "@openclaw/core/ids.ts";
import type { FastifyInstance } from "fastify";
import { requireAdmin } from "./admin.ts";
import { failures, REQUEST_TIMEOUT_MS } from "./answers.ts";
import type { ApiDeps } from "./deps.ts";

export function compactRoute(app: FastifyInstance, { replica, uplink }: ApiDeps): void {
  app.post<{ Body: { revision: number } }>(
    "/v1/compact",
    {
      schema: {
        tags: ["operation"],
        summary: "Forget what was before a revision",
        description:
          "The state at the revision and all later ones are kept, and documents whole. Reads and watches that ask for an " +
          "earlier one are COMPACTED from now on; the disk's space is freed in the background, and used again.",
        body: {
          type: "object",
          additionalProperties: false,
          required: ["revision"],
          properties: { revision: { type: "integer", minimum: 1, maximum: Number.MAX_SAFE_INTEGER } },
        },
        response: {
          200: {
            description: "Compacted",
            type: "object",
            properties: { compacted: { type: "integer", description: "The first revision that is kept" } },
          },
          ...failures(
            "BAD_REQUEST",
            "FORBIDDEN",
            "COMPACTED",
            "REVISION_AHEAD",
            "NOT_SHIPPED",
            "OVERLOADED",
            "UNAVAILABLE",
            "STOPPED",
          ),
        },
      },
    },
    async (request) => {
      requireAdmin(request);
      const to = revision(request.body.revision);
      const { parentHolds } = replica.position();
      // The state knows a parent only by what that said: one that has not been reached yet is in the configuration alone.
      if (uplink !== null && to > parentHolds + 1)
        throw new OpenClawError("NOT_SHIPPED", `the parent holds revision ${parentHolds}`);
      const options = { principal: request.principal.name, timeoutMs: REQUEST_TIMEOUT_MS };
      const outcome = await replica.execute({ kind: "compact", revision: to }, options);
      if (!outcome.ok) throw new OpenClawError(outcome.code, outcome.details);
      return { compacted: to };
    },
  );
}
