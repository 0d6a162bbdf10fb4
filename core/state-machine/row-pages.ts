/** Reads a range row by row without holding all of it. */
import type { Row, StateView } from "./view.ts";

/** Rows fetched at a time: the first ones few, since values have up to 1 MiB; then as many as seem to have so many bytes. */
const PAGE_ROWS_MIN = 8;
const PAGE_ROWS_MAX = 256;
const PAGE_BYTES = 65_536;

/** The least key above this one. */
export function keyAfter(key: Uint8Array): Uint8Array {
  const next = new Uint8Array(key.length + 1);
  next.set(key);
  return next;
}

/** Rows with from ≤ key < to (`to` null: to the end), ascending. */
export function* rowsOf(view: StateView, from: Uint8Array, to: Uint8Array | null): Generator<Row> {
  for (const page of pagesOf(view, from, to)) yield* page;
}

/** The same a page at a time, for who pauses between two of them. */
export function* pagesOf(view: StateView, from: Uint8Array, to: Uint8Array | null): Generator<readonly Row[]> {
  let next = from;
  let rows = PAGE_ROWS_MIN;
  for (;;) {
    const page = view.scan(next, to, rows);
    yield page;
    const last = page.at(-1);
    if (last === undefined || page.length < rows) return;
    next = keyAfter(last.key);
    const bytes = page.reduce((sum, { key, value }) => sum + key.length + value.length, 0);
    rows = Math.min(2 * rows, PAGE_ROWS_MAX, Math.max(1, Math.floor((PAGE_BYTES * page.length) / bytes)));
  }
}
