/**
 * What a client keeps on its device. One contract (test/contracts/client-store.ts), three stores: memory, IndexedDB,
 * and whatever an app brings.
 */
import type { ErrorCode } from "../errors.ts";
import type { ChangeHash, LinkId, Revision, Seq } from "../ids.ts";
import type { DocumentChange } from "../ledger/record.ts";
import type { SnapshotProgress } from "../ledger/snapshot.ts";
import type { Subscription } from "../ledger/subscription.ts";
import type { UserCommand } from "../state-machine/command.ts";

/** How far an edit is safe (DESIGN §1). A row leaves the outbox at `site`; what is known of it stays until `hub`. */
export type Rung = "device" | "site" | "hub";

/** One life of a site, as this device met it. */
export interface SiteLife {
  readonly cluster: string;
  /** Nonce of its epoch. */
  readonly epoch: string;
}

export interface OutboxRow {
  readonly link: LinkId;
  readonly seq: Seq;
  readonly command: UserCommand;
  /** The site that it was written for. Without it, the one that this device's `down` is of: the first that was met. */
  readonly site?: SiteLife;
}

/** A row that the parent refused for good. Kept, and shown, until the app forgets it: nothing is dropped in silence. */
export interface FailedRow extends OutboxRow {
  readonly code: ErrorCode;
  readonly details: string;
}

/** A committed edit that is not yet at the hub. */
export interface Awaiting {
  readonly link: LinkId;
  readonly seq: Seq;
  /** The site's revision that holds it. */
  readonly revision: Revision;
  /** What it was, so that a rung can be shown per edit: the hashes of a document's changes, or null for a key. */
  readonly document: {
    readonly collection: string;
    readonly document: string;
    readonly hashes: readonly ChangeHash[];
  } | null;
}

/** A received change that is kept out of its document. */
export interface QuarantinedRow {
  readonly collection: string;
  readonly document: string;
  readonly hash: ChangeHash;
  /**
   * CHANGE_INVALID, CHANGE_TOO_LARGE: what came under that hash is not that change, and is not stored. QUARANTINED: it is,
   * and Automerge will not take it.
   */
  readonly code: Extract<ErrorCode, "CHANGE_INVALID" | "CHANGE_TOO_LARGE" | "QUARANTINED">;
  readonly details: string;
}

export interface MirrorRow {
  readonly key: Uint8Array;
  /** Null for the parent's own key; else the origin cluster. */
  readonly origin: string | null;
  readonly value: Uint8Array;
  readonly modRevision: Revision;
}

/** A snapshot that is being taken (S4), and how much of it was. */
export interface TakenSnapshot extends SnapshotProgress {
  /** Keys, and changes of documents. */
  readonly received: number;
  /** About how many there are in all; null where the parent did not say. */
  readonly expected: number | null;
}

/** How far the down-stream of one parent was taken. */
export interface DownCursor extends SiteLife {
  readonly cursor: Revision;
  /** What it was taken with: all of that is here as of the cursor. */
  readonly subscription: Subscription;
  readonly snapshot: TakenSnapshot | null;
  /** The parent's own parent was known to hold the parent's ledger up to here. */
  readonly upstream: Revision;
  /** Nonce of the epoch in which that parent said so; null while none did. */
  readonly upstreamEpoch: string | null;
  /** This device came from another site, and has not offered it every document that it holds. */
  readonly unmatched?: true;
}

/** One atomic step; every field may be empty. Applied wholly or not at all. */
export interface ClientWrite {
  /** New outbox rows, with the changes they carry added to `changes` by the caller. */
  readonly enqueue?: readonly OutboxRow[];
  /** Local or received changes of documents; a known hash is ignored. */
  readonly changes?: readonly {
    readonly collection: string;
    readonly document: string;
    readonly changes: readonly DocumentChange[];
  }[];
  /** In the place of rows with the same link and number, as far as those are there. */
  readonly replaced?: readonly OutboxRow[];
  /** Changes that go, after those of this write have come. */
  readonly dropped?: readonly {
    readonly collection: string;
    readonly document: string;
    readonly changes: readonly Pick<DocumentChange, "hash">[];
  }[];
  /** Rows answered: out of the outbox; those that succeeded go to `awaiting`. */
  readonly answered?: readonly {
    readonly link: LinkId;
    readonly seq: Seq;
    /** The parent's revision that holds it, for other sessions of this device; none where it was refused. */
    readonly at?: Revision;
  }[];
  readonly awaiting?: readonly Awaiting[];
  /** Refused for good; the caller names them in `answered`, too. */
  readonly failed?: readonly FailedRow[];
  readonly forgetFailed?: readonly { readonly link: LinkId; readonly seq: Seq }[];
  /** In the place of a row of the same change. */
  readonly quarantined?: readonly QuarantinedRow[];
  /** No longer kept out. */
  readonly released?: readonly Pick<QuarantinedRow, "collection" | "document" | "hash">[];
  /** Awaiting edits of revision at most this are at the hub: forgotten here. */
  readonly hubHolds?: Revision;
  /** Present when the parent is in another epoch (L3), or another site: every mirror row goes before `mirrorPuts` come. */
  readonly mirrorReset?: true;
  readonly mirrorPuts?: readonly MirrorRow[];
  readonly mirrorDeletes?: readonly { readonly key: Uint8Array; readonly origin: string | null }[];
  readonly down?: DownCursor;
}

/**
 * Sessions of one device share it but for the mirror and `down`, which are one session's: of two that follow the site by
 * themselves, the one behind would put back what the other had. Who lets several have one store keeps those apart.
 */
export interface ClientStore {
  /** Resolves when the write can no longer be lost: in a browser, at the `complete` of a strict transaction (S1). @throws OpenClawError CLIENT_STORAGE_FAILED, CLIENT_STORAGE_LOST */
  write(write: ClientWrite): Promise<void>;
  /** Links that have outbox rows, this page's or a dead one's (D4). */
  outboxLinks(): Promise<readonly LinkId[]>;
  /** Ascending, from `from`, at most `limit`. */
  outbox(link: LinkId, from: Seq, limit: number): Promise<readonly OutboxRow[]>;
  /** The next sequence number never used by this link. Survives restarts: a number is not reused when its row is gone. */
  nextSeq(link: LinkId): Promise<Seq>;
  awaiting(): Promise<readonly Awaiting[]>;
  /** In the order in which they failed. */
  failed(): Promise<readonly FailedRow[]>;
  quarantined(): Promise<readonly QuarantinedRow[]>;
  /** Every stored change of a document, in an order in which each follows what it depends on if that is stored. */
  document(collection: string, document: string): Promise<readonly DocumentChange[]>;
  documents(collection: string): Promise<readonly string[]>;
  /** Those of which a document is here. */
  collections(): Promise<readonly string[]>;
  /** Rows with from ≤ key < to (`to` null: to the end), in the order of their keys. */
  mirror(origin: string | null, from: Uint8Array, to: Uint8Array | null): Promise<readonly MirrorRow[]>;
  /** All of it, of every origin, in no order. */
  mirrored(): Promise<readonly MirrorRow[]>;
  down(): Promise<DownCursor | null>;
  close(): Promise<void>;
}
