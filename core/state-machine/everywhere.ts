/** A range of keys of every origin at once: this cluster's own, then each mirror's, as the rows stand in the map. */
import { EMPTY_BYTES, utf8Text } from "../bytes.ts";
import { invariant } from "../errors.ts";
import { type ClusterId, isClusterId } from "../ids.ts";
import { RANGE_ROWS_MAX } from "../limits.ts";
import { keyRow } from "./key-rows.ts";
import { keyOfRow, keyRange, MIRRORS, originOfMirror } from "./keyspace.ts";
import { rowBytes } from "./operation.ts";
import { readPosition } from "./position.ts";
import type { Query, QueryAnswers } from "./query.ts";
import { keyAfter, pagesOf } from "./row-pages.ts";
import type { StateView } from "./view.ts";

type Question = Extract<Query, { kind: "everywhere" }>;
type OriginKeyValue = QueryAnswers["everywhere"]["rows"][number];

/** With a pause wherever a millisecond or so may have passed. @param bytesMax it ends early there, after one row at least */
export function* everywhere(
  view: StateView,
  question: Question,
  bytesMax: number,
): Generator<void, QueryAnswers["everywhere"]> {
  const { revision } = readPosition(view);
  const rowsMax = Math.min(question.limit, RANGE_ROWS_MAX);
  const rows: OriginKeyValue[] = [];
  let bytes = 0;
  let count = 0;
  let more = false;
  for (const { origin, from } of origins(view, question)) {
    const range = keyRange(origin, from, question.to);
    for (const page of pagesOf(view, range.from, range.to)) {
      for (const row of page) {
        count++;
        more ||= rows.length >= rowsMax || bytes >= bytesMax;
        if (more) continue;
        const found = keyRow.decode(row.value);
        // Of its own: an answer is posted between threads, and a view would take the whole page along.
        const value = question.view === "keys" ? EMPTY_BYTES : new Uint8Array(found.value);
        const told = { origin, key: keyOfRow(origin, row.key), ...found, value };
        rows.push(told);
        bytes += rowBytes(told);
      }
      if (more && !question.counted) return { rows, more, count: null, revision };
      yield;
    }
  }
  return { rows, more, count: question.counted ? count : null, revision };
}

/** In the order of the map, each with the key to begin at. */
function* origins(
  view: StateView,
  { after, from }: Question,
): Generator<{ readonly origin: ClusterId | null; readonly from: Uint8Array }> {
  if (after !== null) yield { origin: after.origin, from: keyAfter(after.key) };
  else yield { origin: null, from };
  const done = after?.origin ?? null;
  let next = done === null ? MIRRORS.from : keyRange(done, EMPTY_BYTES, null).to;
  for (;;) {
    const [row] = view.scan(next, MIRRORS.to, 1);
    if (row === undefined) return;
    const origin = utf8Text(originOfMirror(row.key));
    invariant(isClusterId(origin), "a mirror's row carries its origin");
    yield { origin, from };
    next = keyRange(origin, EMPTY_BYTES, null).to;
  }
}
