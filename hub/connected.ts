/**
 * Which sites have an open stream to this hub. Each node knows its own streams; the others are asked, briefly, because
 * a site's uplink is connected to whichever node it found.
 */
import type { NodeId } from "@openclaw/core/ids.ts";
import type { RunningNode } from "@openclaw/edge-runtime/node.ts";

/** A member that has not answered by then is left out, ms: the answer is for a dashboard. */
const ANSWER_MS_MAX = 500;

export interface HubMember {
  readonly node: NodeId;
  readonly http: string;
}

/** The sites that are connected to any of the members; those that do not answer count as having none. */
export async function connectedElsewhere(
  members: readonly HubMember[],
  authorization: string | undefined,
  log: RunningNode["log"],
): Promise<ReadonlySet<string>> {
  const answers = await Promise.all(members.map((member) => ask(member, authorization, log)));
  return new Set(answers.flat());
}

async function ask(
  { node, http }: HubMember,
  authorization: string | undefined,
  log: RunningNode["log"],
): Promise<readonly string[]> {
  try {
    const response = await fetch(`${http}/v1/sites?scope=node`, {
      headers: authorization === undefined ? {} : { authorization },
      signal: AbortSignal.timeout(ANSWER_MS_MAX),
    });
    if (!response.ok) throw new Error(`status ${response.status}`);
    const rows: unknown = await response.json();
    return Array.isArray(rows) ? rows.flatMap(connectedCluster) : [];
  } catch (error) {
    log.debug(
      { member: node, reason: error instanceof Error ? error.message : String(error) },
      "a hub member did not say what it sees",
    );
    return [];
  }
}

function connectedCluster(row: unknown): string[] {
  if (typeof row !== "object" || row === null || !("cluster" in row) || !("connected" in row)) return [];
  return row.connected === true && typeof row.cluster === "string" ? [row.cluster] : [];
}
