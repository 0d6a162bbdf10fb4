/** What can be asked of the past: of the state as it was after one of its revisions. */
import type { ClusterId, LeaseId, Lineage, LinkId, Revision } from "../ids.ts";
import type { DocumentName } from "../ledger/document-names.ts";
import type { LedgerFault } from "../ledger/fault.ts";
import type { GapReason } from "../ledger/gap.ts";
import type { DocumentPart, SnapshotSection } from "../ledger/snapshot.ts";
import type { DocumentPlace } from "../ledger/snapshot-codec.ts";
import type { KeyValue, RangeRequest, RangeResponse } from "../state-machine/operation.ts";
import type { QueryAnswers } from "../state-machine/query.ts";

/** `origin` null: this cluster's own keys; else the mirror of that cluster. `at` is a revision of this cluster's ledger. */
export type HistoryQuery =
  | { readonly kind: "get"; readonly origin: ClusterId | null; readonly key: Uint8Array; readonly at: Revision }
  | ({ readonly kind: "range"; readonly origin: ClusterId | null; readonly at: Revision } & RangeRequest)
  /** What was under a key, newest first; `before`: only earlier revisions than that. */
  | {
      readonly kind: "versions";
      readonly origin: ClusterId | null;
      readonly key: Uint8Array;
      readonly before: Revision | null;
      readonly limit: number;
    }
  /** As the question of the same name asks of the present. */
  | {
      readonly kind: "document";
      readonly collection: string;
      readonly document: string;
      readonly at: Revision;
      readonly after: number;
      readonly limit: number;
    }
  /**
   * Every change known by `at`, wherever it stands, in an order in which each that stands follows what it depends on; but
   * for those known by `since`. `after`: where the page before it ended.
   */
  | {
      readonly kind: "changes";
      readonly of: ChangesOf;
      readonly at: Revision;
      readonly after: DocumentPlace | null;
    }
  /** How many keys, and changes of documents, stand in these now; null where that is too many to count. */
  | { readonly kind: "extent"; readonly sections: readonly SnapshotSection[] }
  /** Which revision is the first to keep, so that no more than that is kept; null bounds nothing. */
  | { readonly kind: "outgrown"; readonly ageMs: number | null; readonly bytes: number | null }
  /** A sender's ledger as its link brought it, from one of its revisions on; about `bytes` of it at most. */
  | { readonly kind: "mirror"; readonly link: LinkId; readonly from: Revision; readonly bytes: number }
  /** Which revision was the last one at a wall time, ms since 1970. */
  | { readonly kind: "revisionAt"; readonly time: number };

export type ChangesOf =
  /** Null: of all. */
  | { readonly kind: "collection"; readonly collection: string | null; readonly since: Revision }
  | { readonly kind: "documents"; readonly documents: readonly (DocumentName & { readonly since: Revision })[] };

/** What one revision left under a key. */
export interface Version {
  /** Null: the key was deleted. */
  readonly value: Uint8Array | null;
  /** As in the key's row; of a mirror the origin's. A delete has those of itself, and version 0. */
  readonly createRevision: Revision;
  readonly modRevision: Revision;
  readonly version: number;
  readonly lease: LeaseId | null;
  /** Who and when, as the record has it. */
  readonly principal: string;
  readonly time: number;
}

export interface KeyVersion extends Version {
  /** Of this cluster's ledger. */
  readonly revision: Revision;
}

/** Of a sender's ledger; `hash` is its own at the last revision. */
export type MirrorItem =
  | { readonly kind: "body"; readonly revision: Revision; readonly record: Uint8Array; readonly hash: Uint8Array }
  /** These revisions are not here as bodies. */
  | {
      readonly kind: "gap";
      readonly from: Revision;
      readonly to: Revision;
      readonly hash: Uint8Array;
      readonly reason: GapReason;
    };

export interface Mirror {
  /** How far the link has come; null: it brought no ledger. */
  readonly link: (Lineage & { readonly cursor: Revision; readonly hash: Uint8Array }) | null;
  /** The sender's hash before the first item, or at the cursor where there is none; null where that is compacted. */
  readonly before: Uint8Array | null;
  /** Without a hole. The first may be a gap that begins before the revision that was asked for. */
  readonly items: readonly MirrorItem[];
  /** The first revision at which what is here does not lead to the hashes that came over the link. */
  readonly fault: LedgerFault | null;
}

export interface HistoryAnswers {
  get: { readonly row: KeyValue | null };
  range: RangeResponse;
  versions: { readonly versions: readonly KeyVersion[]; readonly more: boolean };
  document: QueryAnswers["document"];
  /** At least one change of a page that is not the last; `next` null: it is. */
  changes: { readonly documents: readonly DocumentPart[]; readonly next: DocumentPlace | null };
  extent: { readonly items: number | null };
  /** 0: all of it. */
  outgrown: { readonly revision: Revision };
  mirror: Mirror;
  /** `ambiguous`: an earlier revision is stamped later than the time asked for, for wall clocks were put back (T2). */
  revisionAt: { readonly revision: Revision; readonly time: number; readonly ambiguous: boolean };
}

export type HistoryAnswer<Q extends HistoryQuery> = HistoryAnswers[Q["kind"]];
