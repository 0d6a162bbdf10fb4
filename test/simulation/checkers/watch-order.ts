/**
 * etcd's guarantees of a watch (pitfall 23): ordered and unique (each revision once, ascending), reliable (none is left
 * out), atomic (a revision comes whole, and the same to all), resumable (a watch that is begun again goes on where it was).
 */
import { equalBytes } from "@openclaw/core/bytes.ts";
import type { StoredRecord } from "@openclaw/core/ports.ts";

export class WatchOrder {
  /** What was written first, by revision. */
  readonly #seen: Uint8Array[] = [];
  readonly #last = new Map<string, number>();
  /** By node: the last revision that its listeners were told of. */
  readonly #advanced = new Map<string, number>();
  readonly #violation: (text: string) => void;

  constructor(violation: (text: string) => void) {
    this.#violation = violation;
  }

  /** A store has these records now. */
  wrote(records: readonly StoredRecord[]): void {
    for (const { revision, record } of records) this.#seen[revision] ??= record;
  }

  /** A watcher that was nobody before asks for everything from a revision on. */
  begins(watcher: string, from: number): void {
    this.#last.set(watcher, from - 1);
  }

  delivered(watcher: string, records: readonly StoredRecord[]): void {
    let last = this.#last.get(watcher) ?? 0;
    for (const { revision, record } of records) {
      if (revision !== last + 1) this.#violation(`${watcher} knew revision ${last} and was told ${revision}`);
      const seen = this.#seen[revision];
      if (seen === undefined) this.#violation(`${watcher} was told of revision ${revision}, which nobody wrote`);
      else if (!equalBytes(seen, record)) this.#violation(`${watcher} was told another revision ${revision}`);
      last = revision;
    }
    this.#last.set(watcher, last);
  }

  /** `node` begins to tell its listeners. */
  began(node: string): void {
    this.#advanced.delete(node);
  }

  /** What every listener of a node's ledger is told, as it happens: ascending, each once. A snapshot leaves some out. */
  advanced(node: string, records: readonly StoredRecord[]): void {
    for (const { revision } of records) {
      const last = this.#advanced.get(node) ?? 0;
      if (revision <= last) this.#violation(`${node} told its listeners of revision ${revision} after ${last}`);
      this.#advanced.set(node, revision);
    }
  }

  /** Healed and quiet, everybody was told everything. */
  ended(watcher: string, revision: number): void {
    const last = this.#last.get(watcher) ?? 0;
    if (last !== revision) this.#violation(`${watcher} was told up to ${last}, the ledger ends at ${revision}`);
  }
}
