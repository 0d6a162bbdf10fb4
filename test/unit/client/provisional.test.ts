import * as Automerge from "@automerge/automerge";
import type { MemoryClientStore } from "@openclaw/core/client/memory-store.ts";
import { PROVISIONAL_MS, PROVISIONAL_SHOWN_MAX } from "@openclaw/core/client/provisional.ts";
import { describe, expect, test } from "vitest";
import { described } from "../documents/changes.ts";
import { append, EMPTY, type Log } from "./log.ts";
import { begun, ghosts, hashesAt, hashesIn, NAMED, only } from "./viewing.ts";

/** How long a proposal is lost where one is. */
const LOST_MS = 1_000;

const stored = async (store: MemoryClientStore): Promise<readonly string[]> =>
  (await store.document("log", "today")).map(({ hash }) => hash).sort();

describe("D5: what others change", () => {
  test("shows before it is committed, on no rung and nowhere else; then it is as any other, once", async () => {
    const { world, site, store, author, viewer, authors, viewers } = await begun();
    const before = await stored(store);
    site.loseImports = 1;
    const hash = only(authors.change(append("hello")).hashes);
    await world.flush();
    expect(await hashesAt(site)).not.toContain(hash);
    expect(viewers.doc().text).toBe("hello");
    expect([viewers.provisional(), viewers.heads(), viewers.rung(hash)]).toEqual([1, [hash], null]);
    expect(viewers.history().at(-1)).toMatchObject({ hash, rung: null });
    expect(await stored(store)).toEqual(before);
    expect(await viewer.outbox.list()).toEqual([]);
    expect(viewers.edits().map((edit) => edit.hash)).not.toContain(hash);
    // Whoever made it is not told of it.
    expect([authors.provisional(), authors.rung(hash)]).toEqual([0, "device"]);
    let settled = 0;
    void viewers.settled(hash, "site").then(() => settled++);
    let calls = 0;
    viewers.subscribe(() => calls++);
    await world.flush();
    expect(settled).toBe(0);

    const doc = viewers.doc();
    await world.elapse(LOST_MS);
    expect([settled, viewers.provisional(), viewers.rung(hash)]).toEqual([1, 0, "site"]);
    expect(viewers.doc()).toBe(doc);
    expect(calls).toBeGreaterThan(0);
    expect(await stored(store)).toContain(hash);
    expect(hashesIn(viewers)).toEqual(await hashesAt(site));
    await world.elapse(2 * PROVISIONAL_MS);
    expect(viewers.doc().text).toBe("hello");
    expect(author.status().unsynced).toBe(0);
  });

  test("R3: does not wait until what its author typed before is committed", async () => {
    const { world, site, author, authors, viewers } = await begun();
    site.loseImports = 3;
    for (const text of ["1", "2", "3"]) {
      authors.change(append(text));
      await world.flush();
    }
    expect([viewers.doc().text, viewers.provisional(), author.status().unsynced]).toEqual(["123", 3, 3]);
    await world.elapse(LOST_MS);
    expect([viewers.doc().text, viewers.provisional(), author.status().unsynced]).toEqual(["123", 0, 0]);
  });

  test("told twice, late or out of order shows once; what lacks something shows when it is committed", async () => {
    const { world, site, gateway, viewers } = await begun();
    const [first, second] = ghosts(viewers, "aa", "one ", "two ");
    if (first === undefined || second === undefined) throw new Error("two changes were made");
    gateway.heard({ ...NAMED, changes: [second] });
    await world.flush();
    expect(viewers.provisional()).toBe(0);
    gateway.heard({ ...NAMED, changes: [first] });
    gateway.heard({ ...NAMED, changes: [first] });
    await world.flush();
    expect([viewers.provisional(), viewers.doc().text]).toEqual([1, "one "]);
    await site.execute({ kind: "change", ...NAMED, changes: [first, second] });
    await world.flush();
    const doc = viewers.doc();
    gateway.heard({ ...NAMED, changes: [second, first] });
    await world.flush();
    expect(viewers.doc()).toBe(doc);
    expect([viewers.provisional(), doc.text]).toEqual([0, "one two "]);
  });

  test("goes again when it is not committed in time, and shows on while it is told again", async () => {
    const { world, gateway, store, viewers } = await begun({ text: "here " });
    const before = hashesIn(viewers);
    const changes = ghosts(viewers, "aa", "gone");
    gateway.heard({ ...NAMED, changes });
    await world.elapse(PROVISIONAL_MS - 1);
    gateway.heard({ ...NAMED, changes });
    await world.elapse(PROVISIONAL_MS - 1);
    expect(viewers.doc().text).toBe("here gone");
    await world.elapse(1);
    expect([viewers.doc().text, viewers.provisional()]).toEqual(["here ", 0]);
    expect(hashesIn(viewers)).toEqual(before);
    expect(viewers.rung(only(changes).hash)).toBeNull();
    // What is made from then on knows nothing of it.
    viewers.change(append("mine"));
    await world.flush();
    expect(await stored(store)).toHaveLength(before.length + 1);
  });

  test("D2: gives way to its twin, which is committed", async () => {
    const { world, site, gateway, viewers } = await begun();
    const [shown, committed] = [ghosts(viewers, "aa", "shown"), ghosts(viewers, "aa", "committed")];
    gateway.heard({ ...NAMED, changes: shown });
    await world.flush();
    expect(viewers.doc().text).toBe("shown");
    await site.execute({ kind: "change", ...NAMED, changes: committed });
    await world.flush();
    expect([viewers.doc().text, viewers.provisional(), viewers.quarantined()]).toEqual(["committed", 0, []]);
    expect(hashesIn(viewers)).toEqual(await hashesAt(site));
  });

  test("is gone with the page", async () => {
    const { world, site, gateway, open, store, viewer, viewers } = await begun();
    gateway.heard({ ...NAMED, changes: ghosts(viewers, "aa", "gone") });
    await world.flush();
    expect(viewers.doc().text).toBe("gone");
    await viewer.stop();
    let reads = 0;
    const document = store.document.bind(store);
    store.document = (...name) => {
      reads++;
      return document(...name);
    };
    await world.elapse(2 * PROVISIONAL_MS);
    expect(reads).toBe(0);
    const again = await open(await world.client(site, { store }));
    expect([again.doc().text, again.provisional()]).toEqual(["", 0]);
  });

  test("waits for its turn: behind what is stored it is not shown, nor in a document that was closed meanwhile", async () => {
    const turns: (() => void)[] = [];
    let held = false;
    const nextTurn = () => (held ? new Promise<void>((resolve) => turns.push(resolve)) : Promise.resolve());
    const { world, site, gateway, store, viewers } = await begun(EMPTY, { nextTurn });
    const [first, second, third] = ghosts(viewers, "aa", "1", "2", "3");
    if (first === undefined || second === undefined || third === undefined) throw new Error("three were made");
    held = true;
    await site.execute({ kind: "change", ...NAMED, changes: [first] });
    await world.flush();
    await site.execute({ kind: "change", ...NAMED, changes: [second] });
    await world.flush();
    expect([viewers.doc().text, viewers.unshown()]).toEqual(["1", 1]);
    gateway.heard({ ...NAMED, changes: [second] });
    await world.flush();
    expect(viewers.provisional()).toBe(0);
    for (let go = turns.pop(); go !== undefined; go = turns.pop()) {
      go();
      await world.flush();
    }
    gateway.heard({ ...NAMED, changes: [third] });
    await world.flush();
    expect([viewers.doc().text, viewers.provisional()]).toEqual(["123", 1]);
    gateway.heard({ ...NAMED, changes: ghosts(viewers, "bb", "4") });
    await world.flush();
    viewers.close();
    let reads = 0;
    const document = store.document.bind(store);
    store.document = (...name) => {
      reads++;
      return document(...name);
    };
    held = false;
    for (const go of turns) go();
    await world.elapse(2 * PROVISIONAL_MS);
    expect(reads).toBe(0);
  });
});

describe("D5: an edit on top of what is provisional", () => {
  test("is stored and sent with what it follows, and so is whole after a crash, if nobody else ever sends that", async () => {
    const { world, site, gateway, open, store, viewer, authors, viewers } = await begun();
    const under = only(ghosts(viewers, "aa", "theirs "));
    gateway.heard({ ...NAMED, changes: [under] });
    await world.flush();
    viewer.goOffline();
    const edit = viewers.change(append("mine"));
    const own = only(edit.hashes);
    await edit.device;
    expect([viewers.provisional(), viewers.rung(under.hash), edit.rung()]).toEqual([0, "device", "device"]);
    const row = only(await viewer.outbox.list()).command;
    expect(row.kind === "change" && row.changes.map(({ hash }) => hash)).toEqual([under.hash, own]);
    // It does not go: it is stored.
    await world.elapse(2 * PROVISIONAL_MS);
    expect(viewers.doc().text).toBe("theirs mine");
    await viewer.stop();

    const next = await world.client(site, { store });
    const again = await open(next);
    expect(again.doc().text).toBe("theirs mine");
    await world.elapse(60_000);
    expect([again.rung(under.hash), again.rung(own)]).toEqual(["site", "site"]);
    expect(authors.doc().text).toBe("theirs mine");
    expect([hashesIn(authors), hashesIn(again)]).toEqual([await hashesAt(site), await hashesAt(site)]);
    expect(next.status()).toMatchObject({ unsynced: 0, failed: 0 });
  });

  test("that is discarded takes it along, unless its site has it by then", async () => {
    const { world, site, gateway, viewer, viewers } = await begun();
    for (const isCommitted of [false, true]) {
      const under = ghosts(viewers, isCommitted ? "bb" : "aa", "theirs ");
      gateway.heard({ ...NAMED, changes: under });
      await world.flush();
      if (isCommitted) await site.execute({ kind: "change", ...NAMED, changes: under });
      // It comes with the stream between the edit and the discarding.
      site.badChanges.clear();
      const edit = viewers.change(append("mine"));
      site.badChanges.add(only(edit.hashes));
      await world.flush();
      await viewer.outbox.discard(await viewer.outbox.list(), () => undefined);
      await world.flush();
      expect(viewers.doc().text).toBe(isCommitted ? "theirs " : "");
      expect(hashesIn(viewers)).toEqual(await hashesAt(site));
    }
  });

  test("at earlier heads leaves what it does not follow as it is", async () => {
    const { world, gateway, store, viewers } = await begun({ text: "here " });
    const heads = viewers.heads();
    const ghost = only(ghosts(viewers, "aa", "gone "));
    gateway.heard({ ...NAMED, changes: [ghost] });
    await world.flush();
    viewers.changeAt(heads, append("mine "));
    await world.flush();
    expect(viewers.provisional()).toBe(1);
    expect(await stored(store)).not.toContain(ghost.hash);
    await world.elapse(PROVISIONAL_MS);
    expect(viewers.doc().text).toBe("here mine ");
  });

  test("that cannot be stored loses it, too", async () => {
    const { world, site, gateway, store, viewers } = await begun({ text: "here " });
    const ghost = only(ghosts(viewers, "aa", "gone "));
    gateway.heard({ ...NAMED, changes: [ghost] });
    await world.flush();
    const write = store.write.bind(store);
    store.write = () => {
      store.write = write;
      return Promise.reject(new Error("full"));
    };
    const edit = viewers.change(append("mine "));
    await expect(edit.device).rejects.toMatchObject({ code: "CLIENT_STORAGE_FAILED" });
    await world.flush();
    expect([viewers.doc().text, viewers.provisional()]).toEqual(["here ", 0]);
    await site.execute({ kind: "change", ...NAMED, changes: [ghost] });
    await world.flush();
    expect([viewers.doc().text, viewers.rung(ghost.hash)]).toEqual(["here gone ", "site"]);
  });

  test("that cannot be stored is told so, and not what it follows where its site's word of that came meanwhile", async () => {
    const { world, site, gateway, store, viewers } = await begun({ text: "here " });
    const ghost = only(ghosts(viewers, "aa", "theirs "));
    gateway.heard({ ...NAMED, changes: [ghost] });
    await world.flush();
    const write = store.write.bind(store);
    let go: () => void = () => undefined;
    store.write = async (one) => {
      store.write = () => {
        store.write = write;
        return Promise.reject(new Error("full"));
      };
      await new Promise<void>((resolve) => {
        go = resolve;
      });
      await write(one);
    };
    await site.execute({ kind: "change", ...NAMED, changes: [ghost] });
    await world.flush();
    const edit = viewers.change(append("mine "));
    go();
    await expect(edit.device).rejects.toMatchObject({ code: "CLIENT_STORAGE_FAILED" });
    await world.flush();
    expect([viewers.doc().text, viewers.rung(ghost.hash)]).toEqual(["here theirs ", "site"]);
    expect(viewers.edits().find(({ hash }) => hash === ghost.hash)?.failure ?? null).toBeNull();
    await viewers.settled(ghost.hash, "site");
  });
});

describe("D5, D1: what is provisional and bad", () => {
  test("does not come to Automerge: wrong bytes, the first change of a document, more than its room", async () => {
    const { world, gateway, viewers } = await begun();
    const doc = viewers.doc();
    const [good] = ghosts(viewers, "aa", "good");
    if (good === undefined) throw new Error("a change was made");
    const bytes = good.bytes.slice();
    bytes[4] = (bytes[4] ?? 0) ^ 1;
    const first = described(Automerge.getLastLocalChange(Automerge.from({ text: "first" }, { actor: "bb" })) ?? bytes);
    for (const change of [{ ...good, bytes }, { ...good, seq: 2 }, first]) {
      gateway.heard({ ...NAMED, changes: [change] });
      await world.flush();
    }
    expect(viewers.doc()).toBe(doc);
    expect(viewers.quarantined()).toEqual([]);
    const texts = Array.from({ length: PROVISIONAL_SHOWN_MAX + 8 }, () => "x");
    for (const change of ghosts(viewers, "cc", ...texts)) {
      gateway.heard({ ...NAMED, changes: [change] });
      await world.flush();
    }
    expect([viewers.provisional(), viewers.doc().text.length]).toEqual([PROVISIONAL_SHOWN_MAX, PROVISIONAL_SHOWN_MAX]);
  });

  test("harms nothing where Automerge refuses it: what is stored shows, and no other for a minute", async () => {
    const { world, site, gateway, authors, viewers } = await begun();
    authors.change(append("kept "));
    await world.flush();
    const { actor } = viewers.history().at(-1) ?? {};
    if (actor === undefined) throw new Error("a change was made");
    // The second change of an author that has made as many already.
    const other = Automerge.init<Log>({ actor });
    const [base] = (await site.read({ kind: "document", ...NAMED, after: 0, limit: 1 })).changes;
    if (base === undefined) throw new Error("a document has a first change");
    const [behind] = Automerge.applyChanges(other, [base.bytes]);
    const twin = described(Automerge.getLastLocalChange(Automerge.change(behind, append("twin "))) ?? base.bytes);
    gateway.heard({ ...NAMED, changes: [twin] });
    await world.flush();
    expect([viewers.doc().text, viewers.provisional(), viewers.quarantined()]).toEqual(["kept ", 0, []]);
    const changes = ghosts(viewers, "aa", "later ");
    gateway.heard({ ...NAMED, changes });
    await world.flush();
    expect(viewers.doc().text).toBe("kept ");
    await world.elapse(60_000);
    gateway.heard({ ...NAMED, changes });
    await world.flush();
    expect(viewers.doc().text).toBe("kept later ");
    viewers.change(append("mine"));
    await world.flush();
    expect(hashesIn(authors)).toEqual(hashesIn(viewers));
  });
});
