/**
 * What the ledger holds: one record a revision. A record is what travels, what watchers see and what is hashed.
 *
 * leaf(r) = H(record bytes), which begin with the salt; hash(r) = H(hash(r−1), partition, r, leaf(r))   (rule L2)
 */
import type { ActorId, ChangeHash, ClusterId, LeaseId, LinkId, Origin, Partition, Revision } from "../ids.ts";

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

/** How far another cluster's ledger is known. */
export type Seen = Pick<Origin, "epoch" | "revision">;

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
    }
  | HomeEvent
  /**
   * A command whose home is not here (Q2): its revision is its handle. `via`: the neighbour that it is handed to, null for
   * the parent; `to`: whose keys it means, null for those whose home is upwards; `seen`: what was known of the parent's
   * ledger then, null where it goes elsewhere. Opaque here: an encoded user command.
   */
  | {
      readonly kind: "command";
      readonly via: ClusterId | null;
      readonly to: ClusterId | null;
      readonly seen: Seen | null;
      readonly command: Uint8Array;
    }
  /** What became of the command that `to` (null: the parent) wrote at `revision` of its epoch; an encoded outcome. */
  | {
      readonly kind: "result";
      readonly to: ClusterId | null;
      readonly epoch: string;
      readonly revision: Revision;
      readonly outcome: Uint8Array;
    };

export type KeyEvent = Extract<LedgerEvent, { kind: "put" | "delete" }>;

export const isKeyEvent = (event: LedgerEvent): event is KeyEvent => event.kind === "put" || event.kind === "delete";

export const HOMES = ["site", "hub", "private"] as const;
/**
 * Where the keys of a prefix are written (Q3). `site`: each cluster has its own. `hub`: the parent's are everybody's.
 * `private`: a cluster's own, which never leave it.
 */
export type Home = (typeof HOMES)[number];

/** A step in the life of a prefix's home. */
export interface HomeEvent {
  readonly kind: "home";
  readonly prefix: Uint8Array;
  readonly step: /**
   * From here on. `owner`: whose keys the children are to read, null for the writer's. `waiting`: the children that
   * have to release the prefix before it is written here.
   */
    | {
        readonly kind: "declare";
        readonly home: Home;
        readonly owner: ClusterId | null;
        readonly waiting: readonly ClusterId[];
      }
    /** Told to the parent: nothing of this cluster is written under the prefix after this. `of`: its revision that declared it. */
    | { readonly kind: "release"; readonly of: Revision }
    /** Every old home has released it: what the owner has is what holds. */
    | { readonly kind: "open" };
}

interface RecordHead {
  readonly partition: Partition;
  readonly revision: Revision;
  /** 16 random bytes that travelled in the command (L2). Of an imported record it is our own; the body has its origin's. */
  readonly salt: Uint8Array;
  /** Of its keys (Q3): a record is of one home, and that decides how it travels. Of one that a child brought it is `site`. */
  readonly home: Home;
}

/** What a revision did. */
interface Deed {
  /** Wall clock of the node that proposed it, ms since 1970. An annotation only (T1). */
  readonly time: number;
  /** Who: a token's subject, `anonymous`, or `node:<id>`. */
  readonly principal: string;
  /** At least one; all took effect at once. */
  readonly events: readonly LedgerEvent[];
}

interface Written {
  readonly origin: null;
  readonly link: null;
}

/** L4: what a link brought stands here as it came, so that its sender's leaf can be made of it again at any time. */
export interface Imported {
  /** Where it was first written. */
  readonly origin: Origin;
  /**
   * The link that brought it. What the parent's link brought is never shipped to the parent, and what a child's link brought
   * never to that child (L5), however many tiers the origin is away.
   */
  readonly link: LinkId;
  /** The sender's record, byte for byte; an imported one, where it came over more links than one. */
  readonly body: Uint8Array;
  /** Which of the body's events took effect here: their places, ascending, from 0. Null: all. */
  readonly took: readonly number[] | null;
}

/**
 * What a link brought about, and no record of its sender: how a snapshot differed from what was here (S4), or what its
 * mirror was where another life of it parts (L3).
 */
export interface Replaced {
  /** The revision that it was of. */
  readonly origin: Origin;
  readonly link: LinkId;
  readonly body: null;
}

/** What is encoded. */
export type RecordForm = RecordHead & (((Written | Replaced) & Deed) | Imported);

/** What is read: of an imported record, its deed is the body's, with those of its events that took effect here. */
export type LedgerRecord = RecordHead &
  Deed &
  (Written | Imported | Replaced) & {
    /** S4: the events tell how a snapshot differed from what was here, or where the body was written; no one did them. */
    readonly snapshot: boolean;
  };

/** A lease is its own cluster's: nobody else can tell when it ends, and its end comes as deletes (K6). */
export const mirrored = (event: LedgerEvent): LedgerEvent =>
  event.kind === "put" && event.lease !== null ? { ...event, lease: null } : event;

/** Why a stub stands where a body would. */
export type StubReason = "private" | "echo" | "shed" | "filtered";

/** What one revision looks like on a link, or a run of them (L2). `record` is the encoded LedgerRecord. */
export type LinkItem =
  | { readonly kind: "body"; readonly revision: Revision; readonly record: Uint8Array }
  | { readonly kind: "stub"; readonly revision: Revision; readonly leaf: Uint8Array; readonly reason: StubReason }
  /** Revisions `from`…`to` hold nothing for this link; `hash` is the ledger's hash at `to`. */
  | { readonly kind: "skip"; readonly from: Revision; readonly to: Revision; readonly hash: Uint8Array };
