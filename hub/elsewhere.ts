/**
 * What the other nodes of this hub see: whose stream is open there, and whom they refused. They are asked, briefly, because
 * a site's uplink is connected to whichever node it found.
 */
import { isErrorCode } from "@openclaw/core/errors.ts";
import { type ClusterId, isClusterId, type NodeId } from "@openclaw/core/ids.ts";
import type { RunningNode } from "@openclaw/edge-runtime/node.ts";
import type { RefusedRow } from "./sites.ts";

/** A member that has not answered by then is left out, ms: the answer is for a dashboard. */
const ANSWER_MS_MAX = 500;

export interface HubMember {
  readonly node: NodeId;
  readonly http: string;
}

/** What one node, or all of them, sees. */
export interface Seen {
  readonly connected: ReadonlySet<ClusterId>;
  readonly refused: ReadonlyMap<ClusterId, RefusedRow>;
}

interface SeenRow {
  readonly cluster: ClusterId;
  readonly connected: boolean;
  readonly refused: RefusedRow | null;
}

/** What any of the members sees, and `here`; those that do not answer count as seeing nothing. */
export async function seenByAll(
  here: Seen,
  members: readonly HubMember[],
  authorization: string | undefined,
  log: RunningNode["log"],
): Promise<Seen> {
  const answers = await Promise.all(members.map((member) => ask(member, authorization, log)));
  const connected = new Set(here.connected);
  const refused = new Map(here.refused);
  for (const row of answers.flat()) {
    if (row.connected) connected.add(row.cluster);
    if (row.refused !== null) refused.set(row.cluster, sum(refused.get(row.cluster), row.refused));
  }
  return { connected, refused };
}

const sum = (one: RefusedRow | undefined, other: RefusedRow): RefusedRow =>
  one === undefined ? other : { ...(one.at > other.at ? one : other), count: one.count + other.count };

async function ask(
  { node, http }: HubMember,
  authorization: string | undefined,
  log: RunningNode["log"],
): Promise<readonly SeenRow[]> {
  try {
    const response = await fetch(`${http}/v1/sites?scope=node`, {
      headers: authorization === undefined ? {} : { authorization },
      signal: AbortSignal.timeout(ANSWER_MS_MAX),
    });
    if (!response.ok) throw new Error(`status ${response.status}`);
    const rows: unknown = await response.json();
    return Array.isArray(rows) ? rows.flatMap(seenRow) : [];
  } catch (error) {
    log.debug(
      { member: node, reason: error instanceof Error ? error.message : String(error) },
      "a hub member did not say what it sees",
    );
    return [];
  }
}

function seenRow(row: unknown): SeenRow[] {
  if (typeof row !== "object" || row === null || !("cluster" in row) || !isClusterId(row.cluster)) return [];
  const connected = "connected" in row && row.connected === true;
  return [{ cluster: row.cluster, connected, refused: "refused" in row ? refusedRow(row.refused) : null }];
}

function refusedRow(row: unknown): RefusedRow | null {
  if (typeof row !== "object" || row === null || !("count" in row && "code" in row && "at" in row)) return null;
  const { count, code, at } = row;
  return typeof count === "number" && isErrorCode(code) && typeof at === "number" ? { count, code, at } : null;
}
