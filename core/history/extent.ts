/** How much a snapshot in a stream is about to hold, so that whoever waits for it can be told how far it is (S4). */
import type { SnapshotSection } from "../ledger/snapshot.ts";
import { documentRow } from "../state-machine/document-rows.ts";
import { DOCUMENTS, DocumentKeys, documentsRange, type KeyRange, keyRange } from "../state-machine/keyspace.ts";
import { pagesOf } from "../state-machine/row-pages.ts";
import type { StateView } from "../state-machine/view.ts";
import type { HistoryAnswers, HistoryQuery } from "./history-query.ts";

/** Rows that are looked at; of more than that nobody is told how many there are. */
const ROWS_MAX = 262_144;
/** Documents that are named one by one, between two pauses. */
const PAUSE_DOCUMENTS = 64;

/** Of the present: a snapshot of a little earlier has about as many. */
export function* extentOf(
  state: StateView,
  { sections }: Extract<HistoryQuery, { kind: "extent" }>,
): Generator<void, HistoryAnswers["extent"]> {
  let items = 0;
  let looked = 0;
  for (const section of sections) {
    if (section.kind === "named") {
      for (const [i, { collection, document }] of section.documents.entries()) {
        items += changesIn(state.get(new DocumentKeys(collection, document).document));
        if (i % PAUSE_DOCUMENTS === PAUSE_DOCUMENTS - 1) yield;
      }
      continue;
    }
    const { from, to } = rangeOf(section);
    for (const page of pagesOf(state, from, to)) {
      looked += page.length;
      if (looked > ROWS_MAX) return { items: null };
      items += section.kind === "keys" ? page.length : page.reduce((sum, { value }) => sum + changesIn(value), 0);
      yield;
    }
  }
  return { items };
}

function rangeOf(section: Exclude<SnapshotSection, { kind: "named" }>): KeyRange {
  if (section.kind === "keys") return keyRange(section.origin, section.from, section.to);
  return section.collection === null ? DOCUMENTS : documentsRange(section.collection);
}

function changesIn(row: Uint8Array | undefined): number {
  if (row === undefined) return 0;
  const { accepted, pending, quarantined } = documentRow.decode(row);
  return accepted + pending + quarantined;
}
