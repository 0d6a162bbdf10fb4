/** What the hub knows of its sites, put together: the replicated links decide, gossip and open streams only inform. */
import type { ClusterId, Epoch, NodeId, Revision } from "@openclaw/core/ids.ts";
import type { Role } from "@openclaw/core/raft/ready.ts";
import type { LinkState } from "@openclaw/core/state-machine/query.ts";

/** One row of `GET /v1/sites`. */
export interface SiteRow {
  readonly cluster: ClusterId;
  /** False for a site that was taken out of the configuration and whose data is still here. */
  readonly enrolled: boolean;
  /** Its stream is open at some node of this hub. */
  readonly connected: boolean;
  /** The site's ledger is here up to this revision, on a majority of the hub's disks. */
  readonly cursor: Revision;
  /** The site's own revision as last gossiped; null when none of its members was heard lately. */
  readonly siteRevision: Revision | null;
  readonly lagRevisions: number | null;
  /** For how long this node has seen the site ahead of the hub; 0 when it is not. */
  readonly lagSeconds: number | null;
  readonly epoch: Epoch | null;
  readonly leader: NodeId | null;
  readonly members: readonly SiteMemberRow[];
  /** Wall clock when this node last saw the cursor move, ms since 1970; null if it has not since it started. */
  readonly lastShipped: number | null;
}

export interface SiteMemberRow {
  readonly node: NodeId;
  readonly role: Role;
  readonly revision: Revision;
  readonly http: string;
  /** The member's wall clock when it last spoke, ms since 1970. */
  readonly seen: number;
}

/** What a member last said of itself. */
export interface HeardMember {
  readonly cluster: ClusterId;
  readonly node: NodeId;
  readonly role: Role;
  readonly leader: NodeId | null;
  readonly term: number;
  readonly revision: Revision;
  readonly http: string;
  readonly at: number;
}

export interface SiteSources {
  readonly enrolled: readonly ClusterId[];
  readonly links: readonly LinkState[];
  readonly connected: ReadonlySet<string>;
  readonly heard: readonly HeardMember[];
}

/** The part of a row that follows from one look; what needs a memory is added by SiteWatch. */
export type SiteView = Omit<SiteRow, "lagSeconds" | "lastShipped">;

export function viewSites({ enrolled, links, connected, heard }: SiteSources): readonly SiteView[] {
  // A client's link has no epoch: only clusters have one.
  const clusters = new Map<string, LinkState>(
    links.flatMap((link) => (link.epoch === null ? [] : [[link.link, link]])),
  );
  const names = new Set<ClusterId>([...enrolled, ...([...clusters.keys()] as ClusterId[])]);
  return [...names].sort().map((cluster) => {
    const link = clusters.get(cluster);
    const members = heard.filter((member) => member.cluster === cluster).sort((a, b) => (a.node < b.node ? -1 : 1));
    const cursor = (link?.cursor ?? 0) as Revision;
    // Gossip is up to two seconds old: what is here already, the site has.
    const heardRevision = Math.max(cursor, ...members.map((member) => member.revision)) as Revision;
    const siteRevision = members.length === 0 ? null : heardRevision;
    return {
      cluster,
      enrolled: enrolled.includes(cluster),
      connected: connected.has(cluster),
      cursor,
      siteRevision,
      lagRevisions: siteRevision === null ? null : siteRevision - cursor,
      epoch: link?.epoch ?? null,
      leader: leaderOf(members),
      members: members.map(({ node, role, revision, http, at }) => ({ node, role, revision, http, seen: at })),
    };
  });
}

/** Of those who name a leader, the one in the highest term is right. */
function leaderOf(members: readonly HeardMember[]): NodeId | null {
  let best: HeardMember | undefined;
  for (const member of members)
    if (member.leader !== null && (best === undefined || member.term > best.term)) best = member;
  return best?.leader ?? null;
}

/** Remembers, from look to look, when each site's cursor moved and since when the site has been ahead. */
export class SiteWatch {
  readonly #seen = new Map<string, { cursor: number; moved: number | null; behindSince: number | null }>();

  /** @param now monotonic ms; @param wall ms since 1970 */
  look(views: readonly SiteView[], now: number, wall: number): readonly SiteRow[] {
    return views.map((view) => {
      const seen = this.#seen.get(view.cluster) ?? { cursor: view.cursor, moved: null, behindSince: null };
      this.#seen.set(view.cluster, seen);
      if (view.cursor > seen.cursor) seen.moved = wall;
      seen.cursor = view.cursor;
      if (view.lagRevisions === 0) seen.behindSince = null;
      else if (view.lagRevisions !== null) seen.behindSince ??= now;
      const lagSeconds =
        view.lagRevisions === null ? null : seen.behindSince === null ? 0 : (now - seen.behindSince) / 1_000;
      return { ...view, lagSeconds, lastShipped: seen.moved };
    });
  }
}
