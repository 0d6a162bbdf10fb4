import { deflateRawSync } from "node:zlib";
import type { Client } from "@openclaw/core/client/client.ts";
import type { DocumentHandle } from "@openclaw/core/client/document-handle.ts";
import { MemoryClientStore } from "@openclaw/core/client/memory-store.ts";
import { QUARANTINED_MAX, Quarantines } from "@openclaw/core/client/quarantines.ts";
import { changeFault, PLAIN_TOOLS } from "@openclaw/core/documents/change-check.ts";
import { inspectChange } from "@openclaw/core/documents/change-chunk.ts";
import { isActorId, isChangeHash } from "@openclaw/core/ids.ts";
import type { DocumentChange } from "@openclaw/core/ledger/record.ts";
import { expect, test } from "vitest";
import { changesOf, chunk, columnsBody, unsignedLeb } from "../documents/changes.ts";
import { type TestCluster, World } from "../sync/world.ts";

const HASH = (digit: string) => {
  const hash = digit.repeat(64);
  if (!isChangeHash(hash)) throw new Error(hash);
  return hash;
};

const open = (client: Client): Promise<DocumentHandle<Record<string, unknown>>> => client.docs.open("log", "today");

/** The site takes it without its gateways' check, as a hostile one would. */
const plant = (site: TestCluster, changes: readonly DocumentChange[]) =>
  site.execute({ kind: "change", collection: "log", document: "today", changes });

async function siteAndReader(store = new MemoryClientStore()) {
  const world = new World();
  const site = await world.cluster("california");
  const client = await world.client(site, { store, subscribe: { collections: ["log"] } });
  await world.flush();
  return { world, site, store, client };
}

const honest = (actor: string, ...values: readonly number[]): readonly DocumentChange[] =>
  changesOf(actor, ...values.map((value) => (draft: object) => Object.assign(draft, { [actor]: value })));

/** With 261 KB of columns, and a checksum that is wrong: Automerge would decode it all, and more, before it looks. */
function wrongChecksum(): DocumentChange {
  const [change] = changesOf("ccdd", (draft) => Object.assign(draft, { text: "x".repeat(261_000) }));
  if (change === undefined) throw new Error("a change was made");
  const bytes = change.bytes.slice();
  bytes[4] = (bytes[4] ?? 0) ^ 1;
  return { ...change, bytes };
}

/** 60 KB that inflate to 64 MB. */
function bomb(): DocumentChange {
  const [change] = honest("ccdd", 1);
  if (change === undefined) throw new Error("a change was made");
  const packed = deflateRawSync(new Uint8Array(64 * 1_048_576));
  return {
    ...change,
    bytes: Uint8Array.from([...change.bytes.subarray(0, 8), 2, ...unsignedLeb(packed.length), ...packed]),
  };
}

/** Bounded, its checksum right, and no operations at all. */
function unreadable(): DocumentChange {
  const bytes = chunk(columnsBody([[0x42, [1, 99]]]));
  const { hash } = inspectChange(bytes, PLAIN_TOOLS);
  if (!isChangeHash(hash) || !isActorId("aabb")) throw new Error("no change");
  return { hash, actor: "aabb" as never, seq: 1, deps: [], bytes };
}

test.each([
  ["a wrong checksum", wrongChecksum, "CHANGE_INVALID"],
  ["what inflates without bound", bomb, "CHANGE_TOO_LARGE"],
] as const)(
  "D1: %s never comes to Automerge: kept out with its reason, before and after a restart",
  async (_, make, code) => {
    const { world, site, store, client } = await siteAndReader();
    const bad = make();
    const [first, second] = honest("aabb", 1, 2);
    if (first === undefined || second === undefined) throw new Error("two changes were made");
    await plant(site, [first, bad]);
    await plant(site, [second]);
    await world.flush();
    const check = async (reader: Client) => {
      const opening = open(reader);
      await world.flush();
      const handle = await opening;
      expect(handle.doc()).toEqual({ aabb: 2 });
      expect(handle.quarantined()).toMatchObject([{ hash: bad.hash, reason: { code } }]);
      expect(reader.status().quarantined).toBe(1);
      return handle;
    };
    const handle = await check(client);
    expect(await store.document("log", "today")).toHaveLength(2);
    // It goes on: the connection, the cursor, the document.
    handle.change((draft) => Object.assign(draft, { mine: 1 }));
    await world.flush();
    expect(client.status()).toMatchObject({ unsynced: 0, link: "online", cursor: site.position().revision });
    await client.stop();
    const again = await world.client(site, { store });
    await world.flush();
    const reopening = open(again);
    await world.flush();
    const reopened = await reopening;
    expect(reopened.doc()).toEqual({ aabb: 2, mine: 1 });
    expect(reopened.quarantined()).toMatchObject([{ hash: bad.hash, reason: { code } }]);
  },
);

test("D2: what Automerge will not take is kept out with what follows it, told, and not tried again", async () => {
  const { world, site, store, client } = await siteAndReader();
  const bad = unreadable();
  const [good] = honest("ccdd", 1);
  if (good === undefined) throw new Error("a change was made");
  const handle = await (async () => {
    const opening = open(client);
    await world.flush();
    return opening;
  })();
  await plant(site, [bad]);
  await plant(site, [good]);
  await world.flush();
  expect(handle.doc()).toEqual({ ccdd: 1 });
  expect(handle.quarantined()).toMatchObject([{ hash: bad.hash, reason: { code: "QUARANTINED" } }]);
  const follower = { ...good, hash: HASH("7"), deps: [bad.hash] };
  client.docs.received("log", "today", [follower]);
  await world.flush();
  expect(handle.quarantined().map(({ hash }) => hash)).toEqual([bad.hash, follower.hash]);
  expect(client.status().quarantined).toBe(1);
  await client.stop();

  let turns = 0;
  const nextTurn = async () => void turns++;
  const again = await world.client(site, { store, nextTurn });
  const reopened = await open(again);
  expect(reopened.doc()).toEqual({ ccdd: 1 });
  expect(reopened.quarantined()).toMatchObject([{ hash: bad.hash, reason: { code: "QUARANTINED" } }]);
  // Looking for the one at fault takes a turn for each change.
  expect(turns).toBe(0);
});

test("the right bytes of a change that came with wrong ones are taken, with what followed it", async () => {
  const store = new MemoryClientStore();
  const [first, second, third] = honest("aabb", 1, 2, 3);
  if (first === undefined || second === undefined || third === undefined) throw new Error("three changes were made");
  const named = { collection: "log", document: "today" };
  await store.write({
    changes: [{ ...named, changes: [first, third] }],
    quarantined: [{ ...named, hash: second.hash, code: "CHANGE_INVALID", details: "wrong checksum" }],
  });
  const { world, site, client } = await siteAndReader(store);
  const handle = await open(client);
  expect(handle.doc()).toEqual({ aabb: 1 });
  expect(handle.quarantined().map(({ hash }) => hash)).toEqual([second.hash, third.hash]);
  await plant(site, [first, second, third]);
  await world.flush();
  expect(handle.doc()).toEqual({ aabb: 3 });
  expect(handle.quarantined()).toEqual([]);
  expect(client.status().quarantined).toBe(0);
  expect(await store.quarantined()).toEqual([]);
});

test("D1: what a change is said to be is compared with its bytes", () => {
  const [change] = honest("aabb", 1);
  if (change === undefined) throw new Error("a change was made");
  expect(changeFault(change, PLAIN_TOOLS)).toBeNull();
  for (const lie of [{ hash: HASH("1") }, { seq: 2 }, { deps: [HASH("2")] }, { actor: "ffff" as never }])
    expect(changeFault({ ...change, ...lie }, PLAIN_TOOLS)?.code).toBe("CHANGE_INVALID");
});

test("X1: above its limit more is kept out, and not written down", () => {
  const named = { collection: "log", document: "today" };
  const rows = Array.from({ length: QUARANTINED_MAX }, (_, i) => ({
    ...named,
    document: `${i}`,
    hash: HASH("1"),
    code: "CHANGE_INVALID" as const,
    details: "",
  }));
  const quarantines = new Quarantines(rows);
  const change = wrongChecksum();
  expect(quarantines.sift([{ ...named, changes: [{ change, finding: changeFault(change, PLAIN_TOOLS) }] }])).toEqual({
    documents: [],
    write: { quarantined: [], released: [] },
  });
  expect(quarantines.size).toBe(QUARANTINED_MAX);
});
