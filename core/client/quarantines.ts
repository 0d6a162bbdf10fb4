/**
 * Received changes that are kept out of their documents (D1, D2), over restarts: so that nothing is given to Automerge that
 * harms it, and nothing is tried again that failed. Bytes that are not the change of their hash are not kept: when the
 * right ones come, they are taken.
 */
import type { ChangeHash } from "../ids.ts";
import type { DocumentChange } from "../ledger/record.ts";
import type { InspectedChange } from "./inspection.ts";
import type { Journal } from "./journal.ts";
import type { ClientWrite, QuarantinedRow } from "./store.ts";

/** Rows on a device. What comes above that is kept out, too, and is not written down. */
export const QUARANTINED_MAX = 10_000;

export interface ReceivedChanges {
  readonly collection: string;
  readonly document: string;
  readonly changes: readonly DocumentChange[];
}

export interface InspectedChanges {
  readonly collection: string;
  readonly document: string;
  readonly changes: readonly InspectedChange[];
}

/** What may be stored and shown, and what has to be written down of the rest. */
export interface Sifted {
  readonly documents: readonly ReceivedChanges[];
  readonly write: Pick<ClientWrite, "quarantined" | "released">;
}

export class Quarantines {
  readonly #byDocument = new Map<string, Map<ChangeHash, QuarantinedRow>>();
  #size = 0;

  constructor(stored: readonly QuarantinedRow[]) {
    this.wrote({ quarantined: stored });
  }

  get size(): number {
    return this.#size;
  }

  of(collection: string, document: string): readonly QuarantinedRow[] {
    return [...(this.#byDocument.get(nameOf(collection, document))?.values() ?? [])];
  }

  sift(received: Iterable<InspectedChanges>): Sifted {
    const documents: ReceivedChanges[] = [];
    const quarantined: QuarantinedRow[] = [];
    const released: QuarantinedRow[] = [];
    for (const { collection, document, changes } of received) {
      const known = this.#byDocument.get(nameOf(collection, document));
      const good: DocumentChange[] = [];
      for (const { change, finding } of changes) {
        const row = known?.get(change.hash);
        if (finding !== null) quarantined.push({ collection, document, hash: change.hash, ...finding });
        else good.push(change);
        if (finding === null && row !== undefined && row.code !== "QUARANTINED") released.push(row);
      }
      if (good.length > 0) documents.push({ collection, document, changes: good });
    }
    return { documents, write: { quarantined: this.#fitting(quarantined), released } };
  }

  /** Automerge refused them, which are stored. Known from here on, whether or not that can be written down. */
  async keepOut(journal: Pick<Journal, "commit">, quarantined: readonly QuarantinedRow[]): Promise<void> {
    const write = { quarantined: this.#fitting(quarantined) };
    this.wrote(write);
    await journal.commit({ write });
  }

  /** That is stored now. */
  wrote({ quarantined = [], released = [] }: Sifted["write"]): void {
    for (const row of quarantined) {
      const name = nameOf(row.collection, row.document);
      const rows = this.#byDocument.get(name) ?? new Map<ChangeHash, QuarantinedRow>();
      this.#byDocument.set(name, rows);
      if (!rows.has(row.hash)) this.#size++;
      rows.set(row.hash, row);
    }
    for (const { collection, document, hash } of released)
      if (this.#byDocument.get(nameOf(collection, document))?.delete(hash) === true) this.#size--;
  }

  #fitting(rows: readonly QuarantinedRow[]): readonly QuarantinedRow[] {
    return rows.slice(0, QUARANTINED_MAX - this.#size);
  }
}

const nameOf = (collection: string, document: string): string => JSON.stringify([collection, document]);
