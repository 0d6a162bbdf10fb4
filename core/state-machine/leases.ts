/**
 * Leases (etcd's): keys that end with whoever keeps them alive. What is due is reckoned in log time (T1), so that every
 * replica revokes at the same entry, and the clock of a node that leads, or thinks that it does, has no say (pitfall 24).
 */
import { concatBytes, utf8 } from "../bytes.ts";
import { invariant, unreachable } from "../errors.ts";
import type { LeaseId, Revision } from "../ids.ts";
import { derivedSalt } from "../ledger/chain.ts";
import { SALT_BYTES } from "../ledger/record-codec.ts";
import { EVENTS_MAX, LEASE_TTL_MS_MAX, RECORD_BYTES_MAX } from "../limits.ts";
import type { Sha256 } from "../ports.ts";
import type { Outcome, UserCommand } from "./command.ts";
import { homesOf } from "./homes.ts";
import { KeyWrites } from "./key-writes.ts";
import { keyOfLeaseRow, LEASES_DUE, leaseDueKey, leaseKey, leaseKeysRange, leaseOfDueRow } from "./keyspace.ts";
import { type LeaseRow, leaseRow, markRow, writeLease } from "./lease-rows.ts";
import type { Author, LedgerWriter } from "./ledger-writer.ts";
import { accepted, type Refusal, refused } from "./outcome.ts";
import type { Transaction } from "./transaction.ts";

export type LeaseCommand = Extract<UserCommand, { kind: "leaseGrant" | "leaseKeepAlive" | "leaseRevoke" }>;

/** What ends at one entry: so many leases, and keys and bytes of events of all but the first. The rest ends at the next ones. */
const EXPIRED_AT_ONCE_MAX = 100;
const KEYS_AT_ONCE_MAX = EVENTS_MAX;
const BYTES_AT_ONCE_MAX = RECORD_BYTES_MAX;

/** Why this command cannot run whatever the state is, or null. */
export const leaseCommandRefusal = (command: LeaseCommand): Refusal | null =>
  command.kind === "leaseGrant" && (command.ttlMs < 1 || command.ttlMs > LEASE_TTL_MS_MAX)
    ? refused("BAD_REQUEST", `a lease lives 1 to ${LEASE_TTL_MS_MAX} ms`)
    : null;

/** Granting and keeping alive take no revision, and revoking one only if it holds a key (L1). */
export function runLeaseCommand(
  tx: Transaction,
  ledger: LedgerWriter,
  sha256: Sha256,
  author: Author,
  command: LeaseCommand,
): Outcome {
  const wrong = leaseCommandRefusal(command);
  if (wrong !== null) return wrong;
  const { lease } = command;
  const row = tx.read(leaseKey(lease), leaseRow);
  switch (command.kind) {
    case "leaseGrant": {
      if (row !== undefined) return refused("LEASE_EXISTS", String(lease));
      const empty = { salt: leaseSalt(sha256, author.salt(ledger.next), lease), keys: 0, eventBytes: 0 };
      prolong(tx, ledger, author, lease, { ...empty, ttlMs: command.ttlMs }, undefined);
      return accepted(ledger.position.revision);
    }
    case "leaseKeepAlive":
      if (row === undefined) return refused("LEASE_NOT_FOUND", String(lease));
      prolong(tx, ledger, author, lease, row, row);
      return accepted(ledger.position.revision);
    case "leaseRevoke":
      if (row === undefined) return refused("LEASE_NOT_FOUND", String(lease));
      return accepted(end(tx, ledger, sha256, author, lease, row));
    default:
      return unreachable(command);
  }
}

/** Ends what is due by now, the longest due first: each lease's keys at one revision. */
export function expireLeases(tx: Transaction, ledger: LedgerWriter, sha256: Sha256): void {
  const { logTime, nextDue } = ledger.position;
  if (nextDue === null || nextDue > logTime) return;
  const due = tx.scan(LEASES_DUE.from, LEASES_DUE.to, markRow, EXPIRED_AT_ONCE_MAX + 1);
  let next: number | null = null;
  let [keys, bytes] = [0, 0];
  for (const [i, { key }] of due.entries()) {
    const { lease, due: at } = leaseOfDueRow(key);
    const row = tx.read(leaseKey(lease), leaseRow);
    invariant(row !== undefined, "what is due is a lease");
    keys += row.keys;
    bytes += row.eventBytes;
    const full = i === EXPIRED_AT_ONCE_MAX || (i > 0 && (keys > KEYS_AT_ONCE_MAX || bytes > BYTES_AT_ONCE_MAX));
    if (at > logTime || full) {
      next = at;
      break;
    }
    end(tx, ledger, sha256, expiry(sha256, lease, row), lease, row);
  }
  ledger.dueAt(next);
}

/** Of its own: the salt it is derived from may stand in the record of a command beside the grant, for all to see (L2). */
const leaseSalt = (sha256: Sha256, salt: Uint8Array, lease: LeaseId): Uint8Array =>
  sha256(concatBytes([utf8(`lease ${lease} `), salt])).slice(0, SALT_BYTES);

const expiry = (sha256: Sha256, lease: LeaseId, row: LeaseRow): Author => ({
  principal: `lease:${lease}`,
  time: row.wallDue,
  salt: (at) => derivedSalt(sha256, row.salt, at),
});

function prolong(
  tx: Transaction,
  ledger: LedgerWriter,
  author: Author,
  lease: LeaseId,
  row: Omit<LeaseRow, "due" | "wallDue">,
  before: LeaseRow | undefined,
): void {
  const { logTime, nextDue } = ledger.position;
  const due = logTime + row.ttlMs;
  writeLease(tx, lease, { ...row, due, wallDue: author.time + row.ttlMs }, before);
  // One that was due first and is kept alive leaves this too early: then a look finds nothing, and moves it on.
  if (nextDue === null || due < nextDue) ledger.dueAt(due);
}

/** Its keys go at one revision, of each home: what is private must not travel with the rest (Q3). */
function end(
  tx: Transaction,
  ledger: LedgerWriter,
  sha256: Sha256,
  author: Author,
  lease: LeaseId,
  row: LeaseRow,
): Revision {
  const { from, to } = leaseKeysRange(lease);
  const held = tx.scan(from, to, markRow, row.keys).map(({ key }) => keyOfLeaseRow(key));
  const homes = homesOf(tx);
  const ended = new Set(held.map((key) => homes.homeOf(key)));
  // A salt that stands in a record for all to see must not be that of a private one (L2).
  const apart = { ...author, salt: (at: Revision) => derivedSalt(sha256, author.salt(at), at) };
  for (const home of ended) {
    const keys = new KeyWrites(tx, ledger);
    for (const key of held) if (homes.homeOf(key) === home) keys.remove(key);
    keys.commit(ended.size > 1 ? apart : author, home);
  }
  tx.remove(leaseDueKey(row.due, lease));
  tx.remove(leaseKey(lease));
  return ledger.position.revision;
}
