/** Time travel over HTTP: which revision of the past a read is of. */
import { OpenClawError } from "@openclaw/core/errors.ts";
import { type Revision, revision } from "@openclaw/core/ids.ts";
import type { FastifyReply } from "fastify";
import { wallTimeOf } from "../wall-time.ts";
import type { ApiDeps } from "./deps.ts";

export interface MomentQuery {
  readonly revision?: number;
  readonly time?: string;
}

export const momentSchema = {
  revision: {
    type: "integer",
    minimum: 1,
    maximum: Number.MAX_SAFE_INTEGER,
    description: "The state as it was after this revision of this cluster, mirrors included",
  },
  time: {
    type: "string",
    description:
      "The state after the last revision that was stamped at or before this time: RFC 3339, or milliseconds since 1970. " +
      "Stamps are wall clocks of nodes, and may go back",
  },
} as const;

export const momentHeaders = {
  "X-Openclaw-Time-Ambiguous": {
    type: "string",
    description:
      "With time: true where an earlier revision is stamped later than it, for a clock was put back; another revision may " +
      "be meant",
  },
} as const;

/** Failures that a moment brings. */
export const MOMENT_FAILURES = ["BAD_REQUEST", "REVISION_AHEAD", "COMPACTED", "OVERLOADED", "STORAGE_FULL"] as const;

/**
 * The revision that is asked for; null for the present. What the time stood for is told in the answer's headers.
 * @throws OpenClawError those of `MOMENT_FAILURES`
 */
export async function momentOf(
  { replica }: ApiDeps,
  query: MomentQuery,
  reply: FastifyReply,
): Promise<Revision | null> {
  if (query.time === undefined) return query.revision === undefined ? null : revision(query.revision);
  if (query.revision !== undefined) throw new OpenClawError("BAD_REQUEST", "a revision or a time, not both");
  const found = await replica.history({ kind: "revisionAt", time: timeOf(query.time) });
  void reply.header("x-openclaw-time-ambiguous", String(found.ambiguous));
  return found.revision;
}

function timeOf(text: string): number {
  const ms = /^\d{1,15}$/.test(text) ? Number(text) : wallTimeOf(text);
  if (Number.isNaN(ms)) throw new OpenClawError("BAD_REQUEST", "time is RFC 3339, or milliseconds since 1970");
  return ms;
}
