/** `/v1/commands`: writes whose home is elsewhere, and what became of them (Q2). */
import { OpenClawError } from "@openclaw/core/errors.ts";
import { type Revision, revision } from "@openclaw/core/ids.ts";
import { parsePosition, positionText, positionToken } from "@openclaw/core/ledger/position-token.ts";
import type { Outcome } from "@openclaw/core/state-machine/command.ts";
import type { CommandState } from "@openclaw/core/state-machine/query.ts";
import type { FastifyInstance, FastifyReply } from "fastify";
import { errorBody, failures } from "./answers.ts";
import type { ApiDeps, ApiPrincipal } from "./deps.ts";
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
import { responseJson } from "./txn-json.ts";

/** Commands of one page, and of one that says no limit. */
const PAGE_MAX = 1_000;
const PAGE = 100;

const commandProperties = {
  handle: { type: "string" },
  status: {
    type: "string",
    enum: ["queued", "done", "failed"],
    description: "queued: it is on its way, or waits at its home. It runs once, or never",
  },
  principal: { type: "string" },
  at: { type: "string", description: "Who has it, and where it runs: `parent`, or a cluster" },
  waitsMs: { type: "integer", description: "For how long it has been queued, in the cluster's log time" },
  result: {
    type: "object",
    additionalProperties: true,
    description:
      "Of one that is done: the revision that it took at its home; of a transaction, and of a put with `expected`, " +
      "`succeeded` and the responses",
  },
  error: {
    type: "object",
    additionalProperties: true,
    description: "Of one that failed: as a refused request is told",
  },
} as const;

/** 202 of a write whose home is elsewhere. */
export const queuedSchema = {
  description: "The home of the keys is elsewhere: the write is queued, on a majority's disks, and runs there once",
  type: "object",
  headers: { ...positionHeaders, Location: { type: "string", description: "Where to ask what became of it" } },
  properties: { ...positionProperties, handle: commandProperties.handle, status: commandProperties.status },
} as const;

/** Answers a write that was queued at this revision. */
export function queued(deps: ApiDeps, at: Revision, reply: FastifyReply) {
  const answer = written(deps, at, reply);
  void reply.code(202).header("location", `/v1/commands/${answer.position}`);
  return { ...answer, handle: answer.position, status: "queued" };
}

export function commandRoutes(app: FastifyInstance, deps: ApiDeps): void {
  app.get<{ Params: { handle: string }; Querystring: ReadModeQuery }>(
    "/v1/commands/:handle",
    {
      schema: {
        tags: ["commands"],
        summary: "What became of a queued write",
        description: "Its results are kept for 90 days of the cluster's log time, the latest 100,000 of them.",
        params: { type: "object", properties: { handle: { type: "string", maxLength: 256 } } },
        querystring: { type: "object", additionalProperties: false, properties: readModeSchema },
        response: {
          200: { description: "The command", type: "object", headers: readHeaders, properties: commandProperties },
          ...failures("BAD_REQUEST", "NOT_FOUND", "OUTCOME_UNKNOWN", "FORBIDDEN", ...READ_FAILURES),
        },
      },
    },
    async (request, reply) => {
      const token = parsePosition(request.params.handle);
      const { cluster, epoch } = deps.replica.position();
      if (token.cluster !== cluster) throw new OpenClawError("WRONG_CLUSTER", `${token.cluster}, this is ${cluster}`);
      // What an earlier epoch queued was not taken along (L3).
      if (token.epoch !== epoch.nonce) throw new OpenClawError("OUTCOME_UNKNOWN", "it is of an earlier epoch");
      const { command } = await reading(deps, request.query, reply, () =>
        deps.replica.read({ kind: "command", revision: token.revision }),
      );
      if (command === null)
        throw token.revision > deps.replica.position().revision
          ? new OpenClawError("NOT_FOUND", "no command has that handle yet")
          : new OpenClawError("OUTCOME_UNKNOWN");
      if (!mayKnow(command, request.principal)) throw new OpenClawError("FORBIDDEN", "another's command");
      return shown(deps, command);
    },
  );

  app.get<{ Querystring: ReadModeQuery & { after: number; limit: number } }>(
    "/v1/commands",
    {
      schema: {
        tags: ["commands"],
        summary: "Queued writes and what became of them, oldest first: one's own, an operator's everybody's",
        querystring: {
          type: "object",
          additionalProperties: false,
          properties: {
            ...readModeSchema,
            after: {
              type: "integer",
              minimum: 0,
              default: 0,
              maximum: Number.MAX_SAFE_INTEGER,
              description: "The `next` of the page before",
            },
            limit: { type: "integer", minimum: 1, maximum: PAGE_MAX, default: PAGE },
          },
        },
        response: {
          200: {
            description: "A page of them: at most `limit`, and about a MiB of results",
            type: "object",
            headers: readHeaders,
            properties: {
              commands: { type: "array", items: { type: "object", properties: commandProperties } },
              next: { type: ["integer", "null"], description: "Pass it as `after` for the next page; null at the end" },
            },
          },
          ...failures(...READ_FAILURES),
        },
      },
    },
    async (request, reply) => {
      const { after, limit } = request.query;
      const { commands, more } = await reading(deps, request.query, reply, () =>
        deps.replica.read({ kind: "commands", after: revision(after), limit }),
      );
      const last = commands.at(-1);
      return {
        commands: commands.filter((one) => mayKnow(one, request.principal)).map((one) => shown(deps, one)),
        next: more && last !== undefined ? last.revision : null,
      };
    },
  );
}

const mayKnow = ({ principal }: CommandState, asking: ApiPrincipal): boolean =>
  asking.mayAdminister || asking.name === principal;

function shown({ replica }: ApiDeps, { revision: at, principal, via, waitsMs, outcome }: CommandState) {
  const handle = positionText(positionToken(replica.position(), at));
  const common = { handle, principal, at: via ?? "parent" };
  return outcome === null ? { ...common, status: "queued", waitsMs } : { ...common, ...settled(outcome) };
}

function settled(outcome: Outcome) {
  if (!outcome.ok) return { status: "failed", error: errorBody(new OpenClawError(outcome.code, outcome.details)) };
  const { revision: at, response } = outcome;
  const more = response === null || response.kind === "queued" ? {} : responseJson(response);
  return { status: "done", result: { revision: at, ...more } };
}
