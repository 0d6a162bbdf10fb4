/**
 * What the ledger holds: one record a revision. A record is what travels, what watchers see and what is hashed.
 *
 * leaf(r) = H(record bytes), which begin with the salt; hash(r) = H(hash(r−1), partition, r, leaf(r))   (rule L2)
 */
import type { ActorId, ChangeHash, LeaseId, LinkId, Origin, Partition, Revision } from "../ids.ts";

/** L6: reserved in every value and change, so that destroying a key can erase from an immutable ledger. Unused: always null. */
export type Encryption = null;

export interface DocumentChange {
  readonly hash: ChangeHash;
  readonly actor: ActorId;
  /** The actor's own count, from 1. */
  readonly seq: number;
  readonly deps: readonly ChangeHash[];
  readonly bytes: Uint8Array;
}

/** What else stands in a key's row, in its origin's revisions. */
export interface KeyNumbers {
  readonly createRevision: Revision;
  readonly modRevision: Revision;
  readonly version: number;
}

export type LedgerEvent =
  | {
      readonly kind: "put";
      readonly key: Uint8Array;
      readonly value: Uint8Array;
      /** The lease that the key has from here on (K6): so the ledger alone tells every row. A mirror has none. */
      readonly lease: LeaseId | null;
      /** Of a snapshot (S4), as no record tells them. Null: they follow from the records. */
      readonly numbers: KeyNumbers | null;
      readonly encryption: Encryption;
    }
  | { readonly kind: "delete"; readonly key: Uint8Array }
  | {
      readonly kind: "change";
      readonly collection: string;
      readonly document: string;
      readonly change: DocumentChange;
      readonly encryption: Encryption;
    };

export interface LedgerRecord {
  readonly partition: Partition;
  readonly revision: Revision;
  /** Wall clock of the node that proposed it, ms since 1970. An annotation only (T1). */
  readonly time: number;
  /** Who: a token's subject, `anonymous`, or `node:<id>`. */
  readonly principal: string;
  /** Null when this cluster wrote it; otherwise where it was first written (L4). */
  readonly origin: Origin | null;
  /**
   * The link that brought it, null exactly when `origin` is. What the parent's link brought is never shipped to the
   * parent, and what a child's link brought never to that child (L5), however many tiers the origin is away.
   */
  readonly link: LinkId | null;
  /** 16 random bytes that travelled in the command (L2). */
  readonly salt: Uint8Array;
  /** S4: the events are how a snapshot differed from what was here, and not what was done one by one. */
  readonly snapshot: boolean;
  /** At least one; all took effect at once. */
  readonly events: readonly LedgerEvent[];
}

/** Why a stub stands where a body would. */
export type StubReason = "private" | "echo" | "shed" | "filtered";

/** What one revision looks like on a link, or a run of them (L2). `record` is the encoded LedgerRecord. */
export type LinkItem =
  | { readonly kind: "body"; readonly revision: Revision; readonly record: Uint8Array }
  | { readonly kind: "stub"; readonly revision: Revision; readonly leaf: Uint8Array; readonly reason: StubReason }
  /** Revisions `from`…`to` hold nothing for this link; `hash` is the ledger's hash at `to`. */
  | { readonly kind: "skip"; readonly from: Revision; readonly to: Revision; readonly hash: Uint8Array };
