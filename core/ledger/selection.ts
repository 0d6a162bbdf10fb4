/**
 * What of a ledger a link carries (rules L2, L5). Every revision is accounted for: what the other side does not get
 * stands as a skip, whose hash lets it follow the chain.
 */
import type { ClusterId } from "../ids.ts";
import type { StoredRecord } from "../ports.ts";
import type { LedgerEvent, LedgerRecord, LinkItem } from "./record.ts";
import { decodeRecord } from "./record-codec.ts";
import type { Subscription } from "./subscription.ts";

/** Up: everything but what the parent's own link brought (L5). `records` are consecutive. */
export function selectForParent(records: readonly StoredRecord[], parent: ClusterId): LinkItem[] {
  return select(records, (record) => !broughtBy(record, parent));
}

/**
 * Down: what the child subscribed to, but never what the child itself brought (`child` null: a client, which brings
 * commands, not records). `records` are consecutive.
 */
export function selectForChild(
  records: readonly StoredRecord[],
  child: ClusterId | null,
  subscription: Subscription,
): LinkItem[] {
  return select(records, (record) => {
    if (child !== null && (broughtBy(record, child) || record.origin?.cluster === child)) return false;
    // A record travels whole or not at all: a part of it would have another leaf.
    return record.events.some((event) => subscribed(event, record, subscription));
  });
}

const broughtBy = (record: LedgerRecord, cluster: ClusterId): boolean =>
  record.link !== null && String(record.link) === cluster;

function subscribed(event: LedgerEvent, record: LedgerRecord, subscription: Subscription): boolean {
  switch (event.kind) {
    case "change":
      // A document has no home: whoever wrote the change, it is part of the document.
      return subscription.collections.includes(event.collection);
    case "put":
    case "delete":
      if (record.origin !== null && !subscription.mirrors) return false;
      return subscription.prefixes.some((prefix) => startsWith(event.key, prefix));
  }
}

function startsWith(key: Uint8Array, prefix: Uint8Array): boolean {
  if (key.length < prefix.length) return false;
  for (let i = 0; i < prefix.length; i++) if (key[i] !== prefix[i]) return false;
  return true;
}

function select(records: readonly StoredRecord[], wanted: (record: LedgerRecord) => boolean): LinkItem[] {
  const items: LinkItem[] = [];
  for (const stored of records) {
    if (wanted(decodeRecord(stored.record))) {
      items.push({ kind: "body", revision: stored.revision, record: stored.record });
      continue;
    }
    const last = items.at(-1);
    const from = last?.kind === "skip" ? last.from : stored.revision;
    if (last?.kind === "skip") items.pop();
    items.push({ kind: "skip", from, to: stored.revision, hash: stored.hash });
  }
  return items;
}
