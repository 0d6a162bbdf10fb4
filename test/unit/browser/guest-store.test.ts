import "fake-indexeddb/auto";
import { GuestStore } from "@openclaw/browser/storage/guest-store.ts";
import { IndexedDbStore } from "@openclaw/browser/storage/indexeddb-store.ts";
import { mirrorTurn } from "@openclaw/browser/tabs/link-locks.ts";
import { utf8, utf8Text } from "@openclaw/core/bytes.ts";
import type { ClientStore, ClientWrite } from "@openclaw/core/client/store.ts";
import { isLinkId, revision, seq } from "@openclaw/core/ids.ts";
import { NOTHING } from "@openclaw/core/ledger/subscription.ts";
import { expect, onTestFinished, test } from "vitest";

let count = 0;
const link = "a".repeat(32);
if (!isLinkId(link)) throw new Error("no link");

/** A run of the stream: a key that was put at each of these revisions, and the cursor behind them. */
const run = (cursor: number, keys: Readonly<Record<string, number>>): ClientWrite => ({
  mirrorPuts: Object.entries(keys).map(([key, at]) => ({
    key: utf8(key),
    origin: null,
    value: utf8(`${key}@${at}`),
    modRevision: revision(at),
  })),
  down: {
    cluster: "california",
    epoch: "e".repeat(32),
    cursor: revision(cursor),
    subscription: { ...NOTHING, prefixes: [utf8("")] },
    snapshot: null,
    upstream: revision(0),
    upstreamEpoch: null,
  },
});

const standing = async (store: ClientStore): Promise<string> =>
  `${(await store.mirror(null, utf8(""), null)).map(({ value }) => utf8Text(value))} at ${(await store.down())?.cursor}`;

/** A page that keeps the mirror, which is at revision 1, and one beside it; `leave` lets the second have its turn. */
async function pages() {
  const name = `pages-${++count}`;
  const keeper = new IndexedDbStore(name);
  await keeper.write(run(1, { k: 1, x: 1 }));
  const { promise: turn, resolve: leave } = Promise.withResolvers<void>();
  const guest = await GuestStore.open(new IndexedDbStore(name), turn);
  onTestFinished(async () => {
    await Promise.all([keeper.close(), guest.close()]);
  });
  return { keeper, guest, leave };
}

test("L4: a page that is behind another one puts nothing back under the other's cursor", async () => {
  const { keeper, guest } = await pages();
  expect(await standing(guest)).toBe("k@1,x@1 at 1");
  await keeper.write(run(9, { k: 9 }));
  await guest.write(run(5, { k: 5 }));
  await keeper.write(run(10, { x: 10 }));
  expect(await standing(keeper)).toBe("k@9,x@10 at 10");
  expect(await standing(guest)).toBe("k@5,x@1 at 5");
});

test("S1: what is typed there is on the device at once", async () => {
  const { keeper, guest } = await pages();
  const command = { kind: "put", key: utf8("k"), value: utf8("typed") } as const;
  await guest.write({ ...run(2, {}), enqueue: [{ link, seq: seq(1), command }] });
  expect(await keeper.outbox(link, seq(1), 9)).toMatchObject([{ seq: 1, command }]);
  expect(await guest.nextSeq(link)).toBe(2);
});

test("L4: when the other page is gone it keeps the mirror, whole and as of its own cursor", async () => {
  const { keeper, guest, leave } = await pages();
  await guest.write(run(5, { k: 5 }));
  await keeper.write(run(9, { k: 9, gone: 8 }));
  leave();
  await Promise.resolve();
  await guest.write(run(6, { y: 6 }));
  expect(await standing(keeper)).toBe("k@5,x@1,y@6 at 6");
  expect(await standing(guest)).toBe("k@5,x@1,y@6 at 6");
  expect(await guest.mirrored()).toHaveLength(3);
});

test("one page at a time keeps the mirror; the next one has its turn when that is gone, and one that left does not", async () => {
  const name = `pages-${++count}`;
  const first = await mirrorTurn(name);
  const [second, third] = [await mirrorTurn(name), await mirrorTurn(name)];
  expect([first, second, third].map(({ now }) => now)).toEqual([true, false, false]);
  expect((await mirrorTurn(`${name} of another site`)).now).toBe(true);
  let turn = "first";
  void second.comes.then(() => {
    turn = "second";
  });
  second.release();
  first.release();
  await third.comes;
  expect(turn).toBe("first");
  third.release();
});
