/**
 * A snapshot in a stream (S4): what stood in a scope at exactly one of the sender's revisions, in the place of the records
 * that led there. It goes in pieces along the sections of the scope, in one order that both ends derive from its head, so
 * that a transfer that was cut goes on at any place, from any node of the sender.
 */
import type { ClusterId, Revision } from "../ids.ts";
import type { DocumentName } from "./document-names.ts";
import type { DocumentChange, KeyNumbers } from "./record.ts";
import type { Subscription } from "./subscription.ts";

export interface SnapshotHead {
  /** The sender's revision that it is of, and the sender's ledger hash there. */
  readonly at: Revision;
  readonly hash: Uint8Array;
  /** What the receiver holds when it is taken. Null: everything, as a ledger goes up. */
  readonly subscription: Subscription | null;
  /** What the receiver held before and keeps; null: all of the scope is replaced, and the cursor moves to `at`. */
  readonly kept: Subscription | null;
  /** Whose mirrors are in it, with the epoch that each was seen in last. Ascending by cluster. */
  readonly origins: readonly { readonly cluster: ClusterId; readonly epoch: string }[];
  /** Prefixes whose home is the sender, or above it: every child has their keys, whatever it subscribes to (Q3). Of a whole one. */
  readonly homes: readonly SnapshotHome[];
}

export interface SnapshotHome {
  readonly prefix: Uint8Array;
  /** Whose keys they are; null: the sender's. */
  readonly owner: ClusterId | null;
  /** Every old home has released it. */
  readonly open: boolean;
}

export type SnapshotSection =
  /** `origin` null: the sender's own keys. `home`: of their records at the receiver. */
  | {
      readonly kind: "keys";
      readonly origin: ClusterId | null;
      readonly home: "site" | "hub";
      readonly from: Uint8Array;
      readonly to: Uint8Array | null;
    }
  /** Null: of every collection. */
  | { readonly kind: "documents"; readonly collection: string | null }
  /** These, of collections that are not in it whole. One section: many small ones come in one piece. */
  | { readonly kind: "named"; readonly documents: readonly DocumentName[] };

/** Everything before it is taken. `from` is a key, or a place among documents; empty at the beginning of a section. */
export interface SnapshotPlace {
  readonly section: number;
  readonly from: Uint8Array;
}

export interface SnapshotRow extends KeyNumbers {
  readonly key: Uint8Array;
  readonly value: Uint8Array;
}

export interface DocumentPart {
  readonly collection: string;
  readonly document: string;
  readonly changes: readonly DocumentChange[];
}

export interface SnapshotPiece {
  readonly section: number;
  readonly from: Uint8Array;
  /** Where the next piece begins; null: the section ends here. */
  readonly to: Uint8Array | null;
  /** All there is from `from` on, before `to`, in the order of the keys. */
  readonly rows: readonly SnapshotRow[];
  readonly documents: readonly DocumentPart[];
}

export type SnapshotStep =
  /**
   * A snapshot begins; one that was under way is given up. `extent`: about how many keys and changes are in it, null where
   * that is not known; told to a client alone.
   */
  | { readonly kind: "begin"; readonly head: SnapshotHead; readonly extent?: number | null }
  | { readonly kind: "piece"; readonly at: Revision; readonly piece: SnapshotPiece }
  /** Every piece was sent. */
  | { readonly kind: "end"; readonly at: Revision };

/** A snapshot that is being taken. */
export interface SnapshotProgress {
  readonly head: SnapshotHead;
  readonly place: SnapshotPlace;
}

/** What a link's stream is of, as far as it was taken. */
export interface StreamState {
  /** What the cursor was reached with. */
  readonly held: Subscription;
  readonly snapshot: SnapshotProgress | null;
}

/** True if it replaces all of its scope, so that only a whole one can be put in its place once it is begun. */
export const isWhole = (head: SnapshotHead): boolean => head.kept === null;

/** Keys, and changes of documents. */
export const itemsIn = ({ rows, documents }: SnapshotPiece): number =>
  documents.reduce((sum, { changes }) => sum + changes.length, rows.length);
