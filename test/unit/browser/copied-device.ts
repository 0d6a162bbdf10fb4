/** A device: a database and the second copies of it, opened by one worker after the other. */
import "fake-indexeddb/auto";
import { IndexedDbStore } from "@openclaw/browser/storage/indexeddb-store.ts";
import { SecondCopy } from "@openclaw/browser/storage/second-copy.ts";
import { utf8 } from "@openclaw/core/bytes.ts";
import type { DownCursor, OutboxRow } from "@openclaw/core/client/store.ts";
import { isLinkId, revision, seq } from "@openclaw/core/ids.ts";
import { deleteDB } from "idb";
import { expect } from "vitest";
import { MemorySlots } from "./memory-slots.ts";

let count = 0;

export const freshName = (): string => `copied-${++count}`;

export function checked<T>(value: string, is: (value: unknown) => value is T): T {
  if (!is(value)) throw new Error(`not valid: ${value}`);
  return value;
}

export const link = checked("a".repeat(32), isLinkId);
export const other = checked("b".repeat(32), isLinkId);
export const site = { cluster: "shop", epoch: "c".repeat(32) };
export const down: DownCursor = {
  ...site,
  cursor: revision(1),
  subscription: { collections: [], prefixes: [], mirrors: false },
  snapshot: null,
  upstream: revision(0),
  upstreamEpoch: null,
};
export const put = (number: number, value = "v"): OutboxRow => ({
  link,
  seq: seq(number),
  command: { kind: "put", key: utf8(`k${number}`), value: utf8(value) },
});
export const refused = { ...put(1), code: "FORBIDDEN", details: "not yours" } as const;

export class CopiedDevice {
  readonly slots = new MemorySlots();
  readonly #name = freshName();

  /** @param offline so many times the code of the copy cannot be loaded */
  open(offline = 0): IndexedDbStore {
    let failures = offline;
    return new IndexedDbStore(this.#name, async () => {
      if (failures-- > 0) throw new Error("offline");
      return (database, own) => SecondCopy.open(database, this.slots, own);
    });
  }
  /** The next session, which has looked for what was lost. */
  async reopened(): Promise<IndexedDbStore> {
    const store = this.open();
    await expect.poll(async () => (await store.identity()).copied, { interval: 2 }).toBe(true);
    return store;
  }
  /** Every worker ends. */
  kill(): void {
    for (const file of this.slots.files) file.isOpen = false;
  }
  /** The database is gone. */
  lose(): Promise<void> {
    return deleteDB(this.#name);
  }
  /** What waits, as who has no copy sees it. */
  async rows(): Promise<readonly OutboxRow[]> {
    const store = new IndexedDbStore(this.#name);
    const rows = [...(await store.outbox(link, seq(1), 99)), ...(await store.outbox(other, seq(1), 99))];
    await store.close();
    return rows;
  }
}
