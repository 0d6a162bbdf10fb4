/**
 * A second copy of what the site has not answered, in a file beside the database. Chromium keeps IndexedDB in LevelDB, and where
 * that finds its log torn, as a kill amidst a write may leave it, it deletes every database of the origin, what strict
 * transactions had stored before included (docs/cycles.md). What a person typed is in the file by then, and is taken up again.
 *
 * The file never holds a row that the database did not: it is written when the transaction has completed.
 */
import { nameOf, type Row, type RowName } from "@openclaw/core/client/outbox-row.ts";
import { rowTuple } from "@openclaw/core/client/outbox-row-codec.ts";
import type { ClientWrite, FailedRow, OutboxRow, SiteLife } from "@openclaw/core/client/store.ts";
import { encode } from "@openclaw/core/codec.ts";
import { OpenClawError } from "@openclaw/core/errors.ts";
import type { LinkId } from "@openclaw/core/ids.ts";
import type { CopyFile } from "./copy-file.ts";
import type { CopySlots } from "./copy-slots.ts";
import { identityOf } from "./database.ts";
import { decodeRow, leftBehind, namesIn } from "./left-behind.ts";
import type { ClientDatabase } from "./schema.ts";
import { storageFailure } from "./storage-failure.ts";
import { takenUp, takeUp } from "./take-up.ts";

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
   * copied into a file of this page. @param own links of this page. @throws DOMException what the database throws
   */
  static async open(database: ClientDatabase, place: CopyPlace, own: ReadonlySet<LinkId>): Promise<SecondCopy> {
    const copy = new SecondCopy(await identityOf(database), (await database.get("cursors", "down")) ?? null);
    await copy.#orFail(async () => {
      copy.#slots = await place.slots();
    });
    if (copy.#slots === null) return copy;
    await copy.#slots.inTurn(() => copy.#begin(database, place, own));
    return copy;
  }

  async #begin(database: ClientDatabase, place: CopyPlace, own: ReadonlySet<LinkId>): Promise<void> {
    const left = leftBehind((await this.#slots?.free()) ?? []);
    try {
      const known = await takenUp(database);
      const lost = left.filter(({ identity, key }) => identity !== this.#identity && known?.has(key) !== true);
      const rows = lost.flatMap((its) => its.rows);
      if (rows.length > 0 || known === null)
        await takeUp(
          database,
          rows,
          lost.map(({ key }) => key),
        );
      const claimed = await place.claimed();
      const names = namesIn(left);
      for (const row of await storedRows(database))
        if (!claimed.has(row.link) || own.has(row.link) || names.has(nameOf(row))) this.#add(row);
      await this.#orFail(async () => {
        await this.#move();
        // What they hold is in that file by now, or was answered.
        for (const { file } of left) file.clear();
        for (const { file } of left) file.flush();
      });
    } finally {
      for (const { file } of left) file.close();
    }
  }

  /** Null while all that waits is in the file. */
  get failure(): OpenClawError | null {
    return this.#failure;
  }

  /** After that was stored. Resolves when it can no longer be lost here either; what fails shows as `failure`. */
  async wrote(write: ClientWrite): Promise<void> {
    const { answered = [], forgetFailed = [], enqueue = [], replaced = [], failed = [] } = write;
    const forgotten = [...answered, ...forgetFailed].filter((row) => this.#remove(nameOf(row)));
    const added = [...enqueue, ...replaced.filter((row) => this.#rows.has(nameOf(row))), ...failed];
    await this.#note(
      forgotten,
      added.map((row) => this.#add(row)),
    );
  }

  /** From here on rows that name no site are for that one, and those that were made before a site was met, too (Q1). */
  async follows({ cluster, epoch }: SiteLife): Promise<void> {
    const isFirst = this.#site === null;
    this.#site = { cluster, epoch };
    if (!isFirst) return;
    const unsited = [...this.#rows.values()].map(decodeRow).filter(({ site }) => site === undefined);
    await this.#note(
      [],
      unsited.map((row) => this.#add(row)),
    );
  }

  async #note(forgotten: readonly RowName[], encoded: readonly Uint8Array[]): Promise<void> {
    const file = this.#file;
    if (file === null || forgotten.length + encoded.length === 0) return;
    await this.#orFail(async () => {
      if (this.#rows.size === 0) return file.clear();
      this.#append(file, forgotten, encoded);
      if (encoded.length > 0) file.flush();
      if (file.bytes > 2 * this.#bytes + STALE_BYTES_MAX && !this.#isMoving) await this.#move();
    });
  }

  /** Another, empty database stands in the place of that which this is a copy of. */
  async replaced(database: ClientDatabase): Promise<void> {
    await takeUp(database, [...this.#rows.values()].map(decodeRow), []);
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
    if (this.#bytes > BYTES_MAX) throw new OpenClawError("OVERLOADED", `more than ${BYTES_MAX} bytes wait here`);
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

async function storedRows(database: ClientDatabase): Promise<readonly (OutboxRow | FailedRow)[]> {
  const step = database.transaction(["outbox", "failed"]);
  const [waiting, refused] = await Promise.all([
    step.objectStore("outbox").getAll(),
    step.objectStore("failed").getAll(),
  ]);
  return [...waiting.flat(), ...refused];
}
