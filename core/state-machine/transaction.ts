/**
 * What a run of entries reads and writes: rows changed so far over the view they started from. A row is decoded once and
 * encoded once, however often the run touches it, so what is hot (position, session, a document's heads) costs a batch
 * and not a command.
 */
import { compareBytes } from "../bytes.ts";
import { invariant } from "../errors.ts";
import { keyAfter } from "./row-pages.ts";
import type { Row, StateView, Write } from "./view.ts";

/** Rows fetched at a time. */
const PAGE_ROWS = 64;

/** How one kind of row is written. `decode` throws on bytes it did not write: they come from our own disk. */
export interface RowCodec<T> {
  encode(value: T): Uint8Array;
  decode(bytes: Uint8Array): T;
}

interface Slot {
  readonly key: Uint8Array;
  /** Undefined: there is no such row. */
  value: unknown;
  /** How `value` is encoded; null for a missing row. */
  codec: RowCodec<unknown> | null;
  changed: boolean;
}

export class Transaction {
  readonly #view: StateView;
  /** By key as a string of its bytes: such strings compare as the bytes do. */
  readonly #slots = new Map<string, Slot>();
  /** What the step under way has overwritten, oldest first; null between steps. */
  #undo: (() => void)[] | null = null;

  constructor(view: StateView) {
    this.#view = view;
  }

  /** The row's value, which the caller may alter in place if it then calls `write`. A key is always read by one codec. */
  read<T>(key: Uint8Array, codec: RowCodec<T>): T | undefined {
    const text = byteText(key);
    let slot = this.#slots.get(text);
    if (slot === undefined) {
      const bytes = this.#view.get(key);
      slot = {
        key,
        value: bytes === undefined ? undefined : codec.decode(bytes),
        codec: codec as RowCodec<unknown>,
        changed: false,
      };
      this.#slots.set(text, slot);
    }
    return slot.value as T | undefined;
  }

  write<T>(key: Uint8Array, codec: RowCodec<T>, value: T): void {
    this.#set(key, value, codec as RowCodec<unknown>);
  }

  remove(key: Uint8Array): void {
    this.#set(key, undefined, null);
  }

  /** Runs a step that is done wholly or not at all: if it throws, what it wrote is taken back. Steps do not nest. */
  atomically<T>(step: () => T): T {
    invariant(this.#undo === null, "one step at a time");
    const undo: (() => void)[] = [];
    this.#undo = undo;
    try {
      return step();
    } catch (error) {
      for (const take of undo.reverse()) take();
      throw error;
    } finally {
      this.#undo = null;
    }
  }

  /** Rows with from ≤ key < to, ascending, page by page; nothing in the range is written meanwhile. */
  *rows<T>(
    from: Uint8Array,
    to: Uint8Array,
    codec: RowCodec<T>,
  ): Generator<{ readonly key: Uint8Array; readonly value: T }> {
    let next = from;
    for (;;) {
      const page = this.scan(next, to, codec, PAGE_ROWS);
      yield* page;
      const last = page.at(-1);
      if (last === undefined || page.length < PAGE_ROWS) return;
      next = keyAfter(last.key);
    }
  }

  /** Rows with from ≤ key < to, ascending, at most `limit`, as they stand now. */
  scan<T>(
    from: Uint8Array,
    to: Uint8Array,
    codec: RowCodec<T>,
    limit: number,
  ): { readonly key: Uint8Array; readonly value: T }[] {
    const [low, high] = [byteText(from), byteText(to)];
    const changed: Slot[] = [];
    for (const [text, slot] of this.#slots) if (slot.changed && text >= low && text < high) changed.push(slot);
    changed.sort((a, b) => compareBytes(a.key, b.key));
    // Each changed row hides at most one row of the view.
    const stored = this.#view.scan(from, to, limit + changed.length);
    const rows: { key: Uint8Array; value: T }[] = [];
    let next = 0;
    const takeChanged = (slot: Slot): void => {
      next++;
      if (slot.value !== undefined) rows.push({ key: slot.key, value: slot.value as T });
    };
    for (const row of stored) {
      let slot = changed[next];
      while (slot !== undefined && compareBytes(slot.key, row.key) < 0) {
        takeChanged(slot);
        slot = changed[next];
      }
      if (slot !== undefined && compareBytes(slot.key, row.key) === 0) takeChanged(slot);
      else rows.push(this.#stored(row, codec));
    }
    for (let slot = changed[next]; slot !== undefined; slot = changed[next]) takeChanged(slot);
    return rows.slice(0, limit);
  }

  /** One write a changed row. */
  writes(): Write[] {
    const writes: Write[] = [];
    for (const slot of this.#slots.values()) {
      if (!slot.changed) continue;
      const value = slot.value === undefined || slot.codec === null ? null : slot.codec.encode(slot.value);
      writes.push({ key: slot.key, value });
    }
    return writes;
  }

  #stored<T>(row: Row, codec: RowCodec<T>): { key: Uint8Array; value: T } {
    // A row that was read before is the one that its reader may be altering.
    const slot = this.#slots.get(byteText(row.key));
    return { key: row.key, value: slot === undefined ? codec.decode(row.value) : (slot.value as T) };
  }

  #set(key: Uint8Array, value: unknown, codec: RowCodec<unknown> | null): void {
    const text = byteText(key);
    const slot = this.#slots.get(text);
    if (slot === undefined) {
      this.#slots.set(text, { key, value, codec, changed: true });
      this.#undo?.push(() => this.#slots.delete(text));
      return;
    }
    const before = { ...slot };
    this.#undo?.push(() => Object.assign(slot, before));
    slot.value = value;
    slot.codec = codec;
    slot.changed = true;
  }
}

/** One character a byte. */
function byteText(bytes: Uint8Array): string {
  // Not a spread: that is five times slower. A call takes a limited number of arguments.
  if (bytes.length <= PIECE) return Reflect.apply(String.fromCharCode, null, bytes);
  return byteText(bytes.subarray(0, PIECE)) + byteText(bytes.subarray(PIECE));
}
const PIECE = 4_096;
