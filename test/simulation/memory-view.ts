/** The one ordered map in memory: what SQLite's table of rows is to a node. */
import { compareBytes } from "@openclaw/core/bytes.ts";
import { keyAfter } from "@openclaw/core/state-machine/row-pages.ts";
import type { Row, RowCount, StateView, Write } from "@openclaw/core/state-machine/view.ts";

export class MemoryView implements StateView {
  /** Sorted by key. */
  readonly #rows: Row[];

  /** @param rows sorted by key */
  constructor(rows: readonly Row[] = []) {
    this.#rows = [...rows];
  }

  get(key: Uint8Array): Uint8Array | undefined {
    const row = this.#rows[this.#at(key)];
    return row !== undefined && compareBytes(row.key, key) === 0 ? row.value : undefined;
  }

  scan(from: Uint8Array, to: Uint8Array | null, limit: number): readonly Row[] {
    const first = this.#at(from);
    const end = to === null ? this.#rows.length : this.#at(to);
    return this.#rows.slice(first, Math.max(first, Math.min(end, first + limit)));
  }

  count(from: Uint8Array, to: Uint8Array | null, limit: number): RowCount {
    const rows = this.scan(from, to, limit);
    const last = rows.at(-1);
    return { rows: rows.length, next: last === undefined || rows.length < limit ? null : keyAfter(last.key) };
  }

  write(writes: readonly Write[]): void {
    for (const { key, value } of writes) {
      const at = this.#at(key);
      const found = this.#rows[at];
      const replaces = found !== undefined && compareBytes(found.key, key) === 0 ? 1 : 0;
      if (value === null) this.#rows.splice(at, replaces);
      else this.#rows.splice(at, replaces, { key, value });
    }
  }

  rows(): readonly Row[] {
    return [...this.#rows];
  }

  /** Index of the first row at or above `key`. */
  #at(key: Uint8Array): number {
    let low = 0;
    let high = this.#rows.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      const row = this.#rows[middle];
      if (row !== undefined && compareBytes(row.key, key) < 0) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}
