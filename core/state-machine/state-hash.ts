/**
 * Hashes over rows. Of every row (D6): replicas that applied the same index must agree on it. Of the content, which the
 * ledger determines: whatever made the state of a revision, by commands or from the ledger, must agree on that.
 */
import type { Sha256 } from "../ports.ts";
import { CONTENT, isContent } from "./keyspace.ts";
import type { RowsHash } from "./query.ts";
import { pagesOf, rowsOf } from "./row-pages.ts";
import type { Row, StateView } from "./view.ts";

/** Rows are hashed in runs of about this many bytes, each with the hash of those before: one pass, little memory. */
const RUN_BYTES = 65_536;

/** Both, in one pass, with a pause after each page. */
export function* stateHash(
  view: StateView,
  sha256: Sha256,
): Generator<void, RowsHash & { readonly content: RowsHash }> {
  const all = new RowsChain(sha256);
  const content = new RowsChain(sha256);
  for (const page of pagesOf(view, new Uint8Array(0), null)) {
    for (const row of page) {
      all.add(row);
      if (isContent(row.key)) content.add(row);
    }
    yield;
  }
  return { ...all.end(), content: content.end() };
}

/** Of every row, with a pause after each page. */
export function* rowsHash(view: StateView, sha256: Sha256): Generator<void, RowsHash> {
  const chain = new RowsChain(sha256);
  for (const page of pagesOf(view, new Uint8Array(0), null)) {
    for (const row of page) chain.add(row);
    yield;
  }
  return chain.end();
}

export function contentHash(view: StateView, sha256: Sha256): RowsHash {
  const chain = new RowsChain(sha256);
  for (const { from, to } of CONTENT) for (const row of rowsOf(view, from, to)) chain.add(row);
  return chain.end();
}

/** The same of rows that come one after the other, in the order of their keys. */
export class RowsChain {
  readonly #sha256: Sha256;
  #hash: Uint8Array;
  #rows = 0;
  #run: Uint8Array[] = [];
  #bytes = 0;

  constructor(sha256: Sha256) {
    this.#sha256 = sha256;
    this.#hash = sha256(new Uint8Array(0));
  }

  add({ key, value }: Row): void {
    const lengths = new Uint8Array(8);
    new DataView(lengths.buffer).setUint32(0, key.length);
    new DataView(lengths.buffer).setUint32(4, value.length);
    this.#rows++;
    this.#run.push(lengths, key, value);
    this.#bytes += 8 + key.length + value.length;
    if (this.#bytes >= RUN_BYTES) this.#close();
  }

  end(): RowsHash {
    this.#close();
    return { hash: new Uint8Array(this.#hash), rows: this.#rows };
  }

  #close(): void {
    const input = new Uint8Array(this.#hash.length + this.#bytes);
    input.set(this.#hash);
    let offset = this.#hash.length;
    for (const part of this.#run) {
      input.set(part, offset);
      offset += part.length;
    }
    this.#hash = this.#sha256(input);
    this.#run = [];
    this.#bytes = 0;
  }
}
