/**
 * The state as it was when a read began, while entries are applied between the steps of that read: what a write replaces
 * is kept until the read is past it. So a long read answers from one position, and holds nothing up.
 */
import { compareBytes } from "../bytes.ts";
import { invariant, OpenClawError } from "../errors.ts";
import { type ReplacedRow, ReplacedRows } from "./replaced-rows.ts";
import { keyAfter } from "./row-pages.ts";
import type { Row, RowCount, StateView, Write } from "./view.ts";

/** What a kept row costs besides its bytes. */
const OVERHEAD_BYTES = 128;

export class FrozenView implements StateView {
  readonly #present: StateView;
  readonly #bytesMax: number;
  /** What stood where something was written since. */
  readonly #kept = new ReplacedRows();
  #bytes = 0;
  /** Where the last scan ended: nothing before it is asked for again. */
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
      if (this.#kept.get(key) !== undefined) continue;
      const row = { key, value: this.#present.get(key) ?? null };
      this.#kept.add(row);
      this.#bytes += bytesOf(row);
    }
  }

  /** @throws OpenClawError OVERLOADED */
  get(key: Uint8Array): Uint8Array | undefined {
    this.#requireWhole();
    invariant(this.#from === null || compareBytes(key, this.#from) >= 0, "a frozen view is read forwards");
    const kept = this.#kept.get(key);
    return kept === undefined ? this.#present.get(key) : (kept.value ?? undefined);
  }

  /** @throws OpenClawError OVERLOADED */
  scan(from: Uint8Array, to: Uint8Array | null, limit: number): readonly Row[] {
    this.#requireWhole();
    invariant(this.#from === null || compareBytes(from, this.#from) >= 0, "a frozen view is read forwards");
    for (const gone of this.#kept.forgetBefore(from)) this.#bytes -= bytesOf(gone);
    const rows = this.#kept.empty ? this.#present.scan(from, to, limit) : this.#asBefore(from, to, limit);
    const last = rows.length < limit ? undefined : rows.at(-1);
    this.#from = last === undefined ? (to ?? from) : keyAfter(last.key);
    return rows;
  }

  /** @throws OpenClawError OVERLOADED */
  count(from: Uint8Array, to: Uint8Array | null, limit: number): RowCount {
    this.#requireWhole();
    invariant(this.#from === null || compareBytes(from, this.#from) >= 0, "a frozen view is read forwards");
    for (const gone of this.#kept.forgetBefore(from)) this.#bytes -= bytesOf(gone);
    const present = this.#present.count(from, to, limit);
    const end = present.next ?? to;
    let rows = present.rows;
    for (const { key, value } of this.#kept.from(from)) {
      if (end !== null && compareBytes(key, end) >= 0) break;
      const stood = value === null ? 0 : 1;
      rows += stood - (this.#present.get(key) === undefined ? 0 : 1);
    }
    this.#from = end ?? from;
    return { rows, next: present.next };
  }

  #asBefore(from: Uint8Array, to: Uint8Array | null, limit: number): readonly Row[] {
    const rows: Row[] = [];
    let next = from;
    while (rows.length < limit) {
      const page = this.#present.scan(next, to, limit);
      const last = page.length < limit ? undefined : page.at(-1);
      const end = last === undefined ? to : keyAfter(last.key);
      rows.push(...this.#pageBefore(page, next, end));
      if (last === undefined) break;
      next = keyAfter(last.key);
    }
    return rows.slice(0, limit);
  }

  /** A page of [from, to) as it was. */
  *#pageBefore(page: readonly Row[], from: Uint8Array, to: Uint8Array | null): Generator<Row> {
    let at = 0;
    for (const { key, value } of this.#kept.from(from)) {
      if (to !== null && compareBytes(key, to) >= 0) break;
      for (let row = page[at]; row !== undefined && compareBytes(row.key, key) < 0; row = page[++at]) yield row;
      const row = page[at];
      if (row !== undefined && compareBytes(row.key, key) === 0) at++;
      if (value !== null) yield { key, value };
    }
    yield* page.slice(at);
  }

  #requireWhole(): void {
    if (this.#bytes > this.#bytesMax)
      throw new OpenClawError(
        "OVERLOADED",
        `more than ${this.#bytesMax} bytes were written while it was read; ask for less`,
      );
  }
}

const bytesOf = ({ key, value }: ReplacedRow): number => OVERHEAD_BYTES + key.length + (value?.length ?? 0);
