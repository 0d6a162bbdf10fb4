/**
 * What of a ledger a link carries (rules L2, L5). Every revision is accounted for: what the other side does not get
 * stands as a skip, whose hash lets it follow the chain.
 */
import { startsWith } from "../bytes.ts";
import { unreachable } from "../errors.ts";
import { type ClusterId, type Revision, revision } from "../ids.ts";
import type { Sha256, StoredRecord } from "../ports.ts";
import { leafHash } from "./chain.ts";
import type { LedgerEvent, LedgerRecord, LinkItem } from "./record.ts";
import { decodeRecord, wayOf } from "./record-codec.ts";
import { bringsDocument, type Subscription } from "./subscription.ts";

/** Those that were the parent before. */
export interface BeforeParent {
  /** Up to there our ledger speaks to another one. */
  readonly addressed: Revision;
  readonly former: readonly ClusterId[];
}

export const NO_PARENT_BEFORE: BeforeParent = { addressed: revision(0), former: [] };

/**
 * Up: everything but what the parent's own link brought, or the parent wrote (L5); what is private as its leaf alone (L2),
 * and so what another parent, before this one, was asked or told. What such a one brought is of clusters that are not below
 * us: a part of their keys only, and once here it would stand in the way of the rest, which they bring themselves (L4);
 * changes of documents merge, and go up. `records` are consecutive. Of a record no more is read than decides that.
 */
export function selectForParent(
  records: readonly StoredRecord[],
  parent: ClusterId,
  sha256: Sha256,
  { addressed, former }: BeforeParent = NO_PARENT_BEFORE,
): LinkItem[] {
  return select(records, ({ revision: at, record: bytes }) => {
    const { origin, link, home } = wayOf(bytes);
    if (origin?.cluster === parent || (link !== null && String(link) === parent)) return null;
    const isOfFormer = link !== null && former.some((one) => one === String(link));
    if (isOfFormer && decodeRecord(bytes).events.every(({ kind }) => kind !== "change")) return null;
    if (home === "private") return { kind: "stub", revision: at, leaf: leafHash(sha256, bytes), reason: "private" };
    // It ran there, or never will: a command runs once (Q2).
    if (at <= addressed && isForParent(decodeRecord(bytes)))
      return { kind: "stub", revision: at, leaf: leafHash(sha256, bytes), reason: "filtered" };
    return { kind: "body", revision: at, record: bytes };
  });
}

const isForParent = ({ origin, events }: LedgerRecord): boolean =>
  origin === null &&
  events.some((event) => {
    switch (event.kind) {
      case "command":
        return event.via === null;
      case "result":
        return event.to === null;
      case "home":
        return event.step.kind === "release";
      case "put":
      case "delete":
      case "change":
        return false;
      default:
        return unreachable(event);
    }
  });

/**
 * Down: what the child subscribed to, but never what the child itself brought (`child` null: a client, which brings
 * commands, not records). `records` are consecutive.
 */
export function selectForChild(
  records: readonly StoredRecord[],
  child: ClusterId | null,
  subscription: Subscription,
): LinkItem[] {
  return select(records, ({ revision: at, record: bytes }) => {
    const record = recordOf(bytes);
    if (child !== null && !mayTravelTo(record, child)) return null;
    // A record travels whole or not at all: a part of it would have another leaf.
    const isWanted =
      (child !== null && concerns(record, child)) ||
      record.events.some((event) => subscribed(event, record, subscription));
    return isWanted ? { kind: "body", revision: at, record: bytes } : null;
  });
}

/** A record that is news goes to every child's stream as the same bytes: it is decoded for the first of them. */
const DECODED = new WeakMap<Uint8Array, LedgerRecord>();

/** @throws OpenClawError MALFORMED_FRAME */
export function recordOf(bytes: Uint8Array): LedgerRecord {
  const known = DECODED.get(bytes);
  if (known !== undefined) return known;
  const record = decodeRecord(bytes);
  DECODED.set(bytes, record);
  return record;
}

const mayTravelTo = (record: LedgerRecord, child: ClusterId): boolean =>
  !broughtBy(record, child) && record.origin?.cluster !== child && record.home !== "private";

/** What a child cluster gets whatever it subscribed to: what it reads as its own (Q3), and what is meant for it (Q2). */
function concerns({ home, origin, events }: LedgerRecord, child: ClusterId): boolean {
  if (home === "hub") return true;
  return origin === null && events.some((event) => isFor(event, child));
}

function isFor(event: LedgerEvent, child: ClusterId): boolean {
  switch (event.kind) {
    case "home":
      return event.step.kind !== "release";
    case "command":
      return event.via === child;
    case "result":
      return event.to === child;
    case "put":
    case "delete":
    case "change":
      return false;
    default:
      return unreachable(event);
  }
}

const broughtBy = (record: LedgerRecord, cluster: ClusterId): boolean =>
  record.link !== null && String(record.link) === cluster;

function subscribed(event: LedgerEvent, record: LedgerRecord, subscription: Subscription): boolean {
  switch (event.kind) {
    case "change":
      // A document has no home: whoever wrote the change, it is part of the document.
      return bringsDocument(subscription, event);
    case "put":
    case "delete":
      if (record.origin !== null && !subscription.mirrors) return false;
      return subscription.prefixes.some((prefix) => startsWith(event.key, prefix));
    case "home":
    case "command":
    case "result":
      return false;
    default:
      return unreachable(event);
  }
}

/** @param itemOf null: it is skipped */
function select(records: readonly StoredRecord[], itemOf: (stored: StoredRecord) => LinkItem | null): LinkItem[] {
  const items: LinkItem[] = [];
  for (const stored of records) {
    const item = itemOf(stored);
    if (item !== null) {
      items.push(item);
      continue;
    }
    const last = items.at(-1);
    const from = last?.kind === "skip" ? last.from : stored.revision;
    if (last?.kind === "skip") items.pop();
    items.push({ kind: "skip", from, to: stored.revision, hash: stored.hash });
  }
  return items;
}
