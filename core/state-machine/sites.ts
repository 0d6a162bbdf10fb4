/**
 * The sites of a hub, as replicated rows: one for each site that ever came with a token, one for each token that was used.
 * They take no revision (L1): the ledger tells what sites and people wrote, and a revision here would travel on to every
 * tier. Who decided, and when, stands in the row.
 */
import { utf8Text } from "../bytes.ts";
import { decode, encode, TupleReader } from "../codec.ts";
import { invariant } from "../errors.ts";
import { type ClusterId, isClusterId, isPublicKey, linkOfCluster } from "../ids.ts";
import { clusterOfSite, ledgerLinkKey, SITES, SITES_SUM_KEY, siteKey, siteTokenKey } from "./keyspace.ts";
import { ledgerLinkRow, parentOf } from "./link-rows.ts";
import type { Refused } from "./member.ts";
import { isSiteState, type Site, type SiteDecision, type SiteEnrolment } from "./site.ts";
import type { RowCodec, Transaction } from "./transaction.ts";
import type { StateView } from "./view.ts";

/** Sites that a cluster keeps, and tokens that it remembers as used. One more is OVERLOADED: neither is ever forgotten. */
export const SITES_MAX = 10_000;

type SiteRow = Omit<Site, "cluster">;

const siteRow: RowCodec<SiteRow> = {
  encode: (row) => encode([row.clusterKey, row.token, row.state, row.decidedBy, row.decidedAt]),
  decode(bytes) {
    const reader = new TupleReader(decode(bytes), "site row");
    return {
      clusterKey: reader.that(isPublicKey, "a public key"),
      token: reader.that(isPublicKey, "a public key"),
      state: reader.that(isSiteState, "a site's state"),
      decidedBy: reader.text(),
      decidedAt: reader.integer(),
    };
  },
};

/** Whom a token let in. */
const tokenRow: RowCodec<ClusterId> = {
  encode: (cluster) => encode([cluster]),
  decode: (bytes) => new TupleReader(decode(bytes), "site token row").that(isClusterId, "a cluster"),
};

interface SitesSum {
  readonly sites: number;
  readonly tokens: number;
}

const sumRow: RowCodec<SitesSum> = {
  encode: ({ sites, tokens }) => encode([sites, tokens]),
  decode(bytes) {
    const reader = new TupleReader(decode(bytes), "sites sum row");
    return { sites: reader.count(), tokens: reader.count() };
  },
};

/** Who decides, and when: an operator, or the node that took the token. */
export interface Decider {
  readonly by: string;
  readonly at: number;
}

/**
 * A site shows its token: it is as the token says from now on. Shown again it changes nothing, and no token changes what an
 * operator has decided.
 * Null, or why not: `TOKEN_USED`; `NOT_ADMITTED`, for the name is another key's; `OVERLOADED`; `WRONG_CLUSTER`.
 */
export function enrolSite(tx: Transaction, own: ClusterId, site: SiteEnrolment, decider: Decider): Refused | null {
  const { cluster, clusterKey, token, state } = site;
  if (cluster === own) return { code: "WRONG_CLUSTER", details: `${cluster} is this cluster's own name` };
  if (cluster === parentOf(tx)) return { code: "WRONG_CLUSTER", details: `${cluster} is this cluster's parent` };
  const usedBy = tx.read(siteTokenKey(token), tokenRow);
  const known = tx.read(siteKey(cluster), siteRow);
  if (known?.clusterKey === clusterKey && !isRaised(known, site)) return null;
  if (known !== undefined && known.clusterKey !== clusterKey && !isFree(tx, cluster, known))
    return { code: "NOT_ADMITTED", details: `${cluster} is enrolled with another key` };
  if (usedBy !== undefined) return { code: "TOKEN_USED", details: `by ${usedBy}` };
  const sum = tx.read(SITES_SUM_KEY, sumRow) ?? { sites: 0, tokens: 0 };
  const sites = sum.sites + (known === undefined ? 1 : 0);
  if (sites > SITES_MAX || sum.tokens >= SITES_MAX)
    return { code: "OVERLOADED", details: `${SITES_MAX} sites, or tokens of sites` };
  tx.write(SITES_SUM_KEY, sumRow, { sites, tokens: sum.tokens + 1 });
  tx.write(siteTokenKey(token), tokenRow, cluster);
  tx.write(siteKey(cluster), siteRow, { clusterKey, token, state, decidedBy: decider.by, decidedAt: decider.at });
  return null;
}

/** It waits, and has brought a token that lets it in. */
const isRaised = (known: SiteRow, { state, token }: SiteEnrolment): boolean =>
  known.state === "pending" && state === "approved" && known.token !== token;

/** A name that somebody took and that was revoked before anything was shipped under it: a squatter's, most likely. */
const isFree = (tx: Transaction, cluster: ClusterId, { state }: SiteRow): boolean =>
  state === "revoked" && tx.read(ledgerLinkKey(linkOfCluster(cluster)), ledgerLinkRow) === undefined;

/** An operator's word. Null, or `UNKNOWN_CHILD`. */
export function decideSite(
  tx: Transaction,
  cluster: ClusterId,
  decision: SiteDecision,
  decider: Decider,
): Refused | null {
  const known = tx.read(siteKey(cluster), siteRow);
  if (known === undefined) return { code: "UNKNOWN_CHILD", details: cluster };
  // Said twice, it is who said it first that is remembered.
  if (known.state === decision) return null;
  tx.write(siteKey(cluster), siteRow, {
    ...known,
    state: decision,
    decidedBy: decider.by,
    decidedAt: decider.at,
  });
  return null;
}

/**
 * Why nothing of this cluster is taken; null if it may be. The door asks as well, but a push may be on its way when its
 * site is revoked. Of a cluster without a row nothing is said: our parent has none.
 */
export function shippingRefusal(tx: Transaction, cluster: ClusterId): Refused | null {
  const known = tx.read(siteKey(cluster), siteRow);
  return known === undefined ? null : siteRefusal(cluster, known);
}

/** Whether a cluster ships to us itself, or will. */
export const isOurSite = (tx: Transaction, cluster: ClusterId): boolean => {
  const known = tx.read(siteKey(cluster), siteRow);
  return known !== undefined && known.state !== "revoked";
};

/** What a site that does not ship yet, or no more, is told. */
export function siteRefusal(cluster: ClusterId, { state }: Pick<Site, "state">): Refused | null {
  switch (state) {
    case "approved":
      return null;
    case "pending":
      return { code: "SITE_PENDING", details: cluster };
    case "revoked":
      return { code: "SITE_REVOKED", details: cluster };
  }
}

/** Every row, by name. */
export function sitesOf(view: StateView): Site[] {
  return view.scan(SITES.from, SITES.to, SITES_MAX).map(({ key, value }) => {
    const cluster = utf8Text(clusterOfSite(key));
    invariant(isClusterId(cluster), "a site's row carries its name");
    return { cluster, ...siteRow.decode(value) };
  });
}
