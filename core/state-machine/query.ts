/** What can be asked of the state at one applied index. Run by `query(view, question)` in the store's worker. */
import type { ActorId, Ancestor, ChangeHash, ClusterId, Epoch, LeaseId, LinkId, Revision, Seq } from "../ids.ts";
import type { DocumentChange } from "../ledger/record.ts";
import type { StreamState } from "../ledger/snapshot.ts";
import type { Witness } from "../ledger/witness.ts";
import type { Outcome } from "./command.ts";
import type { Comparison } from "./finding.ts";
import type { FormerlyPrivate, HomeRow } from "./home.ts";
import type { Contender, LeftLife } from "./life.ts";
import type { Member } from "./member.ts";
import type { KeyValue, RangeRequest, RangeResponse } from "./operation.ts";
import type { Shed } from "./shed.ts";
import type { Site } from "./site.ts";

/** What is known of a lease (etcd's LeaseTimeToLive). */
export interface LeaseState {
  readonly ttlMs: number;
  /** Ms of log time until it is due, as far as this replica has it. */
  readonly remainingMs: number;
  /** Ascending. */
  readonly keys: readonly Uint8Array[];
}

/** What the uplink used of a day of log time. */
export interface UplinkUse {
  /** Days since the cluster was founded. */
  readonly day: number;
  /** Both ways together. */
  readonly bytes: number;
  /** What an operator allows that day beyond the budget. */
  readonly allowed: number;
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

/** A command whose home is elsewhere (Q2). */
export interface CommandState {
  /** At which it stands in our ledger: its handle. */
  readonly revision: Revision;
  readonly principal: string;
  /** The neighbour that has it, null for the parent; our own name: it is held until its prefix is open here. */
  readonly via: ClusterId | null;
  /** For how long it has waited, ms of log time; null once it is settled. */
  readonly waitsMs: number | null;
  /** What became of it; `revision` is its home's. Null while it waits. */
  readonly outcome: Outcome | null;
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

/** How far one epoch of an origin was taken, whichever link brought it (L4). */
export interface OriginMark {
  /** Its nonce. */
  readonly epoch: string;
  readonly revision: Revision;
  /** The last record of it that is here as the origin wrote it; null: none is known. */
  readonly witness: Witness | null;
}

/**
 * `origin`: the mirror of that cluster. Null: our own keys, or the mirror of the home that all of those asked for have
 * elsewhere (Q3); of a range over several homes, our own.
 */
export type Query =
  | { readonly kind: "get"; readonly origin: ClusterId | null; readonly key: Uint8Array }
  | ({ readonly kind: "range"; readonly origin: ClusterId | null } & RangeRequest)
  /** A range of keys of this cluster and of every mirror: by origin, then by key, after the key that `after` names. */
  | {
      readonly kind: "everywhere";
      readonly from: Uint8Array;
      /** Null: to the end. */
      readonly to: Uint8Array | null;
      readonly after: { readonly origin: ClusterId | null; readonly key: Uint8Array } | null;
      readonly limit: number;
      /** `keys`: without values. */
      readonly view: "rows" | "keys";
      /** Count all of the rest, whatever the limit leaves out. */
      readonly counted: boolean;
    }
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
  | { readonly kind: "homes" }
  | { readonly kind: "command"; readonly revision: Revision }
  /** Those with a later handle than `after`, of everybody. */
  | { readonly kind: "commands"; readonly after: Revision; readonly limit: number }
  | { readonly kind: "link"; readonly link: LinkId }
  | { readonly kind: "links" }
  /** Lives of the link's cluster that it does not follow (L3). */
  | { readonly kind: "lives"; readonly link: LinkId }
  /** Up to which revision of each of its epochs, by nonce, a cluster's own were taken, whichever link brought them (L4). */
  | { readonly kind: "marks"; readonly origin: ClusterId }
  /** How many wait for a decision, by link. */
  | { readonly kind: "contended" }
  /** What the uplink used of its day, as it was replicated last. */
  | { readonly kind: "uplinkUse" }
  /** What a ledger link's stream is of, and how far a snapshot was taken. */
  | { readonly kind: "stream"; readonly link: LinkId }
  /** Whose mirrors are here, and where keys are written, at one position. */
  | { readonly kind: "origins" }
  /** What was shed before a parent had it (S5): of our ledger, and of those of our links. */
  | { readonly kind: "shed" }
  | { readonly kind: "members" }
  | { readonly kind: "sites" }
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
  /** `origin`: whose mirror it was read from; null for our own keys. */
  get: { readonly row: KeyValue | null; readonly revision: Revision; readonly origin: ClusterId | null };
  /** `more` also where an answer is cut because it is large. */
  range: RangeResponse & { readonly revision: Revision; readonly origin: ClusterId | null };
  /** `origin` null: our own; else the revisions are the origin's. `more` also where an answer is cut because it is large. */
  everywhere: {
    readonly rows: readonly (KeyValue & { readonly origin: ClusterId | null })[];
    readonly more: boolean;
    readonly count: number | null;
    readonly revision: Revision;
  };
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
  /**
   * In the order of their prefixes. `formerly`: what was private once, as far as it can still be told. `mirrored`: how far
   * the parent's ledger is here; null without a parent. `addressed`: what our ledger tells "the parent" up to there is for
   * one before. `former`: those.
   */
  homes: {
    readonly homes: readonly HomeRow[];
    readonly formerly: readonly FormerlyPrivate[];
    readonly mirrored: Revision | null;
    readonly addressed: Revision;
    readonly former: readonly ClusterId[];
  };
  /** Null: it was forgotten, or never was. */
  command: { readonly command: CommandState | null };
  /** Oldest first. `more`: some are behind the last of them. */
  commands: { readonly commands: readonly CommandState[]; readonly more: boolean };
  link: { readonly link: LinkState | null };
  links: { readonly links: readonly LinkState[] };
  /** That of the epoch that was followed last comes first. */
  marks: { readonly marks: readonly OriginMark[] };
  contended: { readonly links: ReadonlyMap<LinkId, number> };
  lives: { readonly contenders: readonly Contender[]; readonly left: readonly LeftLife[] };
  /** Null: nothing was told yet. */
  uplinkUse: { readonly use: UplinkUse | null };
  stream: StreamState;
  /** Ascending by cluster; of each its newest mark, the epoch that it is in, and the link that brought it. */
  origins: {
    readonly origins: readonly { readonly cluster: ClusterId; readonly epoch: string; readonly link: LinkId }[];
    readonly homes: readonly HomeRow[];
    readonly position: Position;
  };
  shed: { readonly shed: readonly Shed[] };
  /** By name; those who were removed, too. */
  members: { readonly members: readonly Member[] };
  /** By name; those that were revoked, too. */
  sites: { readonly sites: readonly Site[] };
  position: Position;
  comparison: Comparison;
  /** `content`: over the rows that the ledger determines, and so equal to what a replay of it gives. */
  stateHash: RowsHash & { readonly content: RowsHash; readonly position: Position };
}

export type Answer<Q extends Query> = QueryAnswers[Q["kind"]];
