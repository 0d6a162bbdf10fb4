/**
 * The protocol between a child and its parent: client → site and site → hub are the same conversation. One stream a
 * child; frames in order. The version is `SYNC_VERSION`.
 *
 *   child                                     parent
 *   hello ──────────────────────────────────►  admits, opens the link
 *         ◄────────────────────────────────── welcome {cursor, outcomes, upstream}
 *   push(from cursor + 1 …) ────────────────►  proposes an import
 *         ◄────────────────────────────────── pushed {cursor, outcomes} | refused {code, cursor}: rewind
 *   pushSnapshot {step} ────────────────────►  what the child's ledger no longer tells (S4)
 *         ◄────────────────────────────────── events (from the child's down-cursor + 1 …)
 *   taken {cursor} ─────────────────────────►  credit for more events
 *         ◄────────────────────────────────── snapshot {step}: what the parent's ledger no longer tells
 *   snapshotTaken ──────────────────────────►  credit for more steps
 *   subscribe {subscription} ───────────────►  a client's, while the stream goes on: a snapshot of what is new, and on
 *         ◄────────────────────────────────── holds {upstream}: how far the parent's own parent has it
 *   ask {question} ─────────────────────────►
 *         ◄────────────────────────────────── answer | askFailed
 *   keepAlive {lease} ──────────────────────►
 *         ◄────────────────────────────────── kept | askFailed
 *   presence {entries} ─────────────────────►  a client's, and of no other place in the stream (R11)
 *   hear {topics} ──────────────────────────►
 *         ◄────────────────────────────────── present {entries} | presenceRefused
 *         ◄────────────────────────────────── provisional {changes}: others', not committed, to who asked for them (D5)
 *   goodbye {code} ─────────────────────────►
 */
import type { ErrorCode } from "../errors.ts";
import type { ChangeHash, ClusterId, LeaseId, Lineage, LinkId, Revision, Seq } from "../ids.ts";
import type { PositionToken } from "../ledger/position-token.ts";
import type { DocumentChange, LinkItem } from "../ledger/record.ts";
import type { SnapshotProgress, SnapshotStep } from "../ledger/snapshot.ts";
import type { Subscription } from "../ledger/subscription.ts";
import type { Witness } from "../ledger/witness.ts";
import type { OwnPresence, Present } from "../presence/presence.ts";
import type { Topic } from "../presence/topic.ts";
import type { ProvisionalChanges } from "../provisional/message.ts";
import type { ReadMode } from "../replica/read-mode.ts";
import type { Outcome, UserCommand } from "../state-machine/command.ts";
import type { Query, QueryAnswers } from "../state-machine/query.ts";

export const SYNC_VERSION = 7;

/** Reads a child may ask for; everything but the parent's own upkeep. */
export type ChildQuery = Extract<
  Query,
  { kind: "get" | "range" | "document" | "documents" | "changes" | "lease" | "command" | "position" }
>;

/** The state that an answer was read from. */
export interface Seen {
  /** It held everything up to here. */
  readonly position: PositionToken;
  /** How stale it may have been, ms; null when the node was never known to be up to date. */
  readonly staleMs: number | null;
}

/** An answer names the kind of question it answers, so that it can be read without knowing the question. */
export type ChildAnswer = {
  [K in ChildQuery["kind"]]: { readonly kind: K; readonly answer: QueryAnswers[K] };
}[ChildQuery["kind"]];

export type ChildMessage =
  | {
      readonly kind: "hello";
      readonly version: number;
      readonly link: LinkId;
      readonly child: ChildIdentity;
      /**
       * Null: no events wanted. `cursor`: the last parent's revision taken; `epoch`: the parent's epoch it belongs to, null at
       * first; `hash`: the parent's ledger hash there, which a site keeps; `held`: what it was taken with, nothing of which is
       * not wanted any more; `snapshot`: the one under way; `record`: the last one of the parent that is here and above the
       * cursor, as after a restore without links; `provisional`: also what is not committed yet (D5), which a site never
       * takes. It is left out where it is not wanted, so that a parent that does not know of it reads the same.
       */
      readonly down: {
        readonly subscription: Subscription;
        readonly cursor: Revision;
        readonly epoch: string | null;
        readonly hash: Uint8Array | null;
        readonly held: Subscription;
        readonly snapshot: SnapshotProgress | null;
        readonly record: Witness | null;
        readonly provisional?: true;
      } | null;
    }
  /** A site's ledger. `hash`: its ledger hash at the last item's revision. */
  | {
      readonly kind: "pushLedger";
      readonly items: readonly LinkItem[];
      readonly hash: Uint8Array;
      /** Its ledger hash before the first item, which the parent must have there (L3): a skip alone tells nothing of it. Null where it is no longer kept. */
      readonly after: Uint8Array | null;
    }
  /** S4: what a site's ledger no longer tells. The step is answered as a push is: a snapshot moves the cursor at its end. */
  | { readonly kind: "pushSnapshot"; readonly step: SnapshotStep }
  /** A client's queued commands. `lowWater`: every outcome below it has been stored at the client. */
  | {
      readonly kind: "pushCommands";
      readonly from: Seq;
      readonly lowWater: Seq;
      readonly commands: readonly UserCommand[];
    }
  /** The child has stored what it was sent up to here; a run without a body is taken as it comes, and asked for again after a crash. */
  | { readonly kind: "taken"; readonly cursor: Revision }
  /** The next step of the parent's snapshot is stored. */
  | { readonly kind: "snapshotTaken" }
  /**
   * A client wants that from now on. It is answered by a snapshot of what is added, as of where the stream is by then (S4),
   * which may be empty: its head says from where on the stream is of it. Of two that wait the later one counts.
   */
  | { readonly kind: "subscribe"; readonly subscription: Subscription }
  /**
   * Past everything that waits to be pushed: a backlog must not let a lease end. It has no place in the stream, as twice is
   * as good as once.
   */
  | { readonly kind: "keepAlive"; readonly id: number; readonly lease: LeaseId }
  | {
      readonly kind: "ask";
      readonly id: number;
      readonly mode: ReadMode;
      readonly query: ChildQuery;
    }
  /** What a client shows of itself where it is (R11). Newer than what it said before; what it does not say again in time ends. */
  | { readonly kind: "presence"; readonly entries: readonly OwnPresence[] }
  /** The topics in which a client wants to hear of others, from now on: all of them, and no other. */
  | { readonly kind: "hear"; readonly topics: readonly Topic[] }
  /** The last frame before the child closes the stream for a reason that the parent should know of. */
  | { readonly kind: "goodbye"; readonly code: ErrorCode; readonly details: string };

export type ChildIdentity =
  /** Admitted by the child cluster's credential, which the parent pinned (R10). `revision`: its ledger ends there, by a ReadIndex. */
  | ({
      readonly kind: "site";
      readonly cluster: ClusterId;
      readonly revision: Revision;
      readonly credential: Uint8Array;
    } & Lineage)
  /** Admitted by a token; null where the parent asks for none. */
  | { readonly kind: "client"; readonly token: string | null };

export type ParentMessage =
  | ({
      readonly kind: "welcome";
      readonly version: number;
      readonly cluster: ClusterId;
      /** Last item of the child's stream that the parent holds on a majority of its disks. */
      readonly cursor: number;
      /** The ledger hash of a child site there, as the parent has it: another one at the child is a fork (L3). Null at 0, and for a client. */
      readonly hash: Uint8Array | null;
      /** The child's last record that is here and above the cursor, as after a restore without links (L3); null where none is. */
      readonly record: Witness | null;
      /** A client's outcomes that the parent still remembers, ascending. */
      readonly outcomes: readonly { readonly seq: Seq; readonly outcome: Outcome }[];
      readonly upstream: Revision;
      /** Nonce of the epoch in which the parent's parent said so; null without one. */
      readonly upstreamEpoch: string | null;
      /** A site's snapshot that is under way: it is gone on with, or another one begins. */
      readonly snapshot: SnapshotProgress | null;
    } & Lineage)
  /** The cursor moved: everything up to it is on a majority of the parent's disks. */
  | {
      readonly kind: "pushed";
      readonly cursor: number;
      readonly outcomes: readonly { readonly seq: Seq; readonly outcome: Outcome }[];
    }
  /** Nothing of that push was taken; go on at `cursor + 1`. */
  | { readonly kind: "refused"; readonly code: ErrorCode; readonly details: string; readonly cursor: number }
  /** Contiguous after the last one sent. `hash`: the parent's ledger hash at the last item. */
  | { readonly kind: "events"; readonly items: readonly LinkItem[]; readonly hash: Uint8Array }
  /** S4: in the place of events that are not kept, or were not subscribed to. At its end the cursor is its revision. */
  | { readonly kind: "snapshot"; readonly step: SnapshotStep }
  /** The parent's own parent holds the parent's ledger up to `upstream`; in another epoch than before, that may be less. */
  | { readonly kind: "holds"; readonly upstream: Revision; readonly upstreamEpoch: string | null }
  | { readonly kind: "answer"; readonly id: number; readonly answer: ChildAnswer; readonly seen: Seen }
  /** That lease lives. */
  | { readonly kind: "kept"; readonly id: number }
  /** Of a question, or a keep-alive. */
  | { readonly kind: "askFailed"; readonly id: number; readonly code: ErrorCode; readonly details: string }
  /** Somebody needs the bytes of these changes and this child may have them (D3). */
  | {
      readonly kind: "missing";
      readonly collection: string;
      readonly document: string;
      readonly hashes: readonly ChangeHash[];
    }
  /** Others in the topics that the client hears: at first all who are there, then whoever changed, with null for one who left. */
  | { readonly kind: "present"; readonly entries: readonly Present[] }
  /** It may not be present there, or not hear of others. */
  | { readonly kind: "presenceRefused"; readonly topic: Topic; readonly code: ErrorCode; readonly details: string }
  /** Another client's changes, which the parent has checked and is about to propose (D5): in no place of the stream. */
  | ({ readonly kind: "provisional" } & ProvisionalChanges)
  /** The last frame before the parent closes the stream. */
  | { readonly kind: "goodbye"; readonly code: ErrorCode; readonly details: string };

/** Pushes in flight that the parent has not answered; a child waits beyond that. */
export const PUSHES_IN_FLIGHT_MAX = 8;
/** Frames of events and of a snapshot sent that the child has not taken; a parent waits beyond that. */
export const EVENTS_IN_FLIGHT_MAX = 8;

/** One frame connection, whatever carries it. Both sides of sync are written against it. */
export interface FrameConnection<Out, In> {
  /** False when the other side does not read: wait for `drained`. */
  send(message: Out): boolean;
  receive(handlers: { message(message: In): void; drained(): void; closed(reason: Error | null): void }): void;
  close(): void;
}

export type ChildConnection = FrameConnection<ChildMessage, ParentMessage>;
export type ParentConnection = FrameConnection<ParentMessage, ChildMessage>;
export type { DocumentChange };
