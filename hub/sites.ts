/**
 * What the hub knows of its sites, put together: the registry and the replicated links decide, gossip, open streams and
 * counts only inform.
 */
import type { ErrorCode } from "@openclaw/core/errors.ts";
import type { ClusterId, Epoch, NodeId, Revision } from "@openclaw/core/ids.ts";
import type { Role } from "@openclaw/core/raft/ready.ts";
import type { LinkState } from "@openclaw/core/state-machine/query.ts";
import type { Site, SiteState } from "@openclaw/core/state-machine/site.ts";

/** Sites that are not ours and were refused: so many are shown, those that knocked last. */
const UNKNOWN_MAX = 64;

/** One row of `GET /v1/sites`. */
export interface SiteRow {
  readonly cluster: ClusterId;
  /** Unknown: it is not in the registry, and has only been refused so far. */
  readonly state: SiteState | "unknown";
  /** 64 hex digits; null of one that is unknown. */
  readonly clusterKey: string | null;
  /** Who brought it to this state, and when by that node's wall clock, ms since 1970. */
  readonly decidedBy: string | null;
  readonly decidedAt: number | null;
  /** Its stream is open at some node of this hub. */
  readonly connected: boolean;
  /** The site's ledger is here up to this revision, on a majority of the hub's disks. */
  readonly cursor: Revision;
  /** The site's own revision as last gossiped; null when none of its members was heard lately. */
  readonly siteRevision: Revision | null;
  readonly lagRevisions: number | null;
  /** For how long this node has seen the site ahead of the hub; 0 when it is not. */
  readonly lagSeconds: number | null;
  /** The one that its link is pinned to; null until it has shipped. */
  readonly epoch: Epoch | null;
  readonly leader: NodeId | null;
  readonly members: readonly SiteMemberRow[];
  /** Wall clock when this node last saw the cursor move, ms since 1970; null if it has not since it started. */
  readonly lastShipped: number | null;
  /** Since the hub's nodes started; null for never. */
  readonly refused: RefusedRow | null;
}

export interface SiteMemberRow {
  readonly node: NodeId;
  readonly role: Role;
  readonly revision: Revision;
  readonly http: string;
  /** The member's wall clock when it last spoke, ms since 1970. */
  readonly seen: number;
}

export interface RefusedRow {
  readonly count: number;
  /** Of the last one. */
  readonly code: ErrorCode;
  /** Wall clock of the node that refused last, ms since 1970. */
  readonly at: number;
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
  readonly registry: readonly Site[];
  readonly links: readonly LinkState[];
  readonly connected: ReadonlySet<string>;
  readonly heard: readonly HeardMember[];
  readonly refused: ReadonlyMap<ClusterId, RefusedRow>;
}

/** The part of a row that follows from one look; what needs a memory is added by SiteWatch. */
export type SiteView = Omit<SiteRow, "lagSeconds" | "lastShipped">;

export function viewSites({ registry, links, connected, heard, refused }: SiteSources): readonly SiteView[] {
  const linkOf = new Map<string, LinkState>(links.map((link) => [link.link, link]));
  const membersOf = Map.groupBy(heard, ({ cluster }) => cluster);
  const view = (cluster: ClusterId, site: Site | null): SiteView => {
    const link = linkOf.get(cluster);
    const members = [...(membersOf.get(cluster) ?? [])].sort((a, b) => (a.node < b.node ? -1 : 1));
    const cursor = (link?.cursor ?? 0) as Revision;
    // Gossip is up to two seconds old: what is here already, the site has.
    const heardRevision = Math.max(cursor, ...members.map((member) => member.revision)) as Revision;
    const siteRevision = members.length === 0 ? null : heardRevision;
    return {
      cluster,
      state: site?.state ?? "unknown",
      clusterKey: site?.clusterKey ?? null,
      decidedBy: site?.decidedBy ?? null,
      decidedAt: site?.decidedAt ?? null,
      connected: connected.has(cluster),
      cursor,
      siteRevision,
      lagRevisions: siteRevision === null ? null : siteRevision - cursor,
      epoch: link?.epoch ?? null,
      leader: leaderOf(members),
      members: members.map(({ node, role, revision, http, at }) => ({ node, role, revision, http, seen: at })),
      refused: refused.get(cluster) ?? null,
    };
  };
  const known = new Set(registry.map(({ cluster }) => cluster));
  const unknown = [...refused]
    .filter(([cluster]) => !known.has(cluster))
    .sort(([, a], [, b]) => b.at - a.at)
    .slice(0, UNKNOWN_MAX);
  return [...registry.map((site) => view(site.cluster, site)), ...unknown.map(([cluster]) => view(cluster, null))].sort(
    (a, b) => (a.cluster < b.cluster ? -1 : 1),
  );
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
  #seen: ReadonlyMap<ClusterId, Seen> = new Map();

  /** @param now monotonic ms; @param wall ms since 1970 */
  look(views: readonly SiteView[], now: number, wall: number): readonly SiteRow[] {
    const before = this.#seen;
    const seen = new Map<ClusterId, Seen>();
    const rows = views.map((view) => {
      const known = before.get(view.cluster) ?? { cursor: view.cursor, moved: null, behindSince: null };
      const behindSince =
        view.lagRevisions === null ? known.behindSince : view.lagRevisions === 0 ? null : (known.behindSince ?? now);
      const moved = view.cursor > known.cursor ? wall : known.moved;
      seen.set(view.cluster, { cursor: view.cursor, moved, behindSince });
      const lagSeconds = view.lagRevisions === null ? null : behindSince === null ? 0 : (now - behindSince) / 1_000;
      return { ...view, lagSeconds, lastShipped: moved };
    });
    // Of a name that is shown no more nothing is remembered: whoever knocks may call itself anything.
    this.#seen = seen;
    return rows;
  }
}

interface Seen {
  readonly cursor: number;
  readonly moved: number | null;
  readonly behindSince: number | null;
}
