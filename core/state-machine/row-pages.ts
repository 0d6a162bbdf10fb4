/** Reads a range row by row without holding all of it. */
import type { Row, StateView } from "./view.ts";

/** Rows fetched at a time: values have up to 1 MiB. */
const PAGE_ROWS = 64;

/** Rows with from ≤ key < to (`to` null: to the end), ascending. */
export function* rowsOf(view: StateView, from: Uint8Array, to: Uint8Array | null): Generator<Row> {
  let next = from;
  for (;;) {
    const page = view.scan(next, to, PAGE_ROWS);
    yield* page;
    const last = page.at(-1);
    if (last === undefined || page.length < PAGE_ROWS) return;
    // The least key above the last one.
    next = new Uint8Array(last.key.length + 1);
    next.set(last.key);
  }
}
