/**
 * Rows as they were before they were replaced, by key: kept in blocks, each sorted, so that one more costs a search and the
 * move of one block, however many there are.
 */
import { compareBytes } from "../bytes.ts";

/** Rows of a block; a full one is cut in two. */
const BLOCK_ROWS = 128;

/** What was under a key; `value` null: nothing was. */
export interface ReplacedRow {
  readonly key: Uint8Array;
  readonly value: Uint8Array | null;
}

export class ReplacedRows {
  /** None is empty. */
  readonly #blocks: ReplacedRow[][] = [];

  get empty(): boolean {
    return this.#blocks.length === 0;
  }

  get(key: Uint8Array): ReplacedRow | undefined {
    const found = this.from(key).next();
    return found.done !== true && compareBytes(found.value.key, key) === 0 ? found.value : undefined;
  }

  /** None of its key is there. */
  add(row: ReplacedRow): void {
    const at = Math.max(0, this.#blockBehind(row.key) - 1);
    const block = this.#blocks[at];
    if (block === undefined) {
      this.#blocks.push([row]);
      return;
    }
    block.splice(placeIn(block, row.key), 0, row);
    if (block.length > BLOCK_ROWS) this.#blocks.splice(at + 1, 0, block.splice(BLOCK_ROWS / 2));
  }

  /** Those at or after `key`, ascending. Nothing may be added meanwhile. */
  *from(key: Uint8Array): Generator<ReplacedRow, void> {
    let at = Math.max(0, this.#blockBehind(key) - 1);
    let row = placeIn(this.#blocks[at] ?? [], key);
    for (let block = this.#blocks[at]; block !== undefined; block = this.#blocks[++at], row = 0)
      for (let kept = block[row]; kept !== undefined; kept = block[++row]) yield kept;
  }

  /** Forgets rows before `key`, as far as that costs no copy, and returns them. */
  forgetBefore(key: Uint8Array): readonly ReplacedRow[] {
    return this.#blocks.splice(0, Math.max(0, this.#blockBehind(key) - 1)).flat();
  }

  /** The first block that begins after `key`. */
  #blockBehind(key: Uint8Array): number {
    return lowest(this.#blocks.length, (at) => {
      const first = this.#blocks[at]?.[0];
      return first !== undefined && compareBytes(first.key, key) > 0;
    });
  }
}

/** Of the first row at or after `key`. */
const placeIn = (block: readonly ReplacedRow[], key: Uint8Array): number =>
  lowest(block.length, (at) => {
    const row = block[at];
    return row !== undefined && compareBytes(row.key, key) >= 0;
  });

/** The lowest number below `end` of which it holds, as of all that follow; `end` where of none. */
function lowest(end: number, holds: (at: number) => boolean): number {
  let low = 0;
  let high = end;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (holds(middle)) high = middle;
    else low = middle + 1;
  }
  return low;
}
