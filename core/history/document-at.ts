/**
 * A document as of a revision. The state forgets no change and knows since which revision it has each, and where a change
 * stands depends on the set of known changes alone (D2, D3): so the changes known by then are planned anew, without any
 * others. Their bytes are read for the page that is answered only.
 */
import { EMPTY_BYTES } from "../bytes.ts";
import { invariant } from "../errors.ts";
import type { ChangeHash, Revision } from "../ids.ts";
import type { DocumentChange } from "../ledger/record.ts";
import { changeHashBytes } from "../ledger/record-codec.ts";
import { nameRefusal } from "../state-machine/document-name.ts";
import { planChanges } from "../state-machine/document-plan.ts";
import { bodyKey, bodyRow, type ChangeRow, changeRow } from "../state-machine/document-rows.ts";
import { DocumentKeys } from "../state-machine/keyspace.ts";
import type { QueryAnswers } from "../state-machine/query.ts";
import { ANSWER_BYTES_MAX, ownChange, rowsAllowed } from "../state-machine/query-run.ts";
import { rowsOf } from "../state-machine/row-pages.ts";
import { Transaction } from "../state-machine/transaction.ts";
import type { StateView } from "../state-machine/view.ts";
import type { HistoryQuery } from "./history-query.ts";

/** Changes and bytes looked at between two pauses. */
const PAUSE_CHANGES = 64;
const PAUSE_BYTES = 262_144;

export const NO_ROWS: StateView = { get: () => undefined, scan: () => [], count: () => ({ rows: 0, next: null }) };

export function* documentAt(
  state: StateView,
  question: Extract<HistoryQuery, { kind: "document" }>,
): Generator<void, QueryAnswers["document"]> {
  const nothing = { changes: [], position: 0, more: false, heads: [], pending: 0, quarantined: [] };
  if (nameRefusal(question.collection, question.document) !== null) return nothing;
  const keys = new DocumentKeys(question.collection, question.document);
  const known = yield* knownBy(state, keys, question.at);
  if (known.length === 0) return nothing;
  const { accepted, standing, pending } = planChanges(new Transaction(NO_ROWS), keys, known);
  const heads = new Set<ChangeHash>();
  for (const { hash, deps } of accepted) {
    for (const dep of deps) heads.delete(dep);
    heads.add(hash);
  }
  const page: DocumentChange[] = [];
  const most = rowsAllowed(question.limit);
  let position = Math.min(question.after, accepted.length);
  for (let bytes = 0; position < accepted.length && page.length < most && bytes < ANSWER_BYTES_MAX; position++) {
    const change = accepted[position];
    invariant(change !== undefined, "accepted positions have no holes");
    const name = changeHashBytes(change.hash);
    // Where it stands now: a change of that time may have been set aside since.
    const row = state.get(keys.change(name));
    invariant(row !== undefined, "a known change has a row");
    const body = bodyOf(state, keys, changeRow.decode(row), name);
    page.push(ownChange(body));
    bytes += body.length;
  }
  const quarantined = known
    .filter(({ hash }) => standing.get(hash) === "quarantined")
    .map(({ hash, actor }) => ({ hash, actor }));
  const more = position < accepted.length;
  return { changes: page, position, more, heads: [...heads].sort(), pending, quarantined };
}

/** The changes known at a revision, in the order of their hashes, without their bytes. */
export function* knownBy(state: StateView, keys: DocumentKeys, at: Revision): Generator<void, DocumentChange[]> {
  const known: DocumentChange[] = [];
  const { from, to } = keys.allChanges();
  let looked = 0;
  let bytes = 0;
  for (const { key, value } of rowsOf(state, from, to)) {
    const row = changeRow.decode(value);
    if (row.revision <= at) {
      const body = bodyOf(state, keys, row, keys.hashOfChange(key));
      known.push({ ...bodyRow.decode(body), bytes: EMPTY_BYTES });
      bytes += body.length;
    }
    if (++looked % PAUSE_CHANGES === 0 || bytes >= PAUSE_BYTES) {
      bytes = 0;
      yield;
    }
  }
  return known;
}

export function bodyOf(state: StateView, keys: DocumentKeys, row: ChangeRow, hash: Uint8Array): Uint8Array {
  const body = state.get(bodyKey(keys, row, hash));
  invariant(body !== undefined, "a known change has its bytes");
  return body;
}
