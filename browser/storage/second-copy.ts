/**
 * A second copy of what the site has not answered, in a file beside the database. Chromium keeps IndexedDB in LevelDB, and where
 * that finds its log torn, as a kill amidst a write may leave it, it deletes every database of the origin, what strict
 * transactions had stored before included (docs/cycles.md). What a person typed is in the file by then, and is taken up again.
 *
 * The file never holds a row that the database did not: it is written when the transaction has completed.
 */
import { nameOf, type Row } from "@openclaw/core/client/outbox-row.ts";
import { readRow, rowTuple } from "@openclaw/core/client/outbox-row-codec.ts";
import type { ClientWrite, FailedRow, OutboxRow, SiteLife } from "@openclaw/core/client/store.ts";
import { decode, encode } from "@openclaw/core/codec.ts";
import { OpenClawError } from "@openclaw/core/errors.ts";
import type { LinkId } from "@openclaw/core/ids.ts";
import type { CopyFile } from "./copy-file.ts";
import type { CopySlots } from "./copy-slots.ts";
import { identityOf } from "./database.ts";
import type { ClientDatabase } from "./schema.ts";
import { storageFailure } from "./storage-failure.ts";
import { takeUp } from "./take-up.ts";

/** Of rows that wait; beyond, there is no second copy. Far more than a person types in a year. */
const BYTES_MAX = 64 * 2 ** 20;
/** A file that holds so much more than twice what waits is written anew, bytes. */
const STALE_BYTES_MAX = 2 ** 20;

export interface CopyPlace {
  /** @throws DOMException SecurityError, …: this browser gives no files here */
  slots(): Promise<CopySlots>;
  /** Links of pages that are alive: each sees to its own rows. */
  claimed(): Promise<ReadonlySet<LinkId>>;
}

export class SecondCopy {
  #identity: string;
  /** Whom rows wait for that name no site. */
  #site: SiteLife | null;
  readonly #slots: CopySlots | null;
  /** Encoded, by name. */
  readonly #rows = new Map<string, Uint8Array>();
  #bytes = 0;
  /** Null while there is none: this page's rows are kept in memory alone. */
  #file: CopyFile | null = null;
  #failure: OpenClawError | null = null;
  #isMoving = false;
  #isClosed = false;

  private constructor(identity: string, site: SiteLife | null, slots: CopySlots | null) {
    this.#identity = identity;
    this.#site = site;
    this.#slots = slots;
  }

  /**
   * First takes up what files hold of a database that is gone. Then what waits here, and is not another page's that is alive, is
   * copied into a file of this page. @throws OpenClawError CLIENT_STORAGE_FAILED
   */
  static async open(database: ClientDatabase, place: CopyPlace): Promise<SecondCopy> {
    const identity = await identityOf(database);
    const site = (await database.get("cursors", "down")) ?? null;
    let slots: CopySlots;
    try {
      slots = await place.slots();
    } catch (error) {
      const none = new SecondCopy(identity, site, null);
      none.#failure = storageFailure(error);
      return none;
    }
    const copy = new SecondCopy(identity, site, slots);
    await slots.exclusively(async () => {
      const free = await slots.free();
      try {
        const copied = free.flatMap((file) => file.read() ?? []);
        const lost = copied.flatMap((its) => (its.identity === identity ? [] : [...its.rows.values()]));
        if (lost.length > 0 || !(await isLookedThrough(database))) await takeUp(database, lost.map(decodeRow));
        const claimed = await place.claimed();
        const left = new Set(copied.flatMap((its) => (its.identity === identity ? [...its.rows.keys()] : [])));
        for (const row of await storedRows(database))
          if (!claimed.has(row.link) || left.has(nameOf(row))) copy.#add(row);
        await copy.#move();
        // What they hold is in that file by now, or was answered.
        for (const file of free) file.clear();
        for (const file of free) file.flush();
      } finally {
        for (const file of free) file.close();
      }
    });
    return copy;
  }

  /** Null while all that waits is in the file. */
  get failure(): OpenClawError | null {
    return this.#failure;
  }

  /** After that was stored. Resolves when it can no longer be lost here either; what fails shows as `failure`. */
  async wrote(write: ClientWrite): Promise<void> {
    const { answered = [], forgetFailed = [], enqueue = [], replaced = [], failed = [], down } = write;
    if (down !== undefined) this.#site = { cluster: down.cluster, epoch: down.epoch };
    const forgotten = [...answered, ...forgetFailed].filter((row) => this.#remove(nameOf(row)));
    const added = [...enqueue, ...replaced.filter((row) => this.#rows.has(nameOf(row))), ...failed];
    const encoded = added.map((row) => this.#add(row));
    if (this.#file === null || forgotten.length + encoded.length === 0) return;
    try {
      if (this.#rows.size === 0) return this.#file.clear();
      if (this.#bytes > BYTES_MAX)
        throw new OpenClawError("OVERLOADED", `more than ${BYTES_MAX} bytes wait for the site`);
      this.#begin(this.#file);
      this.#file.append(forgotten, encoded);
      if (encoded.length > 0) this.#file.flush();
      if (this.#file.bytes > 2 * this.#bytes + STALE_BYTES_MAX && !this.#isMoving) await this.#move();
    } catch (error) {
      this.#fail(error);
    }
  }

  /** Another, empty database stands in the place of that which this is a copy of. */
  async replaced(database: ClientDatabase): Promise<void> {
    await takeUp(database, [...this.#rows.values()].map(decodeRow));
    this.#identity = await identityOf(database);
    if (this.#file === null) return;
    try {
      await this.#move();
    } catch (error) {
      this.#fail(error);
    }
  }

  close(): void {
    this.#isClosed = true;
    this.#file?.close();
    this.#file = null;
  }

  /** Into an empty file: all that waits. The one before is forgotten when that is on the disk. */
  async #move(): Promise<void> {
    if (this.#slots === null) return;
    this.#isMoving = true;
    try {
      const next = await this.#slots.empty();
      if (this.#isClosed) return next.close();
      const before = this.#file;
      this.#file = next;
      if (this.#rows.size > 0) {
        this.#begin(next);
        next.append([], this.#rows.values());
        next.flush();
      }
      before?.clear();
      before?.flush();
      before?.close();
    } finally {
      this.#isMoving = false;
    }
  }

  #begin(file: CopyFile): void {
    if (file.bytes === 0) file.begin(this.#identity, crypto.getRandomValues(new Uint32Array(1))[0] ?? 0);
  }

  #add(row: Row): Uint8Array {
    const name = nameOf(row);
    this.#remove(name);
    const bytes = encode(rowTuple(row.site === undefined && this.#site !== null ? { ...row, site: this.#site } : row));
    this.#rows.set(name, bytes);
    this.#bytes += bytes.length;
    return bytes;
  }

  /** False if it is not here. */
  #remove(name: string): boolean {
    this.#bytes -= this.#rows.get(name)?.length ?? 0;
    return this.#rows.delete(name);
  }

  /** From here on the rows are kept in memory alone. What the file holds is taken for what it is at the next visit. */
  #fail(error: unknown): void {
    this.#failure = storageFailure(error);
    this.close();
  }
}

/** Since that database was made, files were looked through for rows of the one before. */
const isLookedThrough = async (database: ClientDatabase): Promise<boolean> =>
  (await database.get("identity", "takenUp")) !== undefined;

const decodeRow = (bytes: Uint8Array): Row => readRow(decode(bytes));

async function storedRows(database: ClientDatabase): Promise<readonly (OutboxRow | FailedRow)[]> {
  const step = database.transaction(["outbox", "failed"]);
  const [waiting, refused] = await Promise.all([
    step.objectStore("outbox").getAll(),
    step.objectStore("failed").getAll(),
  ]);
  return [...waiting.flat(), ...refused];
}
