/**
 * What the parent's side of sync stands on. No Raft in it: a site's replica is one, and a hub may later keep its state in
 * an SQL engine instead.
 */
import type { ErrorCode } from "../errors.ts";
import type { HistoryAnswer, HistoryQuery } from "../history/history-query.ts";
import type { ClusterId, Epoch, LeaseId, LinkId, Revision } from "../ids.ts";
import type { DocumentChange } from "../ledger/record.ts";
import type { LedgerSlice, Sha256, StoredRecord } from "../ports.ts";
import type { CommandResult, Outcome, SystemCommand } from "../state-machine/command.ts";
import type { Answer, Position, Query } from "../state-machine/query.ts";
import type { Authority, Principal } from "./authority.ts";

export type Import = Extract<SystemCommand, { kind: "importLedger" | "importSnapshot" | "importCommands" }>;
/** What becomes of a child site's link when it comes in another epoch (L3). */
export type EpochCommand = Extract<SystemCommand, { kind: "succeedEpoch" | "noteContender" }>;

/** A site that wants in, and the peer that speaks for it. */
export interface SiteClaim {
  readonly cluster: ClusterId;
  readonly epoch: Epoch;
  readonly credential: Uint8Array;
  readonly remotePeer: string;
}

export interface ParentBackend {
  /** Who clients are. */
  readonly authority: Authority;
  readonly sha256: Sha256;
  /** @throws OpenClawError UNKNOWN_CHILD, NOT_ADMITTED */
  verifySite(claim: SiteClaim): Promise<Principal>;
  /**
   * Null when every change is what it claims to be (D1), else why the first bad one is not.
   * @throws OpenClawError OVERLOADED, STOPPED
   */
  checkChanges(
    changes: readonly DocumentChange[],
  ): Promise<{ readonly code: ErrorCode; readonly details: string } | null>;
  /**
   * Takes an import; resolves when it is on a majority of disks and applied here, or refused. Imports of one link that are
   * given in order are taken in order, or refused `GAP`. @throws OpenClawError OVERLOADED, UNAVAILABLE, STOPPED
   */
  propose(command: Import | EpochCommand, principal: string): Promise<CommandResult>;
  /** Resolves with what became of it, on a majority of disks. @throws OpenClawError OVERLOADED, UNAVAILABLE, STOPPED */
  keepAlive(lease: LeaseId, principal: string): Promise<Outcome>;
  /** Resolves when `read` is linearizable. @throws OpenClawError OVERLOADED, UNAVAILABLE, STOPPED */
  barrier(): Promise<void>;
  read<Q extends Query>(query: Q): Promise<Answer<Q>>;
  /** The ledger hash that a link's sender had at a revision at or below its cursor; null where that is not kept. */
  senderHash(link: LinkId, at: Revision): Promise<Uint8Array | null>;
  /** Encoded records from `from` on, at most `maxBytes`, at least one if there is one. @throws OpenClawError COMPACTED */
  ledger(from: Revision, maxBytes: number): Promise<LedgerSlice>;
  /** What stood at a revision. @throws OpenClawError COMPACTED, REVISION_AHEAD, OVERLOADED, UNAVAILABLE */
  history<Q extends HistoryQuery>(query: Q): Promise<HistoryAnswer<Q>>;
  position(): Position;
  /** How stale a local read may be, ms; null when this was never known to be up to date. */
  staleMs(): number | null;
  /** Calls back after `position` moved, with the new records if they are at hand; the returned function ends it. */
  follow(listener: (advance: { readonly records: readonly StoredRecord[] }) => void): () => void;
}
