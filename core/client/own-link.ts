import { toHex } from "../bytes.ts";
import { OpenClawError } from "../errors.ts";
import { isLinkId, type LinkId } from "../ids.ts";
import type { Random } from "../ports.ts";

/** D4: a session's stream and actor, drawn afresh and never used again. */
export function drawLink(random: Random): LinkId {
  const link = toHex(random.bytes(16));
  if (!isLinkId(link)) throw new OpenClawError("INTERNAL", "a link is 32 hex digits");
  return link;
}
