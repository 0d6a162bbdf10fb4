/** The client's store on IndexedDB. Every write is one strict transaction and resolves at its `complete` (S1). */

import { toHex } from "@openclaw/core/bytes.ts";
import { causalOrder } from "@openclaw/core/client/causal-order.ts";
import type {
  Awaiting,
  ClientWrite,
  DownCursor,
  FailedRow,
  MirrorRow,
  OutboxRow,
  QuarantinedRow,
  SiteLife,
} from "@openclaw/core/client/store.ts";
import { type ChangeHash, type LinkId, type Seq, seq } from "@openclaw/core/ids.ts";
import type { DocumentChange } from "@openclaw/core/ledger/record.ts";
import { BATCH_ITEMS_MAX } from "@openclaw/core/limits.ts";
import { compactChange, compactRow } from "./compact.ts";
import { isCopied } from "./copy-folder.ts";
import { Database } from "./database.ts";
import type { DeviceIdentity, DeviceStore } from "./device-store.ts";
import { mirror, mirrorRange } from "./mirror-rows.ts";
import { addAwaiting, answer, enqueue, forgetAwaiting, forgetFailed, replace } from "./outbox-rows.ts";
import type { BatchName, ClientDatabase, ClientSchema, Step, StoreName } from "./schema.ts";
import type { SecondCopy } from "./second-copy.ts";

/** Documents whose stored hashes are remembered, so that a repeated change is not stored again; the oldest goes first. */
const KNOWN_DOCUMENTS_MAX = 256;
/** Rows of changes of one document above which reading it packs them anew. */
const CHANGE_ROWS_MAX = 512;

/** Strict: `relaxed`, the default everywhere, completes before the disk has it (pitfall 40). */
const STRICT = { durability: "strict" } as const;

/** The code of second copies is waited for so long, ms: over a network that hangs it may never come. */
const COPY_MS_MAX = 3_000;

/** @throws DOMException what the database throws */
export type OpenCopy = (database: ClientDatabase, own: ReadonlySet<LinkId>) => Promise<SecondCopy>;
/** @throws Error what keeps its code from being loaded */
export type LoadCopy = () => Promise<OpenCopy>;

export class IndexedDbStore implements DeviceStore {
  readonly #database: Database;
  readonly #instance = toHex(crypto.getRandomValues(new Uint8Array(16)));
  #count = 0;
  readonly #known = new Map<string, Set<ChangeHash>>();
  /** Since when nobody has dropped changes: what is known to be stored is so as of then. */
  #drops = "";
  readonly #loadCopy: LoadCopy | null;
  #copy: SecondCopy | null = null;
  /** Resolves when there is a copy, or none for now. Null: the next write tries. */
  #copying: Promise<void> | null = null;
  /** Links of which rows were stored here. */
  readonly #own = new Set<LinkId>();
  #site: SiteLife | null = null;

  /**
   * @param name of the database; two sites of one origin need two
   * @param loadCopy of what waits here; none is kept, unless given, as for who only reads
   */
  constructor(name: string, loadCopy: LoadCopy | null = null) {
    this.#loadCopy = loadCopy;
    this.#database = new Database(name, {
      opened: (database) => this.#begin(name, database),
      replaced: async (database) => {
        await this.#copying;
        await this.#copy?.replaced(database);
      },
    });
  }

  async identity(): Promise<DeviceIdentity> {
    const name = await this.#database.identity();
    const takenUp = await this.#database.run((database) => database.get("identity", "takenUp"));
    return { name, takenUp: Number(takenUp ?? 0), copied: this.#copy && this.#copy.failure === null };
  }

  async write(write: ClientWrite): Promise<void> {
    const fresh: { collection: string; document: string; changes: readonly DocumentChange[]; name: BatchName }[] = [];
    for (const { collection, document, changes } of write.changes ?? []) {
      const unknown = await this.#unknown(collection, document, changes);
      if (unknown.length === 0) continue;
      fresh.push({ collection, document, changes: unknown.map(compactChange), name: this.#nextName() });
    }
    const awaitingName = this.#nextName();
    const stores = storesOf(write, fresh.length > 0);
    if (stores.length === 0) return;

    await this.#database.run(async (database) => {
      const step = database.transaction(stores, "readwrite", STRICT);
      try {
        await enqueue(step, write.enqueue ?? []);
        for (const { collection, document, changes, name } of fresh) {
          await step.objectStore("changes").put(changes, [collection, document, ...name]);
        }
        await drop(step, write.dropped ?? []);
        await replace(step, write.replaced ?? []);
        await answer(step, write.answered ?? []);
        await addAwaiting(step, write.awaiting ?? [], awaitingName);
        if (write.hubHolds !== undefined) await forgetAwaiting(step, write.hubHolds);
        // The write may be made a second time: a name stands there once.
        await forgetFailed(step, write.failed ?? []);
        for (const row of write.failed ?? []) await step.objectStore("failed").add({ ...row, ...compactRow(row) });
        await forgetFailed(step, write.forgetFailed ?? []);
        for (const row of write.quarantined ?? []) await step.objectStore("quarantined").put(row, quarantineKey(row));
        for (const row of write.released ?? []) await step.objectStore("quarantined").delete(quarantineKey(row));
        if (write.mirrorReset === true) await step.objectStore("mirror").clear();
        await mirror(step, write.mirrorPuts ?? [], write.mirrorDeletes ?? []);
        if (write.down !== undefined) await step.objectStore("cursors").put(write.down, "down");
      } catch (error) {
        abort(step);
        throw error;
      }
      await step.done;
    });
    for (const { collection, document, changes } of write.dropped ?? [])
      for (const { hash } of changes) this.#known.get(documentKey(collection, document))?.delete(hash);
    // Only now: a change that may still be rolled back must not make another write skip it.
    for (const { collection, document, changes } of fresh) {
      const known = this.#known.get(documentKey(collection, document));
      for (const change of changes) known?.add(change.hash);
    }
    for (const { link } of write.enqueue ?? []) this.#own.add(link);
    if (write.down !== undefined) await this.follows(write.down);
    if (!stores.includes("outbox") && !stores.includes("failed")) return;
    this.#copying ??= this.#openCopy((open) => this.#database.run((database) => open(database, this.#own)));
    await this.#copying;
    await this.#copy?.wrote(write);
  }

  /** Whom this page's rows are for that name no site. */
  async follows(site: SiteLife): Promise<void> {
    this.#site = site;
    await this.#copy?.follows(site);
  }

  outboxLinks(): Promise<readonly LinkId[]> {
    return this.#database.run(async (database) => {
      const links: LinkId[] = [];
      let cursor = await database.transaction("outbox").store.openKeyCursor();
      while (cursor !== null) {
        const link = cursor.key[0] as LinkId;
        links.push(link);
        // An array sorts after every number: the first row of the next link.
        cursor = await cursor.continue([link, []] as never);
      }
      return links;
    });
  }

  outbox(link: LinkId, from: Seq, limit: number): Promise<readonly OutboxRow[]> {
    return this.#database.run(async (database) => {
      const rows: OutboxRow[] = [];
      // A packed row is found by its last number, so the first one at or above `from` is the one that holds it.
      let cursor = await database.transaction("outbox").store.openCursor(IDBKeyRange.bound([link, from], [link, []]));
      while (cursor !== null && rows.length < limit) {
        for (const row of cursor.value) if (row.seq >= from && rows.length < limit) rows.push(row);
        cursor = await cursor.continue();
      }
      return rows;
    });
  }

  nextSeq(link: LinkId): Promise<Seq> {
    return this.#database.run(async (database) => seq((await database.get("links", link)) ?? 1));
  }

  awaiting(): Promise<readonly Awaiting[]> {
    return this.#database.run(async (database) => (await database.getAll("awaiting")).flat());
  }

  failed(): Promise<readonly FailedRow[]> {
    return this.#database.run((database) => database.getAll("failed"));
  }

  quarantined(): Promise<readonly QuarantinedRow[]> {
    return this.#database.run((database) => database.getAll("quarantined"));
  }

  async document(collection: string, document: string): Promise<readonly DocumentChange[]> {
    const batches = await this.#database.run((database) =>
      database.getAll("changes", documentRange(collection, document)),
    );
    const changes = causalOrder(batches.flat());
    this.#remember(documentKey(collection, document), new Set(changes.map((change) => change.hash)));
    if (batches.length > CHANGE_ROWS_MAX) await this.#pack(collection, document);
    return changes;
  }

  documents(collection: string): Promise<readonly string[]> {
    return this.#database.run(async (database) => {
      const documents: string[] = [];
      const range = IDBKeyRange.bound([collection], [collection, []]);
      let cursor = await database.transaction("changes").store.openKeyCursor(range);
      while (cursor !== null) {
        const document = cursor.key[1];
        documents.push(document);
        cursor = await cursor.continue([collection, document, []] as never);
      }
      return documents;
    });
  }

  collections(): Promise<readonly string[]> {
    return this.#database.run(async (database) => {
      const collections: string[] = [];
      let cursor = await database.transaction("changes").store.openKeyCursor();
      while (cursor !== null) {
        const collection = cursor.key[0];
        collections.push(collection);
        cursor = await cursor.continue([collection, []] as never);
      }
      return collections;
    });
  }

  mirror(origin: string | null, from: Uint8Array, to: Uint8Array | null): Promise<readonly MirrorRow[]> {
    return this.#database.run((database) => database.getAll("mirror", mirrorRange(origin, from, to)));
  }

  mirrored(): Promise<readonly MirrorRow[]> {
    return this.#database.run((database) => database.getAll("mirror"));
  }

  down(): Promise<DownCursor | null> {
    return this.#database.run(async (database) => (await database.get("cursors", "down")) ?? null);
  }

  /** The mirror and the cursor that it is of, as of one moment. */
  standing(): Promise<{ readonly mirror: readonly MirrorRow[]; readonly down: DownCursor | null }> {
    return this.#database.run(async (database) => {
      const step = database.transaction(["mirror", "cursors"]);
      const [mirror, down] = await Promise.all([
        step.objectStore("mirror").getAll(),
        step.objectStore("cursors").get("down"),
      ]);
      return { mirror, down: down ?? null };
    });
  }

  async close(): Promise<void> {
    this.#copy?.close();
    await this.#database.close();
  }

  /** In a database that was just made, rows of the one before come first, and everybody waits for them. */
  async #begin(name: string, database: ClientDatabase): Promise<void> {
    const isNew = (await database.get("identity", "takenUp")) === undefined;
    this.#copying = this.#openCopy((open) => open(database, this.#own));
    if (isNew && (await isCopied(name))) await this.#copying;
  }

  #openCopy(inDatabase: (open: OpenCopy) => Promise<SecondCopy>): Promise<void> {
    if (this.#loadCopy === null) return Promise.resolve();
    const open = async (code: OpenCopy): Promise<void> => {
      this.#copy = await inDatabase(code);
      if (this.#site !== null) await this.#copy.follows(this.#site);
    };
    // `identity` tells that there is none. The rows stand in the database.
    const none = (): void => {
      this.#copying = null;
    };
    const opened = this.#loadCopy().then((code) => {
      // Who writes from now on waits for it: what was stored before it looks, it finds there.
      this.#copying = open(code).catch(none);
      return this.#copying;
    }, none);
    return Promise.race([opened, new Promise<void>((resolve) => setTimeout(resolve, COPY_MS_MAX))]);
  }

  #nextName(): BatchName {
    return [this.#instance, this.#count++];
  }

  /** Those that are not stored. Another tab may have dropped some that were, and the site brings them back. */
  async #unknown(
    collection: string,
    document: string,
    changes: readonly DocumentChange[],
  ): Promise<readonly DocumentChange[]> {
    const known = await this.#knownHashes(collection, document);
    const unknown = changes.filter(({ hash }) => !known.has(hash));
    if (unknown.length === changes.length) return unknown;
    const drops = await this.#database.run(async (database) => (await database.get("identity", "drops")) ?? "");
    if (drops === this.#drops) return unknown;
    this.#drops = drops;
    this.#known.clear();
    const stored = await this.#knownHashes(collection, document);
    return changes.filter(({ hash }) => !stored.has(hash));
  }

  async #knownHashes(collection: string, document: string): Promise<ReadonlySet<ChangeHash>> {
    const key = documentKey(collection, document);
    const known = this.#known.get(key);
    if (known !== undefined) return known;
    const batches = await this.#database.run((database) =>
      database.getAll("changes", documentRange(collection, document)),
    );
    return this.#remember(key, new Set(batches.flat().map((change) => change.hash)));
  }

  #remember(key: string, hashes: Set<ChangeHash>): ReadonlySet<ChangeHash> {
    this.#known.delete(key);
    this.#known.set(key, hashes);
    const oldest = this.#known.keys().next().value;
    if (this.#known.size > KNOWN_DOCUMENTS_MAX && oldest !== undefined) this.#known.delete(oldest);
    return hashes;
  }

  /** Rewrites a document's rows as few. Read again inside the transaction: another tab may have written since. */
  #pack(collection: string, document: string): Promise<void> {
    const names: BatchName[] = [];
    return this.#database.run(async (database) => {
      const step = database.transaction(["changes"], "readwrite", STRICT);
      try {
        const store = step.objectStore("changes");
        const range = documentRange(collection, document);
        const changes = causalOrder((await store.getAll(range)).flat());
        await store.delete(range);
        for (let from = 0, batch = 0; from < changes.length; from += BATCH_ITEMS_MAX, batch++) {
          // Drawn once: the step may be repeated.
          const name = names[batch] ?? this.#nextName();
          names[batch] = name;
          await store.put(changes.slice(from, from + BATCH_ITEMS_MAX), [collection, document, ...name]);
        }
      } catch (error) {
        abort(step);
        throw error;
      }
      await step.done;
    });
  }
}

async function drop(step: Step, dropped: NonNullable<ClientWrite["dropped"]>): Promise<void> {
  if (dropped.length === 0) return;
  await step.objectStore("identity").put(toHex(crypto.getRandomValues(new Uint8Array(16))), "drops");
  for (const { collection, document, changes } of dropped) {
    const gone = new Set(changes.map(({ hash }) => hash));
    let cursor = await step.objectStore("changes").openCursor(documentRange(collection, document));
    while (cursor !== null) {
      const left = cursor.value.filter(({ hash }) => !gone.has(hash));
      if (left.length === 0) await cursor.delete();
      else if (left.length < cursor.value.length) await cursor.update(left);
      cursor = await cursor.continue();
    }
  }
}

/** Only what the write touches: a transaction waits for others on the same stores. */
function storesOf(write: ClientWrite, changes: boolean): StoreName[] {
  const some = (list: readonly unknown[] | undefined): boolean => list !== undefined && list.length > 0;
  const stores: StoreName[] = [];
  if (some(write.enqueue)) stores.push("links");
  if (some(write.enqueue) || some(write.answered) || some(write.replaced)) stores.push("outbox");
  if (changes || some(write.dropped)) stores.push("changes");
  if (some(write.dropped)) stores.push("identity");
  if (some(write.awaiting) || write.hubHolds !== undefined) stores.push("awaiting");
  if (some(write.failed) || some(write.forgetFailed)) stores.push("failed");
  if (some(write.quarantined) || some(write.released)) stores.push("quarantined");
  if (write.mirrorReset === true || some(write.mirrorPuts) || some(write.mirrorDeletes)) stores.push("mirror");
  if (write.down !== undefined) stores.push("cursors");
  return stores;
}

const quarantineKey = ({ collection, document, hash }: Pick<QuarantinedRow, "collection" | "document" | "hash">) =>
  [collection, document, hash] satisfies ClientSchema["quarantined"]["key"];
const documentKey = (collection: string, document: string): string => JSON.stringify([collection, document]);
const documentRange = (collection: string, document: string): IDBKeyRange =>
  IDBKeyRange.bound([collection, document], [collection, document, []]);

/** Takes back what the step did. An aborted step rejects `done`, which the caller's own error already tells. */
function abort(step: { abort(): void; readonly done: Promise<void> }): void {
  step.done.catch(() => undefined);
  try {
    step.abort();
  } catch {
    // It was over already: the error that brought us here ended it.
  }
}
