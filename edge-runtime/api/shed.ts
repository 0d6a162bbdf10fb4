/** `GET /v1/shed`: what was shed before a parent had it (S5), of this cluster's ledger and of its children's. */
import { OpenClawError } from "@openclaw/core/errors.ts";
import { type Shed, type ShedRun, shedCount } from "@openclaw/core/state-machine/shed.ts";
import type { FastifyInstance } from "fastify";
import { requireAdmin } from "./admin.ts";
import { failures } from "./answers.ts";
import type { ApiDeps, ReplicaDoor } from "./deps.ts";

export function shedRoute(app: FastifyInstance, { replica }: ApiDeps): void {
  app.get(
    "/v1/shed",
    {
      schema: {
        tags: ["operation"],
        summary: "Revisions that were shed before a parent had them (SPEC S5)",
        description:
          "One item for this cluster's own ledger (`link` null) and one for each child that shed something. A run is what " +
          "the parent never gets as records; in their place came a snapshot of the run's last revision. The child and its " +
          "parent name the same revisions. `time`: wall clock, ms since 1970, when the run was last made longer or taken.",
        response: {
          200: {
            description: "What was shed, all since the epoch began",
            type: "object",
            properties: { shed: { type: "array", items: { type: "object", additionalProperties: true } } },
          },
          ...failures("FORBIDDEN", "OVERLOADED", "UNAVAILABLE", "STOPPED"),
        },
      },
    },
    async (request) => {
      requireAdmin(request);
      const { shed } = await replica.read({ kind: "shed" });
      return { shed: shed.map((one) => ({ ...summaryOf(one), runs: one.runs.map(runJson) })) };
    },
  );
}

/** For a status; null where this node's state does not answer. */
export async function shedSummary(replica: Pick<ReplicaDoor, "read">) {
  try {
    const { shed } = await replica.read({ kind: "shed" });
    return shed.map(summaryOf);
  } catch (error) {
    if (error instanceof OpenClawError) return null;
    throw error;
  }
}

const summaryOf = ({ link, runs }: Shed) => ({
  link,
  revisions: shedCount(runs),
  from: runs[0]?.from ?? null,
  to: runs.at(-1)?.to ?? null,
  time: runs.at(-1)?.time ?? null,
});

const runJson = ({ from, to, time }: ShedRun) => ({ from, to, revisions: to - from + 1, time });
