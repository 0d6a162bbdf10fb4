/** The read modes over HTTP (DESIGN §5): what a request asks for, and what its answer says of the state that was read. */
import { OpenClawError } from "@openclaw/core/errors.ts";
import { PARTITION, type Revision } from "@openclaw/core/ids.ts";
import { parsePosition, positionText, positionToken } from "@openclaw/core/ledger/position-token.ts";
import { type ReadMode, readable } from "@openclaw/core/replica/read-mode.ts";
import type { FastifyReply } from "fastify";
import { REQUEST_TIMEOUT_MS } from "./answers.ts";
import type { ApiDeps } from "./deps.ts";

export interface ReadModeQuery {
  readonly consistency?: "linearizable" | "at-least" | "local";
  readonly minRevision?: string;
}

export const readModeSchema = {
  consistency: {
    type: "string",
    enum: ["linearizable", "at-least", "local"],
    description:
      "linearizable (the default): everything acknowledged before is seen. at-least (the default with minRevision): " +
      "nothing older than minRevision is. local: what this node has applied, without asking the others",
  },
  minRevision: {
    type: "string",
    description:
      "The position of an earlier answer, of any node of the cluster: this node waits until it has come so far",
  },
} as const;

/** Of every answer. */
export const positionHeaders = {
  "X-Openclaw-Position": {
    type: "string",
    description: "What the answer holds at least: pass it as minRevision, to any node of the cluster",
  },
} as const;

/** Of every answer to a read. */
export const readHeaders = {
  ...positionHeaders,
  "X-Openclaw-Stale-Ms": {
    type: "string",
    description:
      "Milliseconds since this node last knew that it held all that was committed, or null when it never did: how stale " +
      "a local read may be",
  },
} as const;

export const positionProperties = {
  cluster: { type: "string" },
  partition: { type: "integer" },
  epoch: { type: "string", description: "Nonce of the epoch: revisions compare only within one" },
  revision: { type: "integer" },
  position: { type: "string", description: "The four as one text, for minRevision" },
} as const;

/** Failures that a read mode brings. */
export const READ_FAILURES = ["UNAVAILABLE", "WRONG_CLUSTER", "WRONG_EPOCH", "FORK"] as const;

/**
 * Runs a read in the mode that is asked for, and says in the answer's headers what it was read from.
 * @throws OpenClawError BAD_REQUEST, OVERLOADED, STOPPED, those of `READ_FAILURES`, and what the read itself throws
 */
export async function reading<T>(
  { replica }: ApiDeps,
  query: ReadModeQuery,
  reply: FastifyReply,
  read: () => Promise<T>,
): Promise<T> {
  const gate = { barrier: () => replica.barrier(REQUEST_TIMEOUT_MS), position: () => replica.position() };
  await readable(gate, modeOf(query));
  // What is known before the read holds for what it finds; where the state stands after it covers all that it found.
  const stale = replica.staleMs();
  const found = await read();
  void reply.header("x-openclaw-stale-ms", stale === null ? "null" : String(Math.ceil(stale)));
  noted(replica.position(), replica.position().revision, reply);
  return found;
}

/** What a write answers with. */
export function written({ replica }: ApiDeps, at: Revision, reply: FastifyReply) {
  const position = replica.position();
  const { cluster, epoch } = position;
  return { cluster, partition: PARTITION, epoch: epoch.nonce, revision: at, position: noted(position, at, reply) };
}

function noted(position: Parameters<typeof positionToken>[0], at: Revision, reply: FastifyReply): string {
  const text = positionText(positionToken(position, at));
  void reply.header("x-openclaw-position", text);
  return text;
}

function modeOf({ consistency, minRevision }: ReadModeQuery): ReadMode {
  if (minRevision !== undefined) {
    if (consistency === "linearizable" || consistency === "local")
      throw new OpenClawError("BAD_REQUEST", `a ${consistency} read takes no minRevision`);
    return { kind: "atLeast", position: parsePosition(minRevision) };
  }
  if (consistency === "at-least") throw new OpenClawError("BAD_REQUEST", "an at-least read takes a minRevision");
  return { kind: consistency ?? "linearizable" };
}
