/**
 * A second copy of what the site has not answered, in a file beside the database. Chromium keeps IndexedDB in LevelDB, and where
 * that finds its log torn, as a kill amidst a write may leave it, it deletes every database of the origin, what strict
 * transactions had stored before included (docs/cycles.md). What a person typed is in the file by then, and is taken up again.
 *
 * The file never holds a row that the database did not: it is written when the transaction has completed.
 */
import { nameOf, type Row, type RowName } from "@openclaw/core/client/outbox-row.ts";
import { readRow, rowTuple } from "@openclaw/core/client/outbox-row-codec.ts";
import type { ClientWrite, FailedRow, OutboxRow, SiteLife } from "@openclaw/core/client/store.ts";
import { decode, encode } from "@openclaw/core/codec.ts";
import { OpenClawError } from "@openclaw/core/errors.ts";
import type { LinkId } from "@openclaw/core/ids.ts";
import type { Copied, CopyFile } from "./copy-file.ts";
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
  #slots: CopySlots | null = null;
  /** Encoded, by name. */
  readonly #rows = new Map<string, Uint8Array>();
  #bytes = 0;
  /** Null while there is none: this page's rows are kept in memory alone. */
  #file: CopyFile | null = null;
  #failure: OpenClawError | null = null;
  #isMoving = false;
  #isClosed = false;

  private constructor(identity: string, site: SiteLife | null) {
    this.#identity = identity;
    this.#site = site;
  }

  /**
   * First takes up what files hold of a database that is gone. Then what waits here, and is not another page's that is alive, is
   * copied into a file of this page. @throws DOMException what the database throws
   */
  static async open(database: ClientDatabase, place: CopyPlace): Promise<SecondCopy> {
    const identity = await identityOf(database);
    const site = (await database.get("cursors", "down")) ?? null;
    const copy = new SecondCopy(identity, site);
    const left = await copy.#leftBehind(place);
    try {
      const lost = copiedRows(left, (its) => its !== identity).map(([, bytes]) => decodeRow(bytes));
      if (lost.length > 0 || !(await isLookedThrough(database))) await takeUp(database, lost);
      const claimed = await place.claimed();
      const names = new Set(copiedRows(left, (its) => its === identity).map(([name]) => name));
      for (const row of await storedRows(database))
        if (!claimed.has(row.link) || names.has(nameOf(row))) copy.#add(row);
      await copy.#orFail(async () => {
        await copy.#move();
        // What they hold is in that file by now, or was answered.
        for (const { file } of left) file.clear();
        for (const { file } of left) file.flush();
      });
    } finally {
      for (const { file } of left) file.close();
    }
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
    const file = this.#file;
    if (file === null || forgotten.length + encoded.length === 0) return;
    await this.#orFail(async () => {
      if (this.#rows.size === 0) return file.clear();
      if (this.#bytes > BYTES_MAX)
        throw new OpenClawError("OVERLOADED", `more than ${BYTES_MAX} bytes wait for the site`);
      this.#append(file, forgotten, encoded);
      if (encoded.length > 0) file.flush();
      if (file.bytes > 2 * this.#bytes + STALE_BYTES_MAX && !this.#isMoving) await this.#move();
    });
  }

  /** Another, empty database stands in the place of that which this is a copy of. */
  async replaced(database: ClientDatabase): Promise<void> {
    await takeUp(database, [...this.#rows.values()].map(decodeRow));
    this.#identity = await identityOf(database);
    if (this.#file !== null) await this.#orFail(() => this.#move());
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
      try {
        if (this.#rows.size > 0) this.#append(next, [], this.#rows.values());
        next.flush();
      } catch (error) {
        next.close();
        throw error;
      }
      const before = this.#file;
      this.#file = next;
      before?.clear();
      before?.flush();
      before?.close();
    } finally {
      this.#isMoving = false;
    }
  }

  #append(file: CopyFile, forgotten: readonly RowName[], rows: Iterable<Uint8Array>): void {
    if (file.bytes === 0) file.begin(this.#identity, crypto.getRandomValues(new Uint32Array(1))[0] ?? 0);
    file.append(forgotten, rows);
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

  /** Files that no page has, and what they hold. */
  async #leftBehind(place: CopyPlace): Promise<readonly LeftBehind[]> {
    let free: readonly CopyFile[] = [];
    const found: LeftBehind[] = [];
    await this.#orFail(async () => {
      this.#slots = await place.slots();
      free = await this.#slots.free();
      for (const file of free) found.push({ file, copied: file.read() });
    });
    if (this.#failure === null) return found;
    for (const file of free) file.close();
    return [];
  }

  /** What fails shows, and from then on rows are kept in memory alone. What the file holds is taken for what it is at the next visit. */
  async #orFail(run: () => Promise<void>): Promise<void> {
    try {
      if (this.#failure === null) await run();
    } catch (error) {
      this.#failure = storageFailure(error);
      this.close();
    }
  }
}

interface LeftBehind {
  readonly file: CopyFile;
  readonly copied: Copied | null;
}

/** Of those that are copies of a database that passes. */
const copiedRows = (left: readonly LeftBehind[], isOf: (identity: string) => boolean) =>
  left.flatMap(({ copied }) => (copied !== null && isOf(copied.identity) ? [...copied.rows] : []));

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
