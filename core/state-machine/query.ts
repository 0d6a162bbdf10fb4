/** What can be asked of the state at one applied index. Run by `query(view, question)` in the store's worker. */
import type { ActorId, ChangeHash, ClusterId, Epoch, LeaseId, LinkId, Revision, Seq } from "../ids.ts";
import type { Ancestor } from "../ledger/lineage.ts";
import type { DocumentChange } from "../ledger/record.ts";
import type { Outcome } from "./command.ts";
import type { Comparison } from "./finding.ts";
import type { Contender, LeftLife } from "./life.ts";
import type { Member } from "./member.ts";
import type { KeyValue, RangeRequest, RangeResponse } from "./operation.ts";

/** What is known of a lease (etcd's LeaseTimeToLive). */
export interface LeaseState {
  readonly ttlMs: number;
  /** Ms of log time until it is due, as far as this replica has it. */
  readonly remainingMs: number;
  /** Ascending. */
  readonly keys: readonly Uint8Array[];
}

/** `Idempotency-Key`s that are remembered, or may be. */
export interface IdempotencyRoom {
  readonly keys: number;
  /** Of their rows. */
  readonly bytes: number;
}

/** The request that ran under an `Idempotency-Key` (Q1). */
export interface FirstRequest {
  /** A hash of what was asked. */
  readonly request: Uint8Array;
  /** What it was to be told again. */
  readonly note: string;
  readonly outcome: Outcome;
  /** Log time that it is remembered to, at least. */
  readonly until: number;
}

/** What is kept of a link (L4). */
export interface LinkState {
  readonly link: LinkId;
  /** Last item taken: a revision of the sender's ledger, or a client's sequence number. */
  readonly cursor: number;
  /** The sender's ledger hash at the cursor; empty for a client. */
  readonly hash: Uint8Array;
  /** Null for a client. */
  readonly epoch: Epoch | null;
  /** The epochs before it. */
  readonly ancestors: readonly Ancestor[];
  /** A client's outcomes above its low-water mark, ascending. */
  readonly outcomes: readonly { readonly seq: Seq; readonly outcome: Outcome }[];
}

/** `origin` null: this cluster's own keys; else the mirror of that cluster. */
export type Query =
  | { readonly kind: "get"; readonly origin: ClusterId | null; readonly key: Uint8Array }
  | ({ readonly kind: "range"; readonly origin: ClusterId | null } & RangeRequest)
  /** Accepted changes in an order in which each follows what it depends on; those after position `after`. */
  | {
      readonly kind: "document";
      readonly collection: string;
      readonly document: string;
      readonly after: number;
      readonly limit: number;
    }
  | { readonly kind: "documents"; readonly collection: string }
  | {
      readonly kind: "changes";
      readonly collection: string;
      readonly document: string;
      readonly hashes: readonly ChangeHash[];
    }
  | { readonly kind: "lease"; readonly lease: LeaseId }
  /** What is kept of a principal's `Idempotency-Key`. */
  | { readonly kind: "idempotency"; readonly principal: string; readonly key: string }
  /** How many such keys are kept, of all principals. */
  | { readonly kind: "idempotencySum" }
  | { readonly kind: "link"; readonly link: LinkId }
  | { readonly kind: "links" }
  /** Lives of the link's cluster that it does not follow (L3). */
  | { readonly kind: "lives"; readonly link: LinkId }
  /** Up to which revision of each of its epochs, by nonce, a cluster's own were taken, whichever link brought them (L4). */
  | { readonly kind: "marks"; readonly origin: ClusterId }
  /** How many wait for a decision, by link. */
  | { readonly kind: "contended" }
  | { readonly kind: "members" }
  | { readonly kind: "position" }
  | { readonly kind: "comparison" }
  /** Hash over every row of logical state (D6): equal at replicas that applied the same index. */
  | { readonly kind: "stateHash" };

export interface RowsHash {
  readonly hash: Uint8Array;
  readonly rows: number;
}

/** Where the state stands. */
export interface Position {
  readonly cluster: ClusterId;
  readonly epoch: Epoch;
  /** The epochs before it, oldest first (L3). */
  readonly ancestors: readonly Ancestor[];
  readonly revision: Revision;
  /** Ledger hash at `revision`. */
  readonly hash: Uint8Array;
  /** Ms since the cluster was founded, as its leaders counted them (T1): less than passed, by as long as nobody led. */
  readonly logTime: number;
  /** Which meaning the next entry has (R9). */
  readonly applyVersion: number;
  /** Our ledger up to here is on a majority of the parent's disks (S3); 0 without a parent. */
  readonly parentHolds: Revision;
  /** Nonce of the parent's epoch in which that is so; null without a parent. */
  readonly parentEpoch: string | null;
  /** No lease is due before that log time; null when there is none. */
  readonly nextDue: number | null;
  /** The first revision whose state and record are still told; 0: nothing was ever compacted. */
  readonly compacted: Revision;
}

export interface QueryAnswers {
  get: { readonly row: KeyValue | null; readonly revision: Revision };
  /** `more` also where an answer is cut because it is large. */
  range: RangeResponse & { readonly revision: Revision };
  document: {
    readonly changes: readonly DocumentChange[];
    /** Position to pass as `after` for the next page; equals the number of accepted changes at the end. */
    readonly position: number;
    readonly more: boolean;
    readonly heads: readonly ChangeHash[];
    readonly pending: number;
    readonly quarantined: readonly { readonly hash: ChangeHash; readonly actor: ActorId }[];
  };
  documents: { readonly documents: readonly string[] };
  changes: { readonly changes: readonly DocumentChange[] };
  lease: { readonly lease: LeaseState | null; readonly revision: Revision };
  idempotency: { readonly first: FirstRequest | null };
  idempotencySum: IdempotencyRoom;
  link: { readonly link: LinkState | null };
  links: { readonly links: readonly LinkState[] };
  marks: { readonly marks: readonly { readonly epoch: string; readonly revision: Revision }[] };
  contended: { readonly links: ReadonlyMap<LinkId, number> };
  lives: { readonly contenders: readonly Contender[]; readonly left: readonly LeftLife[] };
  /** By name; those who were removed, too. */
  members: { readonly members: readonly Member[] };
  position: Position;
  comparison: Comparison;
  /** `content`: over the rows that the ledger determines, and so equal to what a replay of it gives. */
  stateHash: RowsHash & { readonly content: RowsHash; readonly position: Position };
}

export type Answer<Q extends Query> = QueryAnswers[Q["kind"]];
