/**
 * The hash over every row as they stood at one index, taken in slices while later entries are applied. Before a row beyond
 * the cursor is written for the first time, what it was is kept, and stands for it when the cursor comes there; what is
 * behind the cursor was hashed. Whoever applies and whoever scans is one thread, so that nothing comes between.
 */
import { compareBytes } from "../bytes.ts";
import type { Sha256 } from "../ports.ts";
import { RowHash } from "./row-hash.ts";
import { keyAfter, PAGE_ROWS } from "./row-pages.ts";
import { byteText } from "./transaction.ts";
import type { StateView, Write } from "./view.ts";

/** Bytes of rows kept as they were. A scan that would need more is given up. */
const KEPT_BYTES_MAX = 67_108_864;
/** What a kept row costs besides its bytes. */
const KEPT_OVERHEAD_BYTES = 128;
/** A slice is of about this many bytes, by the rows of the slice before. */
const SLICE_BYTES = 65_536;

export type ScanStep =
  | { readonly kind: "more" }
  | { readonly kind: "done"; readonly hash: Uint8Array; readonly rows: number }
  /** More was written meanwhile than is kept. */
  | { readonly kind: "gaveUp" };

/** A row as it was; `value` undefined: there was none. */
interface Kept {
  readonly key: Uint8Array;
  readonly value: Uint8Array | undefined;
}

export class StateScan {
  readonly #view: StateView;
  readonly #hash: RowHash;
  readonly #keptBytesMax: number;
  /** Where the next slice begins; null when nothing is left. */
  #cursor: Uint8Array | null = new Uint8Array(0);
  /** A heap, the least key first. */
  readonly #kept: Kept[] = [];
  readonly #keptKeys = new Set<string>();
  #keptBytes = 0;
  #limit = PAGE_ROWS;
  #done: ScanStep | null = null;

  constructor(view: StateView, sha256: Sha256, keptBytesMax: number = KEPT_BYTES_MAX) {
    this.#view = view;
    this.#hash = new RowHash(sha256);
    this.#keptBytesMax = keptBytesMax;
  }

  /** These are about to be written. */
  before(writes: readonly Write[]): void {
    const cursor = this.#cursor;
    if (cursor === null || this.#overflowed) return;
    for (const { key } of writes) {
      if (compareBytes(key, cursor) < 0) continue;
      const text = byteText(key);
      if (this.#keptKeys.has(text)) continue;
      const value = this.#view.get(key);
      this.#keptKeys.add(text);
      this.#keptBytes += key.length + (value?.length ?? 0) + KEPT_OVERHEAD_BYTES;
      this.#push({ key, value });
    }
  }

  /** Hashes the next rows. */
  advance(): ScanStep {
    if (this.#done !== null) return this.#done;
    if (this.#overflowed) return { kind: "gaveUp" };
    if (this.#cursor !== null) this.#slice(this.#cursor);
    if (this.#cursor !== null) return { kind: "more" };
    this.#done = { kind: "done", ...this.#hash.end() };
    return this.#done;
  }

  get #overflowed(): boolean {
    return this.#keptBytes > this.#keptBytesMax;
  }

  #slice(cursor: Uint8Array): void {
    const page = this.#view.scan(cursor, null, this.#limit);
    const last = page.length < this.#limit ? null : (page.at(-1)?.key ?? null);
    let bytes = 0;
    for (const row of page) {
      this.#addKept((key) => compareBytes(key, row.key) < 0);
      const kept = this.#kept[0];
      if (kept !== undefined && compareBytes(kept.key, row.key) === 0) this.#addKept((key) => key === kept.key);
      else this.#hash.add(row.key, row.value);
      bytes += row.key.length + row.value.length;
    }
    if (last === null) this.#addKept(() => true);
    this.#cursor = last === null ? null : keyAfter(last);
    // Rows of a megabyte are read one by one, so that a slice stays short.
    this.#limit = Math.max(1, Math.min(PAGE_ROWS, Math.floor((SLICE_BYTES * page.length) / Math.max(1, bytes))));
  }

  /** Takes the least of the kept rows while `due` says so. */
  #addKept(due: (key: Uint8Array) => boolean): void {
    for (let kept = this.#kept[0]; kept !== undefined && due(kept.key); kept = this.#kept[0]) {
      this.#pop();
      if (kept.value !== undefined) this.#hash.add(kept.key, kept.value);
    }
  }

  #push(kept: Kept): void {
    const heap = this.#kept;
    let at = heap.push(kept) - 1;
    while (at > 0) {
      const above = (at - 1) >>> 1;
      if (compareBytes(keyAt(heap, above), kept.key) <= 0) break;
      swap(heap, at, above);
      at = above;
    }
  }

  #pop(): void {
    const heap = this.#kept;
    swap(heap, 0, heap.length - 1);
    heap.pop();
    for (let at = 0; ; ) {
      let least = at;
      for (const below of [2 * at + 1, 2 * at + 2]) {
        if (below < heap.length && compareBytes(keyAt(heap, below), keyAt(heap, least)) < 0) least = below;
      }
      if (least === at) return;
      swap(heap, at, least);
      at = least;
    }
  }
}

const keyAt = (heap: readonly Kept[], at: number): Uint8Array => heap[at]?.key ?? NO_KEY;
const NO_KEY = new Uint8Array(0);

function swap(heap: Kept[], a: number, b: number): void {
  const [first, second] = [heap[a], heap[b]];
  if (first === undefined || second === undefined) return;
  heap[a] = second;
  heap[b] = first;
}
