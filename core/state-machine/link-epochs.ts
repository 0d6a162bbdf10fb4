/**
 * Which life of another cluster a link follows (L3). Its epoch moves by command alone: by itself where nothing that was
 * taken is lost, else by an operator's decision, which puts what was taken above the parting aside.
 */
import { equalBytes } from "../bytes.ts";
import type { ErrorCode } from "../errors.ts";
import type { ClusterId, Lineage, LinkId, Revision } from "../ids.ts";
import { PARTITION, revision } from "../ids.ts";
import { beginningOf, type Parting, partingOf } from "../ledger/lineage.ts";
import { judge } from "../ledger/lives.ts";
import type { Sha256 } from "../ports.ts";
import type { CommandResult, SystemCommand } from "./command.ts";
import { haveLeftHomes, homesOf } from "./homes.ts";
import { mirrorKey } from "./key-rows.ts";
import { contenderKey, contendersRange, ledgerLinkKey, leftLifeKey, streamKey } from "./keyspace.ts";
import type { Author, LedgerWriter } from "./ledger-writer.ts";
import { contenderRow, leftLifeRow } from "./life-rows.ts";
import { rewindLink } from "./link-gaps.ts";
import {
  type LedgerLinkRow,
  ledgerLinkRow,
  linkTowards,
  lowerAllMarks,
  lowerMarks,
  noteParent,
  noteWitness,
  parentOf,
  raiseMark,
} from "./link-rows.ts";
import { forgetTaking } from "./moving.ts";
import { moveParentHolds } from "./position.ts";
import { awaitSnapshot, streamOf } from "./stream-rows.ts";
import type { Transaction } from "./transaction.ts";

export type SucceedEpoch = Extract<SystemCommand, { kind: "succeedEpoch" }>;
export type SettleEpoch = Extract<SystemCommand, { kind: "settleEpoch" }>;
export type NoteContender = Extract<SystemCommand, { kind: "noteContender" }>;

/** Contenders of one link that are remembered for the operator; further ones are refused like them, and not listed. */
export const CONTENDERS_MAX = 8;

/** Follows the sender into an epoch that has all that was taken of it; refused where it has not. @param ours where our ledger stands */
export function succeedEpoch(tx: Transaction, ours: Revision, sha256: Sha256, command: SucceedEpoch): CommandResult {
  const { link, cluster, lineage } = command;
  const known = tx.read(ledgerLinkKey(link), ledgerLinkRow);
  const row = known ?? begun(sha256, cluster, lineage);
  const refuse = (code: ErrorCode, details: string): CommandResult => refusal(row.cursor, code, details);
  const verdict = judge(known ?? null, lineage);
  switch (verdict.kind) {
    case "first":
      tx.write(ledgerLinkKey(link), ledgerLinkRow, row);
      break;
    case "same":
      break;
    case "successor": {
      const parting = partingOf(row, lineage);
      if (parting !== null && parting !== "same" && isOther(row, parting))
        return refuse("FORK", `another hash at ${row.cursor}`);
      tx.write(ledgerLinkKey(link), ledgerLinkRow, { ...row, ...lineageOf(lineage) });
      break;
    }
    case "behind":
      return refuse("EPOCH_BEHIND", `it departed at ${verdict.parting.revision}, ${row.cursor} was taken`);
    case "older":
      return refuse("WRONG_EPOCH", `epoch ${row.epoch.counter} is followed, not ${lineage.epoch.counter}`);
    case "rival":
      return refuse("FORK", `epoch ${row.epoch.nonce} is followed, not ${lineage.epoch.nonce}`);
  }
  if (command.holds !== null) {
    becomeParent(tx, link, cluster, ours);
    moveParentHolds(tx, cluster, lineage.epoch.nonce, command.holds);
  }
  return { kind: "imported", cursor: row.cursor, outcomes: [] };
}

/** One that was it before told what is its own and is no longer so here: it tells again, in a snapshot (Q3, S4). */
function becomeParent(tx: Transaction, link: LinkId, cluster: ClusterId, ours: Revision): void {
  const before = parentOf(tx);
  noteParent(tx, cluster, ours);
  // After a restore no link tells that it was: what was taken of it does, and what it told is known (L4), and not told again.
  if (before === cluster || linkTowards(tx, cluster) === null) return;
  // Nor is it known then who was the parent, unless homes of it stand: it may be this one, which has nothing to tell anew.
  if (before === null && !haveLeftHomes(tx)) return;
  const { held, snapshot } = streamOf(tx, link);
  awaitSnapshot(tx, link, snapshot?.head.subscription ?? held);
}

/** True if what was taken up to the parting is not what it left there. */
const isOther = (row: LedgerLinkRow, { revision: at, hash }: Parting): boolean =>
  row.cursor === at && row.cursor > 0 && !equalBytes(row.hash, hash);

/** Takes the operator's decision: the link follows that life from where both part. */
export function settleEpoch(
  tx: Transaction,
  ledger: LedgerWriter,
  sha256: Sha256,
  command: SettleEpoch,
  author: Author,
): CommandResult {
  const { link, cluster, lineage } = command;
  const known = tx.read(ledgerLinkKey(link), ledgerLinkRow);
  if ((known?.epoch.nonce ?? null) !== command.from)
    return refusal(known?.cursor ?? revision(0), "WRONG_EPOCH", "the link follows another epoch by now");
  // What came meanwhile is in none of the changes, and would stay in the mirror for good.
  if (known !== undefined && known.cursor !== command.cursor)
    return refusal(known.cursor, "GAP", `${known.cursor} was taken by now, ${command.cursor} when that was asked`);
  const parted = known === undefined ? null : partingOf(known, lineage);
  if (parted === "same") return refusal(known?.cursor ?? revision(0), "WRONG_EPOCH", "it follows that epoch already");
  const from = begun(sha256, cluster, lineage);
  const parting = parted ?? { revision: from.cursor, hash: from.hash };
  const { held, snapshot } = streamOf(tx, link);
  const row = known === undefined ? from : leave(tx, link, known, parting, ledger.position.revision);
  tx.write(ledgerLinkKey(link), ledgerLinkRow, { ...row, ...lineageOf(lineage) });
  tx.remove(contenderKey(link, lineage.epoch.nonce));
  forgetTaking(tx, cluster);
  // A snapshot may be of less than what came, and all that follows it is news: also what the cluster passes on of others.
  if (command.changes === null) lowerAllMarks(tx, link);
  else lowerMarks(tx, cluster, link, command.parting);
  if (command.kept !== null) noteWitness(tx, cluster, command.kept);
  if (command.holds !== null) {
    becomeParent(tx, link, cluster, ledger.position.revision);
    moveParentHolds(tx, cluster, lineage.epoch.nonce, command.holds);
  }
  if (command.changes === null) {
    awaitSnapshot(tx, link, command.holds === null ? null : (snapshot?.head.subscription ?? held));
    return { kind: "imported", cursor: row.cursor, outcomes: [] };
  }
  const origin = { cluster, epoch: lineage.epoch.nonce, revision: command.parting };
  const events = command.changes.filter((event) => mirrorKey(tx, cluster, event, origin.revision));
  if (events.length > 0) {
    raiseMark(tx, origin, link, ledger.next, null);
    // What the parent says is the home of everybody's keys goes on to our children (Q3).
    const homes = homesOf(tx);
    for (const home of ["site", "hub"] as const) {
      const of = events.filter(
        ({ key }) => (command.holds !== null && homes.homeOf(key) === "hub") === (home === "hub"),
      );
      if (of.length > 0) ledger.replace(author, { origin, link }, of, home);
    }
  }
  return { kind: "imported", cursor: row.cursor, outcomes: [] };
}

/** The row as of the parting; what was taken above is noted. */
function leave(
  tx: Transaction,
  link: LinkId,
  known: LedgerLinkRow,
  { revision: to, hash }: Parting,
  at: Revision,
): LedgerLinkRow {
  if (known.cursor <= to) return known;
  const { epoch, cursor } = known;
  const left = { epoch, from: revision(to + 1), to: cursor, hash: known.hash, at };
  tx.write(leftLifeKey(link, epoch.nonce), leftLifeRow, left);
  // A snapshot that is under way is of that life: another one begins (S4).
  if (streamOf(tx, link).snapshot !== null) tx.remove(streamKey(link));
  return rewindLink(tx, link, known, { to, hash, at });
}

/** Remembers who was refused, once. */
export function noteContender(tx: Transaction, { link, contender }: NoteContender): void {
  const key = contenderKey(link, contender.epoch.nonce);
  if (tx.read(key, contenderRow) !== undefined) return;
  const { from, to } = contendersRange(link);
  if (tx.scan(from, to, contenderRow, CONTENDERS_MAX).length >= CONTENDERS_MAX) return;
  tx.write(key, contenderRow, contender);
}

const begun = (sha256: Sha256, cluster: ClusterId, lineage: Lineage): LedgerLinkRow => ({
  ...lineageOf(lineage),
  cursor: revision(0),
  hash: beginningOf(sha256, cluster, PARTITION, lineage),
  gap: null,
  marked: revision(0),
  unmarked: 0,
});

const lineageOf = ({ epoch, ancestors }: Lineage): Lineage => ({ epoch, ancestors });

const refusal = (cursor: Revision, code: ErrorCode, details: string): CommandResult => ({
  kind: "importRefused",
  code,
  cursor,
  details,
});
