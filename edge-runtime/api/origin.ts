/** Whose keys a read is of. */
import { OpenClawError } from "@openclaw/core/errors.ts";
import { type ClusterId, isClusterId } from "@openclaw/core/ids.ts";

export const originSchema = {
  type: "string",
  description: "Read the mirror of this cluster's keys instead of our own; revisions of keys are then the origin's",
} as const;

/** Every origin: ours and all mirrors. */
export const EVERYWHERE = "*";

/** @throws OpenClawError BAD_REQUEST */
export function originOf(text: string | undefined): ClusterId | null {
  if (text === undefined || text === "") return null;
  if (!isClusterId(text)) throw new OpenClawError("BAD_REQUEST", "origin is a cluster's name");
  return text;
}
