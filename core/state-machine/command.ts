/** What can be proposed, and what the proposer is told. */
import type { ErrorCode } from "../errors.ts";
import type { ClusterId, Epoch, Index, LeaseId, Lineage, LinkId, NodeId, Revision, Seq, SessionId } from "../ids.ts";
import type { DocumentChange, Home, KeyEvent, LinkItem } from "../ledger/record.ts";
import type { SnapshotStep } from "../ledger/snapshot.ts";
import type { Subscription } from "../ledger/subscription.ts";
import type { Witness } from "../ledger/witness.ts";
import type { Comparison, Finding } from "./finding.ts";
import type { Contender } from "./life.ts";
import type { MemberPlace, Refused } from "./member.ts";
import type { KeySelector, Response, Txn } from "./operation.ts";
import type { SiteDecision, SiteEnrolment } from "./site.ts";

/** Set by the proposing node, from its ports: apply reads no clock and no random source (R9). */
export interface CommandHeader {
  readonly principal: string;
  /** Wall clock at the proposer, ms since 1970; an annotation (T1). */
  readonly time: number;
  /** 16 random bytes. A command of several revisions derives one salt each from it and the revision. */
  readonly salt: Uint8Array;
  /** Finds the waiting caller at the proposing node; 0 when nobody waits. Not interpreted by apply. */
  readonly request: number;
  /** Node that waits, as 16 hex digits of its boot nonce. Not interpreted by apply. */
  readonly proposer: string;
  /** Present when the proposer retries: the command runs at most once (Q1). */
  readonly session: SessionStep | null;
}

export interface SessionStep {
  readonly id: SessionId;
  /** From 1, each used for one command. */
  readonly seq: Seq;
  /** Every result below it has reached the client: forget those. */
  readonly lowWater: Seq;
}

/** On a cluster's keys; atomic, at one revision. */
export type KeyCommand =
  | { readonly kind: "put"; readonly key: Uint8Array; readonly value: Uint8Array }
  /** Where there is nothing to delete it does nothing, and takes no revision. */
  | { readonly kind: "deleteRange"; readonly keys: KeySelector }
  | Txn;

/** What a person or an app may ask for. */
export type UserCommand =
  | KeyCommand
  /** `lease` is drawn by who asks. A lease that is not kept alive for `ttlMs` of log time ends, and its keys with it. */
  | { readonly kind: "leaseGrant"; readonly lease: LeaseId; readonly ttlMs: number }
  /** Begins its time to live again. */
  | { readonly kind: "leaseKeepAlive"; readonly lease: LeaseId }
  /** Ends it now. */
  | { readonly kind: "leaseRevoke"; readonly lease: LeaseId }
  /** An operator's: reads and watches below the revision are COMPACTED from now on. Takes no revision. */
  | { readonly kind: "compact"; readonly revision: Revision }
  /**
   * An operator's: where the keys of a prefix are written (Q3). `hub`: here, for all children, which release it first,
   * but for those `without` which it is done.
   */
  | {
      readonly kind: "setHome";
      readonly prefix: Uint8Array;
      readonly home: Home;
      readonly without: readonly ClusterId[];
    }
  /** A write to the keys of a cluster below this one: it is queued, and runs there (Q2). */
  | { readonly kind: "addressed"; readonly to: ClusterId; readonly command: KeyCommand }
  /** All changes of one push to one document, in causal order. */
  | {
      readonly kind: "change";
      readonly collection: string;
      readonly document: string;
      readonly changes: readonly DocumentChange[];
    };

/** What a request says that wants to run once, whoever repeats it, and at whatever node (Q1). */
export interface IdempotencyKey {
  /** Of the principal's own: 1 to 255 characters. */
  readonly key: string;
  /** 32 bytes, a hash: another request under the key is not the same one. */
  readonly request: Uint8Array;
  /** What its proposer has to be told again with the outcome, as a repeat would have drawn it anew: at most 64 characters. */
  readonly note: string;
}

/** A user command under an `Idempotency-Key`. */
export interface IdempotentCommand {
  readonly kind: "idempotent";
  readonly idempotency: IdempotencyKey;
  readonly command: UserCommand;
}

/**
 * A command of a client's stream. The gateway may not drop one that it refuses (the token does not cover the key, the
 * bytes are no change): the next ones follow its number. So the refusal takes its place, and is its outcome.
 */
export type ImportedCommand =
  | UserCommand
  | { readonly kind: "refused"; readonly code: ErrorCode; readonly details: string };

/** What the cluster's own machinery proposes. */
export type SystemCommand =
  | { readonly kind: "openSession"; readonly session: SessionId }
  /**
   * Items of a ledger that a link brings: from a child site, or from the parent (`link` is that cluster's id). `from` is
   * the first revision of the run, `hash` the sender's ledger hash at its last.
   */
  | {
      readonly kind: "importLedger";
      /** Which side of us the sender is on: what it may ask of us hangs on that. */
      readonly side: "child" | "parent";
      readonly link: LinkId;
      readonly cluster: ClusterId;
      readonly epoch: Epoch;
      readonly items: readonly LinkItem[];
      readonly hash: Uint8Array;
      /** The sender's ledger hash before the first item; null where it is not known, or is known to be ours. */
      readonly after: Uint8Array | null;
    }
  /** A step of a snapshot that a link brings in the place of its ledger's records (S4). */
  | {
      readonly kind: "importSnapshot";
      /** As of `importLedger`. */
      readonly side: "child" | "parent";
      readonly link: LinkId;
      readonly cluster: ClusterId;
      readonly epoch: Epoch;
      readonly step: SnapshotStep;
    }
  /** What the parent's stream is wanted of from now on: what is not wanted any more is deleted here (S4). */
  | {
      readonly kind: "subscribe";
      readonly link: LinkId;
      readonly cluster: ClusterId;
      readonly subscription: Subscription;
    }
  /** S5, last of all: compacts, also what the parent does not hold yet. What is shed thereby is itemised. */
  | { readonly kind: "shed"; readonly revision: Revision }
  /** Queued commands of a client, in the client's order, from `from` without a gap (Q2). */
  | {
      readonly kind: "importCommands";
      readonly link: LinkId;
      readonly from: Seq;
      /** Every result below it has reached the client. */
      readonly lowWater: Seq;
      readonly commands: readonly ImportedCommand[];
    }
  /** S3: our parent holds our ledger up to here, on a majority of its disks, by its word in the epoch with that nonce. Replicated at most ten times a second. */
  | { readonly kind: "parentHolds"; readonly parent: ClusterId; readonly epoch: string; readonly revision: Revision }
  /** L3: the link follows its cluster into an epoch that has all that was taken. `holds`: of our ledger, where it is our parent; else null. */
  | {
      readonly kind: "succeedEpoch";
      readonly link: LinkId;
      readonly cluster: ClusterId;
      readonly lineage: Lineage;
      readonly holds: Revision | null;
    }
  /**
   * L3: the link follows another life of its cluster from where both part; what was taken above is put aside. `from`: the
   * nonce of the one followed so far; null where no link tells, as after a restore. `cursor`: what was taken of that one when
   * the differences were read; it may be shipping still. `parting`: where they part. `kept`: the last record at or below it
   * that is here, where no link compared it. `changes`: what makes of its mirror what it was at the parting; null: that cannot
   * be told, and a snapshot of the life that comes does it.
   */
  | {
      readonly kind: "settleEpoch";
      readonly link: LinkId;
      readonly cluster: ClusterId;
      readonly from: string | null;
      readonly cursor: Revision;
      readonly parting: Revision;
      readonly kept: Witness | null;
      readonly lineage: Lineage;
      readonly holds: Revision | null;
      readonly changes: readonly KeyEvent[] | null;
    }
  /** L3: a life of the cluster was refused at the link. */
  | { readonly kind: "noteContender"; readonly link: LinkId; readonly contender: Contender }
  /** What the uplink used of a day of log time, as its leader counted; told now and then. */
  | { readonly kind: "uplinkUsed"; readonly day: number; readonly bytes: number }
  /** An operator's: what it may use that day beyond the budget. */
  | { readonly kind: "allowUplink"; readonly day: number; readonly bytes: number }
  /** Where a node is, and the newest apply version that it supports (R9); binds its name to its peer id for good. */
  | { readonly kind: "noteMember"; readonly node: NodeId; readonly place: MemberPlace; readonly supports: number }
  /**
   * S5: that is all that the parent holds, by its own word, and no record behind it is on its way: a snapshot goes in the
   * place of those that were shed.
   */
  | { readonly kind: "parentLacks"; readonly parent: ClusterId; readonly epoch: string; readonly revision: Revision }
  /** R9: from the next entry on commands have the meaning `to`, if `members` and all others support it. */
  | { readonly kind: "raiseVersion"; readonly to: number; readonly members: readonly NodeId[] }
  /** A site has shown its token, which was checked: it is one of ours, or waits for an operator. */
  | { readonly kind: "enrolSite"; readonly site: SiteEnrolment }
  /** An operator lets a site in, or shuts it out. */
  | { readonly kind: "decideSite"; readonly cluster: ClusterId; readonly decision: SiteDecision }
  /** Every replica hashes its rows as they are after this entry, and reports what it found. */
  | { readonly kind: "compareStates"; readonly voters: readonly NodeId[] }
  | { readonly kind: "reportState"; readonly round: Index; readonly node: NodeId; readonly finding: Finding }
  /** Nothing but its entry's stamp: an idle cluster learns what log time it is, for something may be due (T1, L1). */
  | { readonly kind: "stamp" };

export type Command = { readonly header: CommandHeader } & (UserCommand | IdempotentCommand | SystemCommand);

/** `queued`: its home is elsewhere; it waits there under the handle that its revision is, and has an outcome of its own (Q2). */
export type CommandResponse = Response | { readonly kind: "queued" };

/** The outcome of one user command. A refusal is a value: it is replicated like any other outcome. */
export type Outcome =
  /**
   * `revision`: the one it took; where it changed nothing, the one that it found. `response`: of a deleteRange or a txn;
   * null for a put and a change, which have nothing else to tell.
   */
  | { readonly ok: true; readonly revision: Revision; readonly response: CommandResponse | null }
  | { readonly ok: false; readonly code: ErrorCode; readonly details: string };

export type CommandResult =
  | { readonly kind: "outcome"; readonly outcome: Outcome }
  /**
   * `until`: log time that the outcome is remembered to; null when it is not. `note`: that of the first request.
   * `repeated`: it did not run now, because it had run.
   */
  | {
      readonly kind: "idempotent";
      readonly outcome: Outcome;
      readonly until: number | null;
      readonly note: string;
      readonly repeated: boolean;
    }
  | { readonly kind: "sessionOpened" }
  /** `cursor`: the last item the link is past, whether or not this import moved it. `outcomes`: one a command, of a client's link; an entry is null where it was trimmed as already done and no longer remembered. */
  | { readonly kind: "imported"; readonly cursor: number; readonly outcomes: readonly (Outcome | null)[] }
  /** A ledger brought more than one command does (Q3): a part of it was done. Proposed again, it goes on. */
  | { readonly kind: "unfinished"; readonly cursor: number }
  /** `GAP`, `FORK`, `WRONG_EPOCH`, …; `cursor` is what to rewind to. */
  | { readonly kind: "importRefused"; readonly code: ErrorCode; readonly cursor: number; readonly details: string }
  /** Of a snapshot's step, or a subscription. `more`: it was too much for one command; proposed again, it goes on. */
  | { readonly kind: "snapshotTaken"; readonly cursor: Revision; readonly more: boolean }
  | { readonly kind: "noted" }
  /** `refused`: `TOKEN_USED`, `REMOVED`, `NODE_TOO_OLD`; null when it was taken. */
  | { readonly kind: "memberNoted"; readonly refused: Refused | null }
  /** `refused`: `UNKNOWN_CHILD`, `TOKEN_USED`, `NOT_ADMITTED`, `WRONG_CLUSTER`, `OVERLOADED`; null when it was taken. */
  | { readonly kind: "siteNoted"; readonly refused: Refused | null }
  | { readonly kind: "stamped"; readonly logTime: number }
  /** `begun`: by this command, as of its entry. */
  | { readonly kind: "compared"; readonly comparison: Comparison; readonly begun: boolean };
