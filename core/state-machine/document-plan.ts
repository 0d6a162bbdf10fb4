/**
 * What newly known changes do to a document (rules D2, D3). Where a change stands depends on the set of known changes
 * alone, whatever the order in which they came:
 *
 *   quarantined   another known change with its (actor, sequence) has a lower hash; or a dependency is quarantined
 *   accepted      every dependency is accepted
 *   pending       the rest: something that it needs is not known
 *
 * The set only grows, so who lost never stands again: a change moves from pending to accepted to quarantined, never back.
 * That is why it is enough to look at the new changes and at what they touch.
 */
import { invariant } from "../errors.ts";
import type { ChangeHash } from "../ids.ts";
import type { DocumentChange } from "../ledger/record.ts";
import { changeHashBytes } from "../ledger/record-codec.ts";
import type { DocumentRow, Standing } from "./document-rows.ts";
import { authoredRow, bodyRow, changeRow, documentRow, NO_DOCUMENT } from "./document-rows.ts";
import type { DocumentKeys } from "./keyspace.ts";
import type { Transaction } from "./transaction.ts";

/** Pending changes of one document. Over it, an import is refused OVERLOADED and its link waits. */
export const PENDING_MAX = 1_024;
/** And their bytes together. */
const PENDING_BYTES_MAX = 16_777_216;

export interface Plan {
  readonly keys: DocumentKeys;
  readonly before: DocumentRow;
  /** Not known until now, each once, in the order given. */
  readonly fresh: readonly DocumentChange[];
  /** Where every fresh change will stand, and every one that moves. */
  readonly standing: ReadonlyMap<ChangeHash, Standing>;
  /** Fresh or pending until now, in an order in which each follows what it depends on. */
  readonly accepted: readonly DocumentChange[];
  /** Accepted until now. */
  readonly demoted: ReadonlySet<ChangeHash>;
  /** Pending until now. */
  readonly released: readonly DocumentChange[];
  /** Rows of (actor, sequence) that grow. */
  readonly authored: readonly { readonly key: Uint8Array; readonly hashes: readonly ChangeHash[] }[];
  /** Counts after it. */
  readonly pending: number;
  readonly pendingBytes: number;
}

/** Reads only: nothing happens until the plan is carried out. */
export function planChanges(tx: Transaction, keys: DocumentKeys, incoming: readonly DocumentChange[]): Plan {
  const before = tx.read(keys.document, documentRow) ?? NO_DOCUMENT;
  const fresh = new Map<ChangeHash, DocumentChange>();
  for (const change of incoming) {
    if (!fresh.has(change.hash) && standingOf(tx, keys, change.hash) === undefined) fresh.set(change.hash, change);
  }
  const { authored, losers } = findLosers(tx, keys, fresh.values());
  const waiting = before.pending === 0 || fresh.size === 0 ? [] : pendingChanges(tx, keys);
  const demoted = findDemoted(tx, keys, before, losers);

  const settling = new Settling(tx, keys, before, [...fresh.values(), ...waiting]);
  for (const hash of demoted) settling.settle(hash, "quarantined");
  for (const hash of losers) if (!demoted.has(hash)) settling.settle(hash, "quarantined");
  for (const change of fresh.values()) settling.examine(change);

  const released = waiting.filter((change) => settling.standing.has(change.hash));
  const held = [...fresh.values()].filter((change) => !settling.standing.has(change.hash));
  for (const change of held) settling.standing.set(change.hash, "pending");
  return {
    keys,
    before,
    fresh: [...fresh.values()],
    standing: settling.standing,
    accepted: settling.accepted,
    demoted,
    released,
    authored,
    pending: before.pending - released.length + held.length,
    pendingBytes: before.pendingBytes - bytesOf(released) + bytesOf(held),
  };
}

/** True if the document would hold more pending changes than it may, and more than it does. */
export const overPending = (plan: Plan): boolean =>
  plan.pending > plan.before.pending && (plan.pending > PENDING_MAX || plan.pendingBytes > PENDING_BYTES_MAX);

/** Where a change stands, or undefined if it is not known. */
const standingOf = (tx: Transaction, keys: DocumentKeys, hash: ChangeHash): Standing | undefined =>
  tx.read(keys.change(changeHashBytes(hash)), changeRow)?.standing;

/** In the order of their hashes. */
const pendingChanges = (tx: Transaction, keys: DocumentKeys): DocumentChange[] => {
  const { from, to } = keys.allPending();
  return tx.scan(from, to, bodyRow, PENDING_MAX).map((row) => row.value);
};

/** D2, the first half: every pair of one actor and sequence number has one that stands, the lower hash. */
function findLosers(
  tx: Transaction,
  keys: DocumentKeys,
  fresh: Iterable<DocumentChange>,
): {
  authored: { key: Uint8Array; hashes: readonly ChangeHash[] }[];
  losers: ReadonlySet<ChangeHash>;
} {
  const authored = new Map<string, { key: Uint8Array; hashes: ChangeHash[] }>();
  const losers = new Set<ChangeHash>();
  for (const { hash, actor, seq } of fresh) {
    const name = `${actor} ${seq}`;
    let group = authored.get(name);
    if (group === undefined) {
      const key = keys.authored(actor, seq);
      group = { key, hashes: [...(tx.read(key, authoredRow) ?? [])] };
      authored.set(name, group);
    }
    const lowest = group.hashes[0];
    if (lowest !== undefined && hash < lowest) losers.add(lowest);
    else if (lowest !== undefined) losers.add(hash);
    group.hashes.push(hash);
    // Fixed-width lower-case hex: text order is the order of the hashes.
    group.hashes.sort();
  }
  return { authored: [...authored.values()], losers };
}

/** Accepted changes among the losers, and every accepted change that depends on one: those come after it. */
function findDemoted(
  tx: Transaction,
  keys: DocumentKeys,
  before: DocumentRow,
  losers: ReadonlySet<ChangeHash>,
): ReadonlySet<ChangeHash> {
  const demoted = new Set<ChangeHash>();
  let first = before.accepted + 1;
  for (const hash of losers) {
    const row = tx.read(keys.change(changeHashBytes(hash)), changeRow);
    if (row?.standing !== "accepted") continue;
    demoted.add(hash);
    first = Math.min(first, row.position);
  }
  for (let position = first; position <= before.accepted; position++) {
    const change = acceptedAt(tx, keys, position);
    if (change.deps.some((dep) => demoted.has(dep))) demoted.add(change.hash);
  }
  return demoted;
}

export function acceptedAt(tx: Transaction, keys: DocumentKeys, position: number): DocumentChange {
  const change = tx.read(keys.accepted(position), bodyRow);
  invariant(change !== undefined, "accepted positions have no holes");
  return change;
}

const bytesOf = (changes: readonly DocumentChange[]): number =>
  changes.reduce((sum, change) => sum + change.bytes.length, 0);

/** Carries every standing that is found to those that wait for it. */
class Settling {
  readonly standing = new Map<ChangeHash, Standing>();
  readonly accepted: DocumentChange[] = [];
  readonly #tx: Transaction;
  readonly #keys: DocumentKeys;
  /** Accepted, which takes no look at their rows: most changes follow them. */
  readonly #heads: ReadonlySet<ChangeHash>;
  /** Unsettled changes by what they depend on, in a fixed order. */
  readonly #dependents = new Map<ChangeHash, DocumentChange[]>();
  readonly #queue: DocumentChange[] = [];

  constructor(tx: Transaction, keys: DocumentKeys, before: DocumentRow, unsettled: readonly DocumentChange[]) {
    this.#tx = tx;
    this.#keys = keys;
    this.#heads = new Set(before.heads);
    // A change alone waits for nothing that this plan could settle.
    if (unsettled.length === 1) return;
    for (const change of unsettled) {
      for (const dep of change.deps) {
        const dependents = this.#dependents.get(dep);
        if (dependents === undefined) this.#dependents.set(dep, [change]);
        else dependents.push(change);
      }
    }
  }

  /** Settles the change if what it depends on says where it stands, then those that waited for it. */
  examine(change: DocumentChange): void {
    this.#queue.push(change);
    for (let next = this.#queue.shift(); next !== undefined; next = this.#queue.shift()) this.#one(next);
  }

  settle(hash: ChangeHash, standing: "accepted" | "quarantined"): void {
    this.standing.set(hash, standing);
    this.#queue.push(...(this.#dependents.get(hash) ?? []));
  }

  #standingBefore(hash: ChangeHash): Standing | undefined {
    return this.#heads.has(hash) ? "accepted" : standingOf(this.#tx, this.#keys, hash);
  }

  #one(change: DocumentChange): void {
    if (this.standing.has(change.hash)) return;
    let waits = false;
    for (const dep of change.deps) {
      // One that this plan demotes was settled first.
      const standing = this.standing.get(dep) ?? this.#standingBefore(dep);
      if (standing === "quarantined") {
        this.settle(change.hash, "quarantined");
        return;
      }
      if (standing !== "accepted") waits = true;
    }
    if (waits) return;
    this.accepted.push(change);
    this.settle(change.hash, "accepted");
  }
}
