/**
 * The documents as of a revision, change by change, for a snapshot in a stream (S4): also the changes that wait or were set
 * aside there, for whoever gets the one must come to the same as who got the other (D2, D3). A page is told by its place
 * alone, so that any node goes on from where another one stopped.
 */
import { compareBytes, utf8Text } from "../bytes.ts";
import { invariant } from "../errors.ts";
import type { Revision } from "../ids.ts";
import type { DocumentName } from "../ledger/document-names.ts";
import type { DocumentChange } from "../ledger/record.ts";
import { changeHashBytes } from "../ledger/record-codec.ts";
import type { DocumentPart } from "../ledger/snapshot.ts";
import { BATCH_BYTES_MAX, SNAPSHOT_ROWS_MAX } from "../limits.ts";
import { planChanges } from "../state-machine/document-plan.ts";
import { changeRow } from "../state-machine/document-rows.ts";
import { DOCUMENTS, DocumentKeys, documentsRange, namesOfDocument } from "../state-machine/keyspace.ts";
import { ownChange } from "../state-machine/query-run.ts";
import { rowsOf } from "../state-machine/row-pages.ts";
import { Transaction } from "../state-machine/transaction.ts";
import type { StateView } from "../state-machine/view.ts";
import { bodyOf, knownBy, NO_ROWS } from "./document-at.ts";
import type { HistoryAnswers, HistoryQuery } from "./history-query.ts";

type Question = Extract<HistoryQuery, { kind: "changes" }>;

/** Documents looked at between two pauses. */
const PAUSE_DOCUMENTS = 16;

interface Looked extends DocumentName {
  readonly since: Revision;
}

export function* changesAt(state: StateView, question: Question): Generator<void, HistoryAnswers["changes"]> {
  const { at, after } = question;
  const documents: DocumentPart[] = [];
  let room = { changes: SNAPSHOT_ROWS_MAX, bytes: BATCH_BYTES_MAX };
  let looked = 0;
  for (const { collection, document, since } of documentsFrom(state, question)) {
    if (++looked % PAUSE_DOCUMENTS === 0) yield;
    const named = { collection, document };
    const keys = new DocumentKeys(collection, document);
    const all = yield* inOrder(state, keys, at, since);
    const begun = after !== null && isSame(named, after) ? after.after : 0;
    const page: DocumentChange[] = [];
    for (const { hash } of all.slice(begun)) {
      if (room.changes === 0 || room.bytes <= 0) break;
      const name = changeHashBytes(hash);
      const row = state.get(keys.change(name));
      invariant(row !== undefined, "a known change has a row");
      const change = ownChange(bodyOf(state, keys, changeRow.decode(row), name));
      page.push(change);
      room = { changes: room.changes - 1, bytes: room.bytes - change.bytes.length };
    }
    if (page.length > 0) documents.push({ ...named, changes: page });
    const next = begun + page.length;
    if (next < all.length) return { documents, next: { ...named, after: next } };
    if (room.changes === 0 || room.bytes <= 0) return { documents, next: { ...named, after: all.length } };
  }
  return { documents, next: null };
}

const isSame = (a: DocumentName, b: DocumentName): boolean =>
  a.collection === b.collection && a.document === b.document;

/** From the one that the place is in on, in the order of their rows. */
function* documentsFrom(state: StateView, { of, after }: Question): Generator<Looked> {
  const place = after === null ? null : new DocumentKeys(after.collection, after.document).document;
  if (of.kind === "documents") {
    const rows = of.documents.map((one) => ({ one, row: new DocumentKeys(one.collection, one.document).document }));
    for (const { one, row } of rows.sort((a, b) => compareBytes(a.row, b.row)))
      if (place === null || compareBytes(place, row) <= 0) yield one;
    return;
  }
  const { from, to } = of.collection === null ? DOCUMENTS : documentsRange(of.collection);
  for (const { key } of rowsOf(state, place ?? from, to)) {
    const names = namesOfDocument(key);
    const [named, document] = [utf8Text(names.collection), utf8Text(names.document)];
    invariant(named !== undefined && document !== undefined, "a document's names are UTF-8");
    yield { collection: named, document, since: of.since };
  }
}

/** What was known by `at` and not by `since`, as it stood at `at`: the accepted as they follow each other, then the rest. */
function* inOrder(
  state: StateView,
  keys: DocumentKeys,
  at: Revision,
  since: Revision,
): Generator<void, readonly DocumentChange[]> {
  const known = yield* knownBy(state, keys, at);
  if (known.length === 0) return known;
  const { accepted } = planChanges(new Transaction(NO_ROWS), keys, known);
  const standing = new Set(accepted);
  const ordered = [...accepted, ...known.filter((change) => !standing.has(change))];
  if (since === 0) return ordered;
  return ordered.filter(({ hash }) => {
    const row = state.get(keys.change(changeHashBytes(hash)));
    invariant(row !== undefined, "a known change has a row");
    return changeRow.decode(row).revision > since;
  });
}
