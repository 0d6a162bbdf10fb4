/** A range of keys of every origin at once: this cluster's own, then each mirror's, as the rows stand in the map. */
import { compareBytes, EMPTY_BYTES, utf8Text } from "../bytes.ts";
import { invariant } from "../errors.ts";
import { type ClusterId, isClusterId } from "../ids.ts";
import { RANGE_ROWS_MAX } from "../limits.ts";
import { keyRow } from "./key-rows.ts";
import { type KeyRange, keyOfRow, keyRange, MIRRORS, originOfMirror } from "./keyspace.ts";
import { rowBytes } from "./operation.ts";
import { readPosition } from "./position.ts";
import type { Query, QueryAnswers } from "./query.ts";
import { keyAfter, pagesOf } from "./row-pages.ts";
import type { Row, StateView } from "./view.ts";

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
  const take = (origin: ClusterId | null, row: Row): void => {
    count++;
    more ||= rows.length >= rowsMax || bytes >= bytesMax;
    if (more) return;
    const found = keyRow.decode(row.value);
    // Of its own: an answer is posted between threads, and a view would take the whole page along.
    const value = question.view === "keys" ? EMPTY_BYTES : new Uint8Array(found.value);
    const told = { origin, key: keyOfRow(origin, row.key), ...found, value };
    rows.push(told);
    bytes += rowBytes(told);
  };
  for (const { origin, first, from } of origins(view, question)) {
    const range = keyRange(origin, from, question.to);
    if (first !== null && isWithin(first.key, range)) take(origin, first);
    for (const page of pagesOf(view, first === null ? range.from : later(keyAfter(first.key), range.from), range.to)) {
      for (const row of page) take(origin, row);
      if (more && !question.counted) return { rows, more, count: null, revision };
      yield;
    }
  }
  return { rows, more, count: question.counted ? count : null, revision };
}

interface OriginRange {
  readonly origin: ClusterId | null;
  /** The first row of the origin, where it had to be read to find the origin: a view is read forwards only. */
  readonly first: Row | null;
  /** The key to begin at. */
  readonly from: Uint8Array;
}

/** In the order of the map. */
function* origins(view: StateView, { after, from }: Question): Generator<OriginRange> {
  if (after !== null) yield { origin: after.origin, first: null, from: keyAfter(after.key) };
  else yield { origin: null, first: null, from };
  const done = after?.origin ?? null;
  let next = done === null ? MIRRORS.from : keyRange(done, EMPTY_BYTES, null).to;
  for (;;) {
    const [first] = view.scan(next, MIRRORS.to, 1);
    if (first === undefined) return;
    const origin = utf8Text(originOfMirror(first.key));
    invariant(isClusterId(origin), "a mirror's row carries its origin");
    yield { origin, first, from };
    next = keyRange(origin, EMPTY_BYTES, null).to;
  }
}

const isWithin = (key: Uint8Array, { from, to }: KeyRange): boolean =>
  compareBytes(from, key) <= 0 && compareBytes(key, to) < 0;

const later = (a: Uint8Array, b: Uint8Array): Uint8Array => (compareBytes(a, b) > 0 ? a : b);
