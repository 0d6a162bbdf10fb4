/**
 * How fast a copy of the state is made. SQLite syncs it within the last step, on the thread that applies; so what was
 * copied before is synced off that thread, and the last pages wait for it.
 */
import { open } from "node:fs/promises";

/** Pages of 4 KiB that are copied between two calls: a millisecond or two. */
const STEP_PAGES = 256;
/** Steps between two syncs. */
const SYNC_STEPS = 16;
/** The last pages, for which everything before them is on the disk already. */
const LAST_PAGES = 256;

export class CopyPace {
  readonly #path: string;
  #steps = 0;
  #syncing: Promise<void> | null = null;
  #lastSynced = false;

  constructor(path: string) {
    this.#path = path;
  }

  /** How many pages come next; none while the last ones wait. */
  pages(left: number): number {
    if (left <= LAST_PAGES) return this.#lastPages();
    this.#steps++;
    if (this.#steps % SYNC_STEPS === 0) this.#sync();
    return Math.min(STEP_PAGES, left - LAST_PAGES);
  }

  /** Nothing touches the file any more. */
  async settled(): Promise<void> {
    await this.#syncing;
  }

  #lastPages(): number {
    if (this.#syncing !== null) return 0;
    if (!this.#lastSynced) {
      this.#lastSynced = true;
      this.#sync();
      return 0;
    }
    return LAST_PAGES;
  }

  #sync(): void {
    if (this.#syncing !== null) return;
    const done = (): void => {
      this.#syncing = null;
    };
    // Best effort: SQLite's own sync has the last word, and a copy is checked by hash before anybody relies on it.
    this.#syncing = syncFile(this.#path).then(done, done);
  }
}

async function syncFile(path: string): Promise<void> {
  const handle = await open(path, "r");
  try {
    await handle.datasync();
  } finally {
    await handle.close();
  }
}
