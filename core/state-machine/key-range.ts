/**
 * Ranges as etcd answers them: sorted, bounded by revisions, limited, counted. One pass over the rows in the order of
 * their keys; what is held is never more than the answer.
 */
import { compareBytes, EMPTY_BYTES } from "../bytes.ts";
import { unreachable } from "../errors.ts";
import { RANGE_ROWS_MAX } from "../limits.ts";
import { type KeyValue, type RangeRequest, type RangeResponse, type RevisionBounds, rowBytes } from "./operation.ts";

/**
 * @param rows the selected keys, ascending
 * @param bytesMax an answer that holds so much ends early, with `more` set and after at least one row
 */
export function answerRange(rows: Iterable<KeyValue>, request: RangeRequest, bytesMax: number): RangeResponse {
  const answer = new RangeAnswer(request, bytesMax);
  for (const row of rows) {
    answer.take(row);
    if (answer.complete) break;
  }
  return answer.response();
}

/** An answer that grows with each row, for who reads them in pieces; the rows come in the order of their keys. */
export class RangeAnswer {
  readonly #request: RangeRequest;
  readonly #first: FirstRows;
  readonly #counting: boolean;
  #count = 0;

  constructor(request: RangeRequest, bytesMax: number) {
    this.#request = request;
    this.#first = new FirstRows(request, bytesMax);
    this.#counting = request.counted || request.view === "count";
  }

  /** No later row can change it. */
  get complete(): boolean {
    return this.#first.complete && !this.#counting;
  }

  take(row: KeyValue): void {
    this.#count++;
    if (this.#request.view !== "count" && inBounds(row, this.#request.bounds)) this.#first.take(row);
  }

  /** So many rows more, of which nothing but their number matters. */
  count(rows: number): void {
    this.#count += rows;
  }

  response(): RangeResponse {
    const { rows, more } = this.#first;
    // A row is sorted by its value even where that is not told.
    const told = this.#request.view === "keys" ? rows.map(withoutValue) : rows;
    return { rows: told, more, count: this.#counting ? this.#count : null };
  }
}

/** The first rows of the order asked for, as many as fit. */
class FirstRows {
  rows: KeyValue[] = [];
  more = false;
  readonly #before: (a: KeyValue, b: KeyValue) => number;
  readonly #inOrder: boolean;
  readonly #heldWhole: boolean;
  readonly #rowsMax: number;
  readonly #bytesMax: number;
  #bytes = 0;

  constructor({ sort, limit, view }: RangeRequest, bytesMax: number) {
    this.#before = order(sort);
    this.#inOrder = sort.target === "key" && sort.order === "ascending";
    this.#heldWhole = view === "rows" || sort.target === "value";
    this.#rowsMax = limit === 0 ? RANGE_ROWS_MAX : Math.min(limit, RANGE_ROWS_MAX);
    this.#bytesMax = bytesMax;
  }

  /** No later row can change it. */
  get complete(): boolean {
    return this.#inOrder && this.more;
  }

  take(row: KeyValue): void {
    const held = this.#heldWhole ? row : withoutValue(row);
    const at = this.#inOrder ? this.rows.length : this.#place(held);
    if (at === this.rows.length && this.#full) {
      this.more = true;
      return;
    }
    this.rows.splice(at, 0, held);
    this.#bytes += rowBytes(held);
    for (let last = this.rows.at(-1); last !== undefined && this.#over(last); last = this.rows.at(-1)) {
      this.rows.pop();
      this.#bytes -= rowBytes(last);
      this.more = true;
    }
  }

  get #full(): boolean {
    return this.rows.length >= this.#rowsMax || this.#bytes >= this.#bytesMax;
  }

  /** Whether the answer was full before its last row. */
  #over(last: KeyValue): boolean {
    return this.rows.length > this.#rowsMax || (this.rows.length > 1 && this.#bytes - rowBytes(last) >= this.#bytesMax);
  }

  /** Behind its equals: of those, the lesser key comes first. */
  #place(row: KeyValue): number {
    let low = 0;
    let high = this.rows.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      const other = this.rows[middle];
      if (other !== undefined && this.#before(other, row) <= 0) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}

const withoutValue = (row: KeyValue): KeyValue => ({ ...row, value: EMPTY_BYTES });

function order({ target, order }: RangeRequest["sort"]): (a: KeyValue, b: KeyValue) => number {
  const ascending = comparison(target);
  switch (order) {
    case "ascending":
      return ascending;
    case "descending":
      return (a, b) => ascending(b, a);
    default:
      return unreachable(order);
  }
}

function comparison(target: RangeRequest["sort"]["target"]): (a: KeyValue, b: KeyValue) => number {
  switch (target) {
    case "key":
      return (a, b) => compareBytes(a.key, b.key);
    case "value":
      return (a, b) => compareBytes(a.value, b.value);
    case "version":
    case "createRevision":
    case "modRevision":
      return (a, b) => a[target] - b[target];
    default:
      return unreachable(target);
  }
}

function inBounds(row: KeyValue, bounds: RevisionBounds | null): boolean {
  if (bounds === null) return true;
  const { minModRevision, maxModRevision, minCreateRevision, maxCreateRevision } = bounds;
  return (
    within(row.modRevision, minModRevision, maxModRevision) &&
    within(row.createRevision, minCreateRevision, maxCreateRevision)
  );
}

const within = (value: number, min: number, max: number): boolean => value >= min && (max === 0 || value <= max);
