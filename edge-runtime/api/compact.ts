/** `POST /v1/compact`: an operator says from which revision on the past is kept. */
import { OpenClawError } from "@openclaw/core/errors.ts";
import { revision } from "@openclaw/core/ids.ts";
import type { FastifyInstance } from "fastify";
import { requireAdmin } from "./admin.ts";
import { failures } from "./answers.ts";
import type { ApiDeps } from "./deps.ts";
import { performByOperator } from "./write.ts";

export function compactRoute(app: FastifyInstance, deps: ApiDeps): void {
  const { replica, uplink } = deps;
  app.post<{ Body: { revision: number } }>(
    "/v1/compact",
    {
      schema: {
        tags: ["operation"],
        summary: "Forget what was before a revision",
        description:
          "The state at the revision and all later ones are kept, and documents whole. Reads and watches that ask for an " +
          "earlier one are COMPACTED from now on; the disk's space is freed in the background, and used again. A browser that " +
          "opens here for the first time, and a child that is behind the revision, get a snapshot (SPEC S4).",
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
            "IDEMPOTENCY_KEY_REUSED",
            "OVERLOADED",
            "UNAVAILABLE",
            "STOPPED",
          ),
        },
      },
    },
    async (request, reply) => {
      requireAdmin(request);
      const to = revision(request.body.revision);
      const { parentHolds } = replica.position();
      // The state knows a parent only by what that said: one that has not been reached yet is in the configuration alone.
      if (uplink !== null && to > parentHolds + 1)
        throw new OpenClawError("NOT_SHIPPED", `the parent holds revision ${parentHolds}`);
      await performByOperator(deps, { kind: "compact", revision: to }, { request, reply });
      return { compacted: to };
    },
  );
}
