/** Reads a range row by row without holding all of it. */
import type { Row, StateView } from "./view.ts";

/** Rows fetched at a time: values have up to 1 MiB. */
export const PAGE_ROWS = 64;

/** The least key above this one. */
export function keyAfter(key: Uint8Array): Uint8Array {
  const next = new Uint8Array(key.length + 1);
  next.set(key);
  return next;
}

/** Rows with from ≤ key < to (`to` null: to the end), ascending. */
export function* rowsOf(view: StateView, from: Uint8Array, to: Uint8Array | null): Generator<Row> {
  let next = from;
  for (;;) {
    const page = view.scan(next, to, PAGE_ROWS);
    yield* page;
    const last = page.at(-1);
    if (last === undefined || page.length < PAGE_ROWS) return;
    next = keyAfter(last.key);
  }
}
