/** What the store's browser test runs in the page. */
import { IndexedDbStore } from "@openclaw/browser/storage/indexeddb-store.ts";
import { utf8 } from "@openclaw/core/bytes.ts";
import { isLinkId, revision, seq } from "@openclaw/core/ids.ts";

const link = "a".repeat(32);
if (!isLinkId(link)) throw new Error("not a link");

Object.assign(globalThis, {
  storeTest: {
    async write(from: number, count: number): Promise<void> {
      const store = new IndexedDbStore("durability");
      for (let number = from; number < from + count; number++) {
        await store.write({
          enqueue: [{ link, seq: seq(number), command: { kind: "put", key: utf8(`k${number}`), value: utf8("v") } }],
          mirrorPuts: [
            {
              key: Uint8Array.of(0xff, number),
              origin: null,
              value: utf8(`v${number}`),
              modRevision: revision(number),
            },
          ],
        });
      }
      await store.close();
    },
    async read(): Promise<{ seqs: number[]; next: number; mirror: number[][] }> {
      const store = new IndexedDbStore("durability");
      const rows = await store.outbox(link, seq(1), 1_000);
      const mirror = await store.mirror(null, Uint8Array.of(), null);
      const next = await store.nextSeq(link);
      await store.close();
      return { seqs: rows.map((row) => row.seq), next, mirror: mirror.map((row) => [...row.key]) };
    },
  },
});
