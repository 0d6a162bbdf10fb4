/** What was taken of a stream, sorted by what it concerns: one write, and what is told once that is stored. */
import type { ChangeHash, Revision } from "../ids.ts";
import type { DocumentPart } from "../ledger/snapshot.ts";
import { type Finding, type InspectedChange, type InspectedRecord, inspectedChange } from "./inspection.ts";
import type { KeyEvent } from "./key-row.ts";
import { mirrorName } from "./mirror-name.ts";
import type { ClientWrite, MirrorRow } from "./store.ts";

export class Taken {
  readonly documents = new Map<string, { collection: string; document: string; changes: InspectedChange[] }>();
  readonly committed: { readonly hashes: readonly ChangeHash[]; readonly at: Revision }[] = [];
  readonly events: KeyEvent[] = [];
  readonly #mirror = new Map<
    string,
    { readonly key: Uint8Array; readonly origin: string | null; readonly row: MirrorRow | null }
  >();

  record({ record, findings }: InspectedRecord): void {
    const origin = record.origin?.cluster ?? null;
    const at = record.origin?.revision ?? record.revision;
    const { principal, time, snapshot } = record;
    const hashes: ChangeHash[] = [];
    for (const [i, event] of record.events.entries()) {
      if (event.kind === "change") hashes.push(event.change.hash);
      switch (event.kind) {
        case "change":
          this.#change(event.collection, event.document, inspectedChange(event.change, findings[i]));
          break;
        case "put": {
          const { key, value } = event;
          this.events.push({ kind: "put", key, value, origin, revision: at, principal, time, snapshot });
          this.#mirrored({ key, origin, row: { key, origin, value, modRevision: at } });
          break;
        }
        case "delete":
          this.events.push({
            kind: "delete",
            key: event.key,
            value: new Uint8Array(0),
            origin,
            revision: at,
            principal,
            time,
            snapshot,
          });
          this.#mirrored({ key: event.key, origin, row: null });
          break;
      }
    }
    if (hashes.length > 0) this.committed.push({ hashes, at: record.revision });
  }

  /** What a snapshot has of a document, as of one of the site's revisions. */
  part({ collection, document, changes }: DocumentPart, findings: readonly Finding[], at: Revision): void {
    for (const [i, change] of changes.entries())
      this.#change(collection, document, inspectedChange(change, findings[i]));
    if (changes.length > 0) this.committed.push({ hashes: changes.map(({ hash }) => hash), at });
  }

  /** How a key of a snapshot differs from the mirror; `row` null: it is gone. */
  difference(key: Uint8Array, origin: string | null, row: MirrorRow | null, at: Revision): void {
    this.events.push({
      kind: row === null ? "delete" : "put",
      key,
      value: row?.value ?? new Uint8Array(0),
      origin,
      revision: row?.modRevision ?? at,
      principal: null,
      time: null,
      snapshot: true,
    });
    this.#mirrored({ key, origin, row });
  }

  /** But for the documents' changes, which are sifted first. */
  write(): ClientWrite {
    const rows = [...this.#mirror.values()];
    return {
      mirrorPuts: rows.flatMap(({ row }) => (row === null ? [] : [row])),
      mirrorDeletes: rows.filter(({ row }) => row === null),
    };
  }

  #change(collection: string, document: string, change: InspectedChange): void {
    const name = JSON.stringify([collection, document]);
    const known = this.documents.get(name);
    if (known === undefined) this.documents.set(name, { collection, document, changes: [change] });
    else known.changes.push(change);
  }

  #mirrored(entry: { readonly key: Uint8Array; readonly origin: string | null; readonly row: MirrorRow | null }): void {
    const name = mirrorName(entry);
    // Inserted anew, so that the last write stands last.
    this.#mirror.delete(name);
    this.#mirror.set(name, entry);
  }
}
