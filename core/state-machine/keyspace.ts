/**
 * The layout of the one ordered map that is the state: a tag, then the parts of a name. Every part but the last is of
 * fixed length or carries its length before it, so no two names give one key; the last stands as it is, so that rows
 * of one kind sort as their names do.
 *
 *   0x01                                     position: cluster, epoch, revision, hash, log time, apply version, compacted
 *   0x02                                     how far the parent holds our ledger
 *   0x03                                     number of sessions and client links
 *   0x04 node                                where a member is
 *   0x05                                     comparison: what replicas found of the last round
 *   0x06                                     who our parent is, once it told something
 *   0x07                                     the epochs before the present one
 *   0x0a                                     what the uplink used of its day
 *   0x10 key                                 own key-value
 *   0x11 len8 origin, key                    mirror of another cluster's key-value
 *   0x12 lease64                             lease: its time to live, when it is due, what it holds
 *   0x13 lease64, key                        key that a lease holds
 *   0x14 due64, lease64                      leases in the order in which they are due
 *   0x18                                     homes: the prefixes that are written elsewhere, or private
 *   0x19                                     prefixes that were private once
 *   0x1a                                     what is left to do of homes that moved
 *   0x1b                                     homes that a parent declared were left with it
 *   0x20 len8 collection, document           document: counts, heads
 *   0x21 document name, hash                 where a known change stands
 *   0x22 document name, position64           accepted change
 *   0x23 document name, hash                 pending change
 *   0x24 document name, hash                 quarantined change
 *   0x25 document name, seq64, actor         hashes of the changes with this actor and sequence number
 *   0x30 session                             session
 *   0x31 link                                client's link
 *   0x32 use64, kind8, id                    sessions and client links by last use
 *   0x33 len8 idempotency key, principal     what a request under that key was answered
 *   0x34 until64, 0x33 row                   those in the order in which they are forgotten
 *   0x35                                     their number and bytes
 *   0x40 link                                ledger link
 *   0x41 len8 origin, epoch nonce            an origin's high-water
 *   0x42 len8 link, to64, from64             revisions of that link that are not here as bodies
 *   0x43 len8 link, epoch nonce              a life that was refused at a ledger link
 *   0x44 len8 link, epoch nonce              a life that was left: what was taken of it and put aside
 *   0x48 link                                what a ledger link's stream is of, and a snapshot that is being taken
 *   0x49 link                                what a link, or our own ledger (no link), was shed of
 *   0x50                                     number of sites, and of tokens that they used
 *   0x51 cluster                             a site below this cluster
 *   0x52 one-time key                        whom a site's token let in
 *   0x60 revision64                          a command that waits for its result
 *   0x61 revision64                          a command and what became of it
 *   0x62                                     number and bytes of both
 *
 * A document name inside a key is: len8 collection, len8 document.
 */
import { compareBytes, utf8 } from "../bytes.ts";
import { invariant } from "../errors.ts";
import type { ActorId, ClusterId, LeaseId, LinkId, NodeId, Revision, SessionId } from "../ids.ts";
import { isLeaseId, revision } from "../ids.ts";
import { keepingLast } from "../keeping-last.ts";
import { after, bigEndian, fromBigEndian, join, tagged, withLength } from "./key-bytes.ts";

const TAG = {
  position: 0x01,
  parentHolds: 0x02,
  clients: 0x03,
  member: 0x04,
  comparison: 0x05,
  parent: 0x06,
  ancestors: 0x07,
  uplinkUse: 0x0a,
  key: 0x10,
  mirror: 0x11,
  lease: 0x12,
  leaseKey: 0x13,
  leaseDue: 0x14,
  homes: 0x18,
  formerlyPrivate: 0x19,
  moving: 0x1a,
  homesLeft: 0x1b,
  document: 0x20,
  change: 0x21,
  accepted: 0x22,
  pending: 0x23,
  quarantined: 0x24,
  authored: 0x25,
  session: 0x30,
  clientLink: 0x31,
  use: 0x32,
  idempotent: 0x33,
  idempotentDue: 0x34,
  idempotentSum: 0x35,
  ledgerLink: 0x40,
  originMark: 0x41,
  linkGap: 0x42,
  contender: 0x43,
  leftLife: 0x44,
  stream: 0x48,
  shed: 0x49,
  sitesSum: 0x50,
  site: 0x51,
  siteToken: 0x52,
  waitingCommand: 0x60,
  settledCommand: 0x61,
  commandsSum: 0x62,
} as const;

const tagRange = (tag: number): KeyRange => ({ from: Uint8Array.of(tag), to: Uint8Array.of(tag + 1) });

/** Rows from `from` on, before `to`. */
export interface KeyRange {
  readonly from: Uint8Array;
  readonly to: Uint8Array;
}

export const POSITION_KEY: Uint8Array = Uint8Array.of(TAG.position);
export const PARENT_HOLDS_KEY: Uint8Array = Uint8Array.of(TAG.parentHolds);
export const COMPARISON_KEY: Uint8Array = Uint8Array.of(TAG.comparison);
export const ANCESTORS_KEY: Uint8Array = Uint8Array.of(TAG.ancestors);
export const UPLINK_USE_KEY: Uint8Array = Uint8Array.of(TAG.uplinkUse);
export const CLIENTS_KEY: Uint8Array = Uint8Array.of(TAG.clients);
export const PARENT_KEY: Uint8Array = Uint8Array.of(TAG.parent);
export const HOMES_KEY: Uint8Array = Uint8Array.of(TAG.homes);
export const FORMERLY_PRIVATE_KEY: Uint8Array = Uint8Array.of(TAG.formerlyPrivate);
export const MOVING_KEY: Uint8Array = Uint8Array.of(TAG.moving);
export const HOMES_LEFT_KEY: Uint8Array = Uint8Array.of(TAG.homesLeft);

const HOMES_RANGE: KeyRange = { from: HOMES_KEY, to: Uint8Array.of(TAG.homes + 1) };

/** The rows that the ledger determines: keys, mirrors, homes, documents. */
export const CONTENT: readonly KeyRange[] = [
  { from: Uint8Array.of(TAG.key), to: Uint8Array.of(TAG.mirror + 1) },
  HOMES_RANGE,
  { from: Uint8Array.of(TAG.document), to: Uint8Array.of(TAG.authored + 1) },
];

const isWithin = (ranges: readonly KeyRange[], row: Uint8Array): boolean =>
  ranges.some(({ from, to }) => compareBytes(from, row) <= 0 && compareBytes(row, to) < 0);

export const isContent = (row: Uint8Array): boolean => isWithin(CONTENT, row);

/** How far other clusters' ledgers are here, and which lives of theirs: no content, and a new epoch goes on with it. */
export const LINKS: KeyRange = { from: Uint8Array.of(TAG.ledgerLink), to: Uint8Array.of(TAG.shed + 1) };

/** Which sites are below, and with which tokens they came: no content either. */
export const REGISTRY: KeyRange = { from: Uint8Array.of(TAG.sitesSum), to: Uint8Array.of(TAG.siteToken + 1) };

/**
 * What a state that goes on from here needs of this one: the content, how long leases live, what was private once, whether
 * homes were left, the links with the origins' marks, which a replay of the whole ledger would raise, and which sites are below.
 */
export const BASE: readonly KeyRange[] = [
  { from: Uint8Array.of(TAG.key), to: Uint8Array.of(TAG.lease + 1) },
  { from: HOMES_KEY, to: Uint8Array.of(TAG.formerlyPrivate + 1) },
  tagRange(TAG.homesLeft),
  { from: Uint8Array.of(TAG.document), to: Uint8Array.of(TAG.authored + 1) },
  LINKS,
  REGISTRY,
];

export const isInBase = (row: Uint8Array): boolean => isWithin(BASE, row);

/** True for the row of a key, our own or a mirror's. */
export const isKeyRow = (row: Uint8Array): boolean => row[0] === TAG.key || row[0] === TAG.mirror;

/** Whose row it is; null for one that is no lease's. */
export function leaseOfRow(row: Uint8Array): LeaseId | null {
  if (row[0] !== TAG.lease || row.length !== 1 + 8) return null;
  const lease = fromBigEndian(row, 1);
  return isLeaseId(lease) ? lease : null;
}

export const memberKey = (node: NodeId): Uint8Array => tagged(TAG.member, [utf8(node)]);
export const MEMBERS: KeyRange = tagRange(TAG.member);
export const nodeOfRow = (row: Uint8Array): Uint8Array => row.subarray(1);

/** The part of the map that holds one cluster's keys; `origin` null: our own. */
const keyPrefix: (origin: ClusterId | null) => Uint8Array = keepingLast((origin: ClusterId | null) =>
  origin === null ? Uint8Array.of(TAG.key) : tagged(TAG.mirror, [withLength(utf8(origin))]),
);

export const keyRowKey = (origin: ClusterId | null, key: Uint8Array): Uint8Array => join(keyPrefix(origin), key);

/** Rows of keys in [from, to); `to` null: to the end. */
export function keyRange(origin: ClusterId | null, from: Uint8Array, to: Uint8Array | null): KeyRange {
  const prefix = keyPrefix(origin);
  return { from: join(prefix, from), to: to === null ? after(prefix) : join(prefix, to) };
}

export const keyOfRow = (origin: ClusterId | null, row: Uint8Array): Uint8Array =>
  new Uint8Array(row.subarray(keyPrefix(origin).length));

export const MIRRORS: KeyRange = tagRange(TAG.mirror);
/** The bytes of the origin in a row of `MIRRORS`. */
export const originOfMirror = (row: Uint8Array): Uint8Array => row.subarray(2, 2 + (row[1] ?? 0));

export const leaseKey = (lease: LeaseId): Uint8Array => tagged(TAG.lease, [bigEndian(lease)]);
export const leaseKeyKey = (lease: LeaseId, key: Uint8Array): Uint8Array =>
  tagged(TAG.leaseKey, [bigEndian(lease), key]);
export const leaseKeysRange = (lease: LeaseId): KeyRange => {
  const from = leaseKeyKey(lease, new Uint8Array(0));
  return { from, to: after(from) };
};
/** The key's own bytes in a row of `leaseKeysRange`. */
export const keyOfLeaseRow = (row: Uint8Array): Uint8Array => new Uint8Array(row.subarray(1 + 8));
export const leaseDueKey = (due: number, lease: LeaseId): Uint8Array =>
  tagged(TAG.leaseDue, [bigEndian(due), bigEndian(lease)]);
export function leaseOfDueRow(row: Uint8Array): { readonly due: number; readonly lease: LeaseId } {
  const lease = fromBigEndian(row, 1 + 8);
  invariant(isLeaseId(lease), "a row of leases that are due names a lease");
  return { due: fromBigEndian(row, 1), lease };
}
export const LEASES: KeyRange = tagRange(TAG.lease);
export const LEASES_DUE: KeyRange = tagRange(TAG.leaseDue);

/** The keys of one document. */
export class DocumentKeys {
  readonly document: Uint8Array;
  readonly #name: Uint8Array;

  constructor(collection: string, document: string) {
    const collectionBytes = utf8(collection);
    const documentBytes = utf8(document);
    this.#name = tagged(0, [withLength(collectionBytes), withLength(documentBytes)]);
    this.document = tagged(TAG.document, [withLength(collectionBytes), documentBytes]);
  }

  change(hash: Uint8Array): Uint8Array {
    return this.#under(TAG.change, hash);
  }
  allChanges(): KeyRange {
    return this.#all(TAG.change);
  }
  /** The hash in a row of `allChanges`. */
  hashOfChange(row: Uint8Array): Uint8Array {
    return row.subarray(this.#name.length);
  }
  accepted(position: number): Uint8Array {
    return this.#under(TAG.accepted, bigEndian(position));
  }
  pending(hash: Uint8Array): Uint8Array {
    return this.#under(TAG.pending, hash);
  }
  allPending(): KeyRange {
    return this.#all(TAG.pending);
  }
  quarantined(hash: Uint8Array): Uint8Array {
    return this.#under(TAG.quarantined, hash);
  }
  allQuarantined(): KeyRange {
    return this.#all(TAG.quarantined);
  }
  authored(actor: ActorId, seq: number): Uint8Array {
    return this.#under(TAG.authored, join(bigEndian(seq), utf8(actor)));
  }

  #under(tag: number, last: Uint8Array): Uint8Array {
    const key = join(this.#name, last);
    key[0] = tag;
    return key;
  }
  #all(tag: number): KeyRange {
    const from = this.#under(tag, new Uint8Array(0));
    return { from, to: after(from) };
  }
}

export function documentsRange(collection: string): KeyRange {
  const from = tagged(TAG.document, [withLength(utf8(collection))]);
  return { from, to: after(from) };
}

/** Of every collection; the shorter names first. */
export const DOCUMENTS: KeyRange = tagRange(TAG.document);
/** The bytes of both names in a row of that range. */
export function namesOfDocument(row: Uint8Array): { readonly collection: Uint8Array; readonly document: Uint8Array } {
  const end = 2 + (row[1] ?? 0);
  return { collection: row.subarray(2, end), document: row.subarray(end) };
}

/** The bytes of the document's name in a row of `documentsRange(collection)`. */
export const documentOfRow = (collection: string, row: Uint8Array): Uint8Array =>
  row.subarray(documentsRange(collection).from.length);

export const sessionKey = (session: SessionId): Uint8Array => tagged(TAG.session, [utf8(session)]);
export const clientLinkKey = (link: LinkId): Uint8Array => tagged(TAG.clientLink, [utf8(link)]);
export const ledgerLinkKey = (link: LinkId): Uint8Array => tagged(TAG.ledgerLink, [utf8(link)]);
export const CLIENT_LINKS: KeyRange = tagRange(TAG.clientLink);
export const LEDGER_LINKS: KeyRange = tagRange(TAG.ledgerLink);
/** The link's name in a row of either range. */
export const linkOfRow = (row: Uint8Array): Uint8Array => row.subarray(1);

export const USES: KeyRange = tagRange(TAG.use);
/** `owner`: the key of the session or client link. */
export const useKey = (use: number, owner: Uint8Array): Uint8Array => tagged(TAG.use, [bigEndian(use), owner]);
export const ownerOfUse = (row: Uint8Array): Uint8Array => new Uint8Array(row.subarray(1 + 8));

export const IDEMPOTENT_SUM_KEY: Uint8Array = Uint8Array.of(TAG.idempotentSum);
/** Of the keys of one principal, by the bytes of its name. */
export const idempotentSumKey = (principal: Uint8Array): Uint8Array =>
  tagged(TAG.idempotentSum, [Uint8Array.of(1), principal]);
export const idempotentKey = (principal: string, key: string): Uint8Array =>
  tagged(TAG.idempotent, [withLength(utf8(key)), utf8(principal)]);
/** The bytes of the principal in such a key. */
export const principalOfIdempotent = (name: Uint8Array): Uint8Array => name.subarray(2 + (name[1] ?? 0));
/** `name`: the key of the row that is forgotten then. */
export const idempotentDueKey = (due: number, name: Uint8Array): Uint8Array =>
  tagged(TAG.idempotentDue, [bigEndian(due), name]);
export const idempotentOfDueRow = (row: Uint8Array): { readonly due: number; readonly name: Uint8Array } => ({
  due: fromBigEndian(row, 1),
  name: new Uint8Array(row.subarray(1 + 8)),
});
export const IDEMPOTENT_DUE: KeyRange = tagRange(TAG.idempotentDue);

export const originMarkKey: (cluster: ClusterId, nonce: string) => Uint8Array = keepingLast(
  (cluster: ClusterId, nonce: string) => tagged(TAG.originMark, [withLength(utf8(cluster)), utf8(nonce)]),
);

export const waitingCommandKey = (at: Revision): Uint8Array => tagged(TAG.waitingCommand, [bigEndian(at)]);
export const settledCommandKey = (at: Revision): Uint8Array => tagged(TAG.settledCommand, [bigEndian(at)]);
export const COMMANDS_SUM_KEY: Uint8Array = Uint8Array.of(TAG.commandsSum);
export const WAITING_COMMANDS: KeyRange = tagRange(TAG.waitingCommand);
export const SETTLED_COMMANDS: KeyRange = tagRange(TAG.settledCommand);
/** The handle in a row of either range. */
export const revisionOfCommandRow = (row: Uint8Array): Revision => revision(fromBigEndian(row, 1));

/** Those of one origin, of every epoch. */
export function originMarksOf(cluster: ClusterId): KeyRange {
  const from = tagged(TAG.originMark, [withLength(utf8(cluster))]);
  return { from, to: after(from) };
}
export const ORIGIN_MARKS: KeyRange = tagRange(TAG.originMark);
/** The cluster's and the epoch's bytes in a row of that range. */
export function namesOfMark(row: Uint8Array): { readonly cluster: Uint8Array; readonly epoch: Uint8Array } {
  const end = 2 + (row[1] ?? 0);
  return { cluster: row.subarray(2, end), epoch: row.subarray(end) };
}

export const streamKey = (link: LinkId): Uint8Array => tagged(TAG.stream, [utf8(link)]);
export const shedKey = (link: LinkId | null): Uint8Array => tagged(TAG.shed, [utf8(link ?? "")]);
export const SHED: KeyRange = tagRange(TAG.shed);
/** In the order of where they end. Two end at one revision only where one of them holds none: then that comes last. */
export const linkGapKey = (link: LinkId, from: Revision, to: Revision): Uint8Array =>
  tagged(TAG.linkGap, [withLength(utf8(link)), bigEndian(to), bigEndian(from)]);
/** Those that end at `to` or later. */
export function linkGapsRange(link: LinkId, to: Revision): KeyRange {
  const prefix = tagged(TAG.linkGap, [withLength(utf8(link))]);
  return { from: join(prefix, bigEndian(to)), to: after(prefix) };
}
export const boundsOfGap = (row: Uint8Array): { readonly from: Revision; readonly to: Revision } => ({
  from: revision(fromBigEndian(row, row.length - 8)),
  to: revision(fromBigEndian(row, row.length - 16)),
});
export const contenderKey = (link: LinkId, nonce: string): Uint8Array => lifeKey(TAG.contender, link, nonce);
export const contendersRange = (link: LinkId): KeyRange => livesRange(TAG.contender, link);
export const CONTENDERS: KeyRange = tagRange(TAG.contender);
/** The bytes of the link's name in a row of `CONTENDERS`. */
export const linkOfContender = (row: Uint8Array): Uint8Array => row.subarray(2, 2 + (row[1] ?? 0));
export const leftLifeKey = (link: LinkId, nonce: string): Uint8Array => lifeKey(TAG.leftLife, link, nonce);
export const leftLivesRange = (link: LinkId): KeyRange => livesRange(TAG.leftLife, link);

const lifeKey = (tag: number, link: LinkId, nonce: string): Uint8Array =>
  tagged(tag, [withLength(utf8(link)), utf8(nonce)]);
function livesRange(tag: number, link: LinkId): KeyRange {
  const from = lifeKey(tag, link, "");
  return { from, to: after(from) };
}

export const SITES_SUM_KEY: Uint8Array = Uint8Array.of(TAG.sitesSum);
export const siteKey = (cluster: ClusterId): Uint8Array => tagged(TAG.site, [utf8(cluster)]);
export const SITES: KeyRange = tagRange(TAG.site);
export const clusterOfSite = (row: Uint8Array): Uint8Array => row.subarray(1);
/** `token`: the public half of its one-time key, as hex digits. */
export const siteTokenKey = (token: string): Uint8Array => tagged(TAG.siteToken, [utf8(token)]);
