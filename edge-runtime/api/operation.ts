/** What monitors ask: is it alive, is it ready, what does it count; and the API's own description. */
import { OpenClawError } from "@openclaw/core/errors.ts";
import type { FastifyInstance } from "fastify";
import { errorSchema, failures } from "./answers.ts";
import type { ApiDeps } from "./deps.ts";
import { agreementNote } from "./verify.ts";

const okSchema = { description: "Yes", type: "object", properties: { ok: { type: "boolean" } } } as const;

export function operationRoutes(app: FastifyInstance, deps: ApiDeps): void {
  app.get(
    "/healthz",
    {
      config: { open: true },
      schema: { tags: ["operation"], summary: "Is this process alive?", response: { 200: okSchema } },
    },
    async () => ({ ok: true }),
  );

  app.get(
    "/readyz",
    {
      config: { open: true },
      schema: {
        tags: ["operation"],
        summary:
          "Can this node serve? It knows a leader, is not catching up after a loss, and holds what a majority holds",
        response: {
          200: okSchema,
          410: { ...errorSchema, description: "REMOVED: never again" },
          503: { ...errorSchema, description: "UNAVAILABLE, DIVERGED: not yet" },
        },
      },
    },
    async () => {
      if (deps.members.removed) throw new OpenClawError("REMOVED");
      const { leader, raft, agreement } = deps.replica.status();
      if (leader === null) throw new OpenClawError("UNAVAILABLE", "no leader is known");
      if (raft.recoveringTo !== null) throw new OpenClawError("UNAVAILABLE", "catching up after a loss");
      const differs = agreementNote(agreement);
      if (differs !== null) throw new OpenClawError("DIVERGED", differs);
      return { ok: true };
    },
  );

  app.get(
    "/metrics",
    {
      config: { open: true },
      schema: {
        tags: ["operation"],
        summary: "Prometheus metrics",
        produces: ["text/plain"],
        response: { 200: { description: "Metrics", content: { "text/plain": { schema: { type: "string" } } } } },
      },
    },
    async (_request, reply) => reply.header("content-type", deps.metrics.contentType).send(await deps.metrics.text()),
  );

  app.get(
    "/v1/openapi.json",
    {
      config: { open: true },
      schema: {
        tags: ["operation"],
        summary: "This description",
        response: { 200: { description: "OpenAPI 3", type: "object", additionalProperties: true }, ...failures() },
      },
    },
    async () => app.swagger(),
  );
}
