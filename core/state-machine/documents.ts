/** Document changes: those that users push, those that links bring, and what both leave behind. */
import { utf8 } from "../bytes.ts";
import { invariant } from "../errors.ts";
import type { ChangeHash, Revision } from "../ids.ts";
import { revision } from "../ids.ts";
import type { DocumentChange, LedgerEvent } from "../ledger/record.ts";
import { changeHashBytes, HASH_BYTES } from "../ledger/record-codec.ts";
import { EVENTS_MAX, RECORD_BYTES_MAX } from "../limits.ts";
import type { Outcome, UserCommand } from "./command.ts";
import { nameRefusal } from "./document-name.ts";
import type { Plan } from "./document-plan.ts";
import { acceptedAt, planChanges } from "./document-plan.ts";
import type { Standing } from "./document-rows.ts";
import { authoredRow, bodyRow, changeRefusal, changeRow, documentRow } from "./document-rows.ts";
import { DocumentKeys } from "./keyspace.ts";
import type { Author, LedgerWriter } from "./ledger-writer.ts";
import { accepted, refused } from "./outcome.ts";
import type { Transaction } from "./transaction.ts";

export type ChangeCommand = Extract<UserCommand, { kind: "change" }>;
export type ChangeEvent = Extract<LedgerEvent, { kind: "change" }>;

/**
 * Hashes that one MISSING names; when those are pushed, the next answer names the next. All that a client's link remembers
 * (RESULTS_MAX such answers) has to fit one frame.
 */
const MISSING_NAMED_MAX = 32;
/** Around the names, the bytes and the dependencies of a change in its event. */
const EVENT_OVERHEAD_BYTES = 64;

/** All of one push or nothing of it (D2, D3). */
export function runChangeCommand(
  tx: Transaction,
  ledger: LedgerWriter,
  author: Author,
  command: ChangeCommand,
): Outcome {
  const { collection, document, changes } = command;
  if (changes.length === 0 || changes.length > EVENTS_MAX) {
    return refused("BAD_REQUEST", `a push has 1 to ${EVENTS_MAX} changes`);
  }
  const name = nameRefusal(collection, document);
  if (name !== null) return name;
  for (const change of changes) {
    const wrong = changeRefusal(change);
    if (wrong !== null) return wrong;
  }
  const bytes = recordBytes(command);
  if (bytes > RECORD_BYTES_MAX) return refused("CHANGE_TOO_LARGE", `${bytes} bytes in one record`);
  const keys = new DocumentKeys(collection, document);
  const plan = planChanges(tx, keys, changes);
  const known = changes.map(({ hash }) =>
    plan.standing.has(hash) ? undefined : tx.read(keys.change(changeHashBytes(hash)), changeRow),
  );
  const standings = changes.map(({ hash }, i): Standing | undefined => plan.standing.get(hash) ?? known[i]?.standing);

  const lost = changes.filter((_, i) => standings[i] === "quarantined");
  if (lost.length > 0)
    return refused(
      "QUARANTINED",
      lost
        .map(({ hash }) => hash)
        .slice(0, MISSING_NAMED_MAX)
        .join(","),
    );
  if (standings.includes("pending")) return refused("MISSING", missing(tx, plan, changes).join(","));
  if (plan.fresh.length === 0) return accepted(revision(Math.max(...known.map((row) => row?.revision ?? 0))));
  carryOut(tx, plan, ledger.next);
  return accepted(
    ledger.append(
      author,
      plan.fresh.map((change) => changeEvent(collection, document, change)),
      "site",
    ),
  );
}

/** Of the events: a record that is larger could not be sent on. */
const recordBytes = ({ collection, document, changes }: ChangeCommand): number =>
  changes.reduce(
    (sum, { actor, deps, bytes }) => sum + actor.length + HASH_BYTES * deps.length + bytes.length,
    changes.length * (EVENT_OVERHEAD_BYTES + utf8(collection).length + utf8(document).length),
  );

const changeEvent = (collection: string, document: string, change: DocumentChange): ChangeEvent => ({
  kind: "change",
  collection,
  document,
  change,
  encryption: null,
});

/** The unknown changes that keep these from being accepted, through whatever is pending between, in order of their hashes. */
function missing(tx: Transaction, plan: Plan, changes: readonly DocumentChange[]): ChangeHash[] {
  const { keys } = plan;
  const fresh = new Map(plan.fresh.map((change) => [change.hash, change]));
  const unknown = new Set<ChangeHash>();
  const seen = new Set<ChangeHash>();
  const queue: ChangeHash[] = changes.map((change) => change.hash);
  for (let hash = queue.pop(); hash !== undefined; hash = queue.pop()) {
    if (seen.has(hash)) continue;
    seen.add(hash);
    const change = fresh.get(hash) ?? tx.read(keys.pending(changeHashBytes(hash)), bodyRow);
    if (change !== undefined) queue.push(...change.deps);
    else if (tx.read(keys.change(changeHashBytes(hash)), changeRow) === undefined) unknown.add(hash);
  }
  return [...unknown].sort().slice(0, MISSING_NAMED_MAX);
}

/** One plan a document, in the order in which the documents appear. */
export function planDocuments(tx: Transaction, events: readonly LedgerEvent[]) {
  const documents = new Map<string, { keys: DocumentKeys; name: string; events: ChangeEvent[] }>();
  for (const event of events) {
    if (event.kind !== "change") continue;
    const name = JSON.stringify([event.collection, event.document]);
    const document = documents.get(name);
    if (document !== undefined) document.events.push(event);
    else documents.set(name, { keys: new DocumentKeys(event.collection, event.document), name, events: [event] });
  }
  return [...documents.values()].map(({ keys, name, events: changes }) => ({
    name,
    plan: planChanges(
      tx,
      keys,
      changes.map((event) => event.change),
    ),
  }));
}

/** Writes what a plan says. `at`: the revision at which the fresh changes become known. */
export function carryOut(tx: Transaction, plan: Plan, at: Revision): void {
  const { keys, before, standing } = plan;
  const heads = new Set(before.heads);
  let position = before.accepted;
  if (plan.demoted.size > 0) {
    heads.clear();
    position = removeDemoted(tx, plan, heads);
  }
  for (const { key, hashes } of plan.authored) tx.write(key, authoredRow, hashes);
  for (const change of plan.released) tx.remove(keys.pending(changeHashBytes(change.hash)));
  for (const change of plan.accepted) {
    position++;
    tx.write(keys.accepted(position), bodyRow, change);
    place(tx, keys, change.hash, "accepted", position, at);
    extendHeads(heads, change);
  }
  let quarantined = before.quarantined + plan.demoted.size;
  for (const change of [...plan.fresh, ...plan.released]) {
    const stands = standing.get(change.hash);
    if (stands === "pending") {
      tx.write(keys.pending(changeHashBytes(change.hash)), bodyRow, change);
      place(tx, keys, change.hash, "pending", 0, at);
    } else if (stands === "quarantined") {
      tx.write(keys.quarantined(changeHashBytes(change.hash)), bodyRow, change);
      place(tx, keys, change.hash, "quarantined", 0, at);
      quarantined++;
    }
  }
  tx.write(keys.document, documentRow, {
    accepted: position,
    pending: plan.pending,
    pendingBytes: plan.pendingBytes,
    quarantined,
    heads: [...heads].sort(),
  });
}

/**
 * Takes the demoted out and lets the others move up, in their order, so that positions stay without holes and each change
 * stays behind what it depends on. Costs the whole document, but only when a conflict lets an accepted change lose.
 */
function removeDemoted(tx: Transaction, plan: Plan, heads: Set<ChangeHash>): number {
  const { keys, before, demoted } = plan;
  let kept = 0;
  for (let position = 1; position <= before.accepted; position++) {
    const change = acceptedAt(tx, keys, position);
    if (demoted.has(change.hash)) {
      tx.write(keys.quarantined(changeHashBytes(change.hash)), bodyRow, change);
      move(tx, keys, change.hash, "quarantined", 0);
      continue;
    }
    kept++;
    extendHeads(heads, change);
    if (kept === position) continue;
    tx.write(keys.accepted(kept), bodyRow, change);
    move(tx, keys, change.hash, "accepted", kept);
  }
  for (let position = kept + 1; position <= before.accepted; position++) tx.remove(keys.accepted(position));
  return kept;
}

/** Nothing accepted depends on a change yet when it is accepted. */
function extendHeads(heads: Set<ChangeHash>, change: DocumentChange): void {
  for (const dep of change.deps) heads.delete(dep);
  heads.add(change.hash);
}

/** Places a fresh change, or moves one that was known: that one keeps its revision. */
function place(
  tx: Transaction,
  keys: DocumentKeys,
  hash: ChangeHash,
  standing: Standing,
  position: number,
  at: Revision,
): void {
  const key = keys.change(changeHashBytes(hash));
  tx.write(key, changeRow, { standing, position, revision: tx.read(key, changeRow)?.revision ?? at });
}

function move(tx: Transaction, keys: DocumentKeys, hash: ChangeHash, standing: Standing, position: number): void {
  const row = tx.read(keys.change(changeHashBytes(hash)), changeRow);
  invariant(row !== undefined, "a known change has a row");
  tx.write(keys.change(changeHashBytes(hash)), changeRow, { standing, position, revision: row.revision });
}
