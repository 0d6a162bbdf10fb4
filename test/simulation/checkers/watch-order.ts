/**
 * etcd's guarantees of a watch (pitfall 23): ordered and unique (each revision once, ascending), reliable (none is left
 * out), atomic (a revision comes whole, and the same to all), resumable (a watch that is begun again goes on where it was).
 */
import { equalBytes } from "@openclaw/core/bytes.ts";
import type { StoredRecord } from "@openclaw/core/ports.ts";

export class WatchOrder {
  /** What the first watcher saw, by revision. */
  readonly #seen: Uint8Array[] = [];
  readonly #last = new Map<string, number>();
  readonly #violation: (text: string) => void;

  constructor(violation: (text: string) => void) {
    this.#violation = violation;
  }

  delivered(watcher: string, records: readonly StoredRecord[]): void {
    let last = this.#last.get(watcher) ?? 0;
    for (const { revision, record } of records) {
      if (revision !== last + 1) this.#violation(`${watcher} knew revision ${last} and was told ${revision}`);
      const seen = this.#seen[revision];
      if (seen === undefined) this.#seen[revision] = record;
      else if (!equalBytes(seen, record)) this.#violation(`${watcher} was told another revision ${revision}`);
      last = revision;
    }
    this.#last.set(watcher, last);
  }

  /** Healed and quiet, everybody was told everything. */
  ended(watcher: string, revision: number): void {
    const last = this.#last.get(watcher) ?? 0;
    if (last !== revision) this.#violation(`${watcher} was told up to ${last}, the ledger ends at ${revision}`);
  }
}
