/**
 * The state as it was when a read began, while entries are applied between the steps of that read: what a write replaces
 * is kept until the read is past it. So a long read answers from one position, and holds nothing up.
 */
import { compareBytes } from "../bytes.ts";
import { invariant, OpenClawError } from "../errors.ts";
import { keyAfter } from "./row-pages.ts";
import type { Row, StateView, Write } from "./view.ts";

/** What a kept row costs besides its bytes. */
const OVERHEAD_BYTES = 128;

export class FrozenView implements StateView {
  readonly #present: StateView;
  readonly #bytesMax: number;
  /** Keys that were written since, ascending, and what was there before; null where there was nothing. */
  #keys: Uint8Array[] = [];
  #before: (Uint8Array | null)[] = [];
  #bytes = 0;
  /** Where the last scan began: nothing before it is asked for again. */
  #from: Uint8Array | null = null;

  /** @param bytesMax kept bytes beyond which the read is given up */
  constructor(present: StateView, bytesMax: number) {
    this.#present = present;
    this.#bytesMax = bytesMax;
  }

  /** To be called before these are written. */
  replaced(writes: readonly Write[]): void {
    if (this.#bytes > this.#bytesMax) return;
    for (const { key } of writes) {
      if (this.#from !== null && compareBytes(key, this.#from) < 0) continue;
      const at = this.#place(key);
      if (this.#isAt(at, key)) continue;
      const before = this.#present.get(key) ?? null;
      this.#keys.splice(at, 0, key);
      this.#before.splice(at, 0, before);
      this.#bytes += OVERHEAD_BYTES + key.length + (before?.length ?? 0);
    }
  }

  /** @throws OpenClawError OVERLOADED */
  get(key: Uint8Array): Uint8Array | undefined {
    this.#requireWhole();
    invariant(this.#from === null || compareBytes(key, this.#from) >= 0, "a frozen view is read forwards");
    const at = this.#place(key);
    return this.#isAt(at, key) ? (this.#before[at] ?? undefined) : this.#present.get(key);
  }

  /** @throws OpenClawError OVERLOADED */
  scan(from: Uint8Array, to: Uint8Array | null, limit: number): readonly Row[] {
    this.#requireWhole();
    invariant(this.#from === null || compareBytes(from, this.#from) >= 0, "a frozen view is read forwards");
    this.#from = from;
    this.#forgetBefore(from);
    if (this.#keys.length === 0) return this.#present.scan(from, to, limit);
    const rows: Row[] = [];
    let next = from;
    while (rows.length < limit) {
      const page = this.#present.scan(next, to, limit);
      const last = page.length < limit ? undefined : page.at(-1);
      const end = last === undefined ? to : keyAfter(last.key);
      rows.push(...this.#asBefore(page, next, end));
      if (last === undefined) break;
      next = keyAfter(last.key);
    }
    return rows.slice(0, limit);
  }

  /** A page of [from, to) as it was. */
  *#asBefore(page: readonly Row[], from: Uint8Array, to: Uint8Array | null): Generator<Row> {
    let at = this.#place(from);
    const kept = (until: Uint8Array | null): Uint8Array | undefined => {
      const key = this.#keys[at];
      return key !== undefined && (until === null || compareBytes(key, until) < 0) ? key : undefined;
    };
    const take = (key: Uint8Array): readonly Row[] => {
      const value = this.#before[at++] ?? null;
      return value === null ? [] : [{ key, value }];
    };
    for (const row of page) {
      for (let key = kept(row.key); key !== undefined; key = kept(row.key)) yield* take(key);
      if (this.#isAt(at, row.key)) yield* take(row.key);
      else yield row;
    }
    for (let key = kept(to); key !== undefined; key = kept(to)) yield* take(key);
  }

  #requireWhole(): void {
    if (this.#bytes > this.#bytesMax)
      throw new OpenClawError(
        "OVERLOADED",
        `more than ${this.#bytesMax} bytes were written while it was read; ask for less`,
      );
  }

  /** Keeps no more than is still asked for. Costs a copy, so it waits until it is worth one. */
  #forgetBefore(from: Uint8Array): void {
    const gone = this.#place(from);
    if (gone < 64 || gone < this.#keys.length / 2) return;
    for (let i = 0; i < gone; i++)
      this.#bytes -= OVERHEAD_BYTES + (this.#keys[i]?.length ?? 0) + (this.#before[i]?.length ?? 0);
    this.#keys = this.#keys.slice(gone);
    this.#before = this.#before.slice(gone);
  }

  #isAt(at: number, key: Uint8Array): boolean {
    const found = this.#keys[at];
    return found !== undefined && compareBytes(found, key) === 0;
  }

  /** Of the first kept key at or after `key`. */
  #place(key: Uint8Array): number {
    let low = 0;
    let high = this.#keys.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      const other = this.#keys[middle];
      if (other !== undefined && compareBytes(other, key) < 0) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}
