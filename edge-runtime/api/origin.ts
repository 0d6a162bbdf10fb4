/** Whose keys a read is of, and how old a mirror may be. */
import { OpenClawError } from "@openclaw/core/errors.ts";
import { type ClusterId, isClusterId } from "@openclaw/core/ids.ts";
import type { FastifyReply } from "fastify";
import type { ApiDeps } from "./deps.ts";

export const originSchema = {
  type: "string",
  description:
    "Read the mirror of this cluster's keys; revisions of keys are then the origin's. Absent: our own, and where the home " +
    "of all that is asked for is elsewhere, its mirror",
} as const;

/** Of an answer that a mirror gave. */
export const mirrorHeaders = {
  "X-Openclaw-Origin": { type: "string", description: "The cluster whose mirror was read; absent for our own keys" },
  "X-Openclaw-Lag-Ms": {
    type: "string",
    description:
      "Milliseconds since this node last knew that its mirror of the parent was level with it; null where it does not " +
      "know: it does not lead, or was never connected, or the mirror is a child's",
  },
} as const;

/** Every origin: ours and all mirrors. */
export const EVERYWHERE = "*";

/** @throws OpenClawError BAD_REQUEST */
export function originOf(text: string | undefined): ClusterId | null {
  if (text === undefined || text === "") return null;
  if (!isClusterId(text)) throw new OpenClawError("BAD_REQUEST", "origin is a cluster's name");
  return text;
}

/** Says which mirror answered, if one did. */
export function ofMirror({ uplink }: ApiDeps, origin: ClusterId | null, reply: FastifyReply): void {
  if (origin === null) return;
  const lag = uplink?.mirrorAgeMs(origin) ?? null;
  void reply.header("x-openclaw-origin", origin).header("x-openclaw-lag-ms", lag === null ? "null" : Math.ceil(lag));
}
