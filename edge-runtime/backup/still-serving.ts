/** Whether a cluster that is to be restored still serves: two of one name would part, and both be believed. */
import { OpenClawError } from "@openclaw/core/errors.ts";
import { z } from "zod";
import { requireManifest } from "./manifest.ts";

/** How one node is asked; `ApiClient` of the command line. Its own bound on the time holds. */
export type Ask = (http: string) => Promise<unknown>;

const Status = z.object({ cluster: z.string(), node: z.string(), epochCounter: z.int(), removed: z.boolean() });

/**
 * Asks the members that the backup knows of. Who answers that it may not tell is alive, too.
 * @throws OpenClawError RESTORE_REFUSED when one of them serves; BACKUP_INVALID, UNKNOWN_VERSION
 */
export async function requireGone(backup: string, ask: Ask): Promise<void> {
  const { cluster, members } = await requireManifest(backup);
  const serving = await Promise.all(members.map((http) => servingAt(cluster, http, ask)));
  const found = serving.find((one) => one !== null);
  if (found !== undefined && found !== null) throw new OpenClawError("RESTORE_REFUSED", found);
}

async function servingAt(cluster: string, http: string, ask: Ask): Promise<string | null> {
  try {
    const status = Status.safeParse(await ask(http));
    if (!status.success || status.data.cluster !== cluster || status.data.removed) return null;
    const { node, epochCounter } = status.data;
    return `${node} of ${cluster}, epoch ${epochCounter}, still serves at ${http}; stop it first`;
  } catch (error) {
    if (!(error instanceof OpenClawError) || error.code === "UNAVAILABLE") return null;
    return `a node answers at ${http} (${error.code}); stop it first`;
  }
}
