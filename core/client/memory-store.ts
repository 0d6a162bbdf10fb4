/** The client's store in memory: for tests, and for a Node program whose writes are safe once its site has them. */
import { compareBytes } from "../bytes.ts";
import { type ChangeHash, type LinkId, type Revision, type Seq, seq } from "../ids.ts";
import type { DocumentChange } from "../ledger/record.ts";
import { causalOrder } from "./causal-order.ts";
import { mirrorName } from "./mirror-name.ts";
import type {
  Awaiting,
  ClientStore,
  ClientWrite,
  DownCursor,
  FailedRow,
  MirrorRow,
  OutboxRow,
  QuarantinedRow,
} from "./store.ts";

export class MemoryClientStore implements ClientStore {
  readonly #outboxes = new Map<LinkId, Map<Seq, OutboxRow>>();
  readonly #nextSeqs = new Map<LinkId, number>();
  /** By collection, then document, then hash. */
  readonly #changes = new Map<string, Map<string, Map<ChangeHash, DocumentChange>>>();
  #awaiting: Awaiting[] = [];
  #failed: FailedRow[] = [];
  readonly #quarantined = new Map<string, QuarantinedRow>();
  readonly #mirror = new Map<string, MirrorRow>();
  #down: DownCursor | null = null;

  async write(write: ClientWrite): Promise<void> {
    for (const row of write.enqueue ?? []) {
      entry(this.#outboxes, row.link, () => new Map<Seq, OutboxRow>()).set(row.seq, row);
      this.#nextSeqs.set(row.link, Math.max(this.#nextSeqs.get(row.link) ?? 1, row.seq + 1));
    }
    for (const { collection, document, changes } of write.changes ?? []) {
      const documents = entry(this.#changes, collection, () => new Map<string, Map<ChangeHash, DocumentChange>>());
      const known = entry(documents, document, () => new Map<ChangeHash, DocumentChange>());
      for (const change of changes) if (!known.has(change.hash)) known.set(change.hash, change);
    }
    for (const { collection, document, changes } of write.dropped ?? [])
      for (const { hash } of changes) this.#changes.get(collection)?.get(document)?.delete(hash);
    for (const row of write.replaced ?? []) {
      const rows = this.#outboxes.get(row.link);
      if (rows?.has(row.seq) === true) rows.set(row.seq, row);
    }
    for (const { link, seq: answered } of write.answered ?? []) {
      const rows = this.#outboxes.get(link);
      rows?.delete(answered);
      if (rows?.size === 0) this.#outboxes.delete(link);
    }
    this.#awaiting.push(...(write.awaiting ?? []));
    this.#failed.push(...(write.failed ?? []));
    for (const { link, seq: forgotten } of write.forgetFailed ?? []) {
      this.#failed = this.#failed.filter((row) => row.link !== link || row.seq !== forgotten);
    }
    for (const row of write.quarantined ?? []) this.#quarantined.set(quarantineName(row), row);
    for (const row of write.released ?? []) this.#quarantined.delete(quarantineName(row));
    const holds: Revision | undefined = write.hubHolds;
    if (holds !== undefined) this.#awaiting = this.#awaiting.filter((row) => row.revision > holds);
    if (write.mirrorReset === true) this.#mirror.clear();
    for (const row of write.mirrorPuts ?? []) this.#mirror.set(mirrorName(row), row);
    for (const row of write.mirrorDeletes ?? []) this.#mirror.delete(mirrorName(row));
    if (write.down !== undefined) this.#down = write.down;
  }

  async outboxLinks(): Promise<readonly LinkId[]> {
    return [...this.#outboxes.keys()];
  }

  async outbox(link: LinkId, from: Seq, limit: number): Promise<readonly OutboxRow[]> {
    const rows: OutboxRow[] = [];
    // Rows are enqueued in ascending order, and a map keeps the order of insertion.
    for (const row of this.#outboxes.get(link)?.values() ?? []) {
      if (rows.length === limit) break;
      if (row.seq >= from) rows.push(row);
    }
    return rows;
  }

  async nextSeq(link: LinkId): Promise<Seq> {
    return seq(this.#nextSeqs.get(link) ?? 1);
  }

  async awaiting(): Promise<readonly Awaiting[]> {
    return [...this.#awaiting];
  }

  async failed(): Promise<readonly FailedRow[]> {
    return [...this.#failed];
  }

  async quarantined(): Promise<readonly QuarantinedRow[]> {
    return [...this.#quarantined.values()];
  }

  async document(collection: string, document: string): Promise<readonly DocumentChange[]> {
    return causalOrder(this.#changes.get(collection)?.get(document)?.values() ?? []);
  }

  async documents(collection: string): Promise<readonly string[]> {
    return [...(this.#changes.get(collection)?.keys() ?? [])].sort();
  }

  async collections(): Promise<readonly string[]> {
    const held = [...this.#changes].filter(([, documents]) => [...documents.values()].some(({ size }) => size > 0));
    return held.map(([collection]) => collection).sort();
  }

  async mirror(origin: string | null, from: Uint8Array, to: Uint8Array | null): Promise<readonly MirrorRow[]> {
    const rows = [...this.#mirror.values()].filter(
      (row) =>
        row.origin === origin && compareBytes(from, row.key) <= 0 && (to === null || compareBytes(row.key, to) < 0),
    );
    return rows.sort((a, b) => compareBytes(a.key, b.key));
  }

  async mirrored(): Promise<readonly MirrorRow[]> {
    return [...this.#mirror.values()];
  }

  async down(): Promise<DownCursor | null> {
    return this.#down;
  }

  async close(): Promise<void> {}
}

function entry<K, V>(map: Map<K, V>, key: K, make: () => V): V {
  const known = map.get(key);
  if (known !== undefined) return known;
  const value = make();
  map.set(key, value);
  return value;
}

const quarantineName = ({ collection, document, hash }: Pick<QuarantinedRow, "collection" | "document" | "hash">) =>
  JSON.stringify([collection, document, hash]);
