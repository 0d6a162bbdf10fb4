import { revision } from "@openclaw/core/ids.ts";
import { genesisHash, hashAfter } from "@openclaw/core/ledger/chain.ts";
import type { DocumentChange, LinkItem } from "@openclaw/core/ledger/record.ts";
import { encodeRecord } from "@openclaw/core/ledger/record-codec.ts";
import { selectForParent } from "@openclaw/core/ledger/selection.ts";
import { PENDING_MAX } from "@openclaw/core/state-machine/document-plan.ts";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { change, changeHash, clusterId, epoch, linkId, OneCluster, ok, push, sha256 } from "./one-cluster.ts";

const hashes = (...numbers: readonly number[]) => numbers.map(changeHash);

/** Brings changes over a link, one record each, as a site that knows nothing of D2 would. */
function importChanges(hub: OneCluster, changes: readonly DocumentChange[], from = "alaska") {
  const cluster = clusterId(from);
  const cursor = hub.query({ kind: "link", link: linkId(from) }).link;
  const first = (cursor?.cursor ?? 0) + 1;
  const items = changes.map((one, i): LinkItem => {
    const at = revision(first + i);
    const record = encodeRecord({
      partition: 0,
      revision: at,
      time: 5,
      principal: "bob",
      origin: null,
      link: null,
      salt: new Uint8Array(16),
      home: "site",
      events: [{ kind: "change", collection: "notes", document: "log", change: one, encryption: null }],
    });
    return { kind: "body", revision: at, record };
  });
  const previous = cursor?.hash ?? genesisHash(sha256, cluster, 0, epoch("b").nonce);
  return hub.system({
    kind: "importLedger",
    side: "child",
    link: linkId(from),
    cluster,
    epoch: epoch("b"),
    items,
    hash: hashAfter(sha256, previous, 0, items),
    after: null,
  });
}

describe("pushes", () => {
  test("X1: a push whose record could not be sent on is refused: what its changes depend on counts, too", () => {
    const one = new OneCluster("alaska");
    const roots = Array.from({ length: 64 }, (_, i) => change(i + 1, "a", i + 1, i === 0 ? [] : [i]));
    one.run(push("log", ...roots));
    const deps = roots.map((_, i) => i + 1);
    const many = (count: number) =>
      Array.from({ length: count }, (_, i) => ({ ...change(100 + i, "b", i + 1, deps), bytes: new Uint8Array(2_000) }));
    const before = one.position.revision;
    expect(one.run(push("log", ...many(1_000)))).toMatchObject({ ok: false, code: "CHANGE_TOO_LARGE" });
    expect(one.position.revision).toBe(before);
    expect(one.run(push("log", ...many(900)))).toMatchObject({ ok: true });
    const hub = new OneCluster("hub", epoch("b"));
    expect(hub.import(one, selectForParent(one.ledger, hub.cluster, sha256))).toMatchObject({ kind: "imported" });
  });

  test("changes of one push are one revision with an event each; a known push is a no-op at its revision", () => {
    const site = new OneCluster("california");
    expect(site.run(push("log", change(1, "a", 1, []), change(2, "a", 2, [1])))).toEqual(ok(1));
    expect(site.run(push("log", change(3, "b", 1, [1])))).toEqual(ok(2));
    expect(site.run(push("log", change(1, "a", 1, []), change(3, "b", 1, [1])))).toEqual(ok(2));
    expect(site.run(push("log", change(2, "a", 2, [1])))).toEqual(ok(1));
    expect(site.records.map((record) => record.events.length)).toEqual([2, 1]);
    expect(site.document("log")).toMatchObject({
      heads: hashes(2, 3),
      position: 3,
      more: false,
      pending: 0,
      quarantined: [],
    });
    expect(site.query({ kind: "documents", collection: "notes" }).documents).toEqual(["log"]);
  });

  test("only what is new of a push becomes an event", () => {
    const site = new OneCluster("california");
    site.run(push("log", change(1, "a", 1, [])));
    expect(site.run(push("log", change(1, "a", 1, []), change(2, "a", 2, [1])))).toEqual(ok(2));
    expect(site.records[1]?.events).toMatchObject([{ change: { hash: changeHash(2) } }]);
  });

  test("D3: a push with missing dependencies names them and stores nothing", () => {
    const site = new OneCluster("california");
    const before = site.view.rows();
    const outcome = site.run(push("log", change(4, "a", 1, [3, 2]), change(5, "a", 2, [4, 1])));
    expect(outcome).toEqual({ ok: false, code: "MISSING", details: hashes(1, 2, 3).join(",") });
    expect(site.view.rows()).toEqual(before);
  });

  test("D3: what a pending change waits for is missing, not the pending change", () => {
    const site = new OneCluster("california");
    importChanges(site, [change(2, "b", 1, [1])]);
    expect(site.run(push("log", change(3, "a", 1, [2])))).toMatchObject({ code: "MISSING", details: changeHash(1) });
    expect(site.run(push("log", change(2, "b", 1, [1])))).toMatchObject({ code: "MISSING", details: changeHash(1) });
    expect(site.run(push("log", change(1, "c", 1, []), change(3, "a", 1, [2])))).toEqual(ok(2));
    expect(site.document("log")).toMatchObject({ heads: hashes(3), position: 3, pending: 0 });
  });

  test("D2: the higher hash of a pair is refused and not stored", () => {
    const site = new OneCluster("california");
    site.run(push("log", change(1, "a", 1, [])));
    const before = site.view.rows();
    expect(site.run(push("log", change(7, "a", 1, [])))).toEqual({
      ok: false,
      code: "QUARANTINED",
      details: changeHash(7),
    });
    expect(site.run(push("log", change(8, "b", 1, []), change(9, "b", 1, [])))).toMatchObject({ code: "QUARANTINED" });
    expect(site.view.rows()).toEqual(before);
  });

  test("D2: the lower hash stands, and takes the other and its dependents out of the document", () => {
    const site = new OneCluster("california");
    site.run(
      push("log", change(1, "c", 1, []), change(7, "a", 1, [1]), change(8, "b", 1, [7]), change(9, "c", 2, [1])),
    );
    expect(site.run(push("log", change(6, "a", 1, [9])))).toEqual(ok(2));
    const document = site.document("log");
    expect(document.changes.map((one) => one.hash)).toEqual(hashes(1, 9, 6));
    expect(document.heads).toEqual(hashes(6));
    expect(document.quarantined.map((one) => one.hash)).toEqual(hashes(7, 8));
    expect(site.run(push("log", change(8, "b", 1, [7])))).toMatchObject({ code: "QUARANTINED" });
    expect(site.run(push("log", change(10, "d", 1, [8])))).toMatchObject({ code: "QUARANTINED" });
    const known = site.query({ kind: "changes", collection: "notes", document: "log", hashes: hashes(9, 8, 77) });
    expect(known.changes.map((one) => one.hash)).toEqual(hashes(9, 8));
  });

  test("a document is read in pages, by position", () => {
    const site = new OneCluster("california");
    for (let i = 1; i <= 5; i++) site.run(push("log", change(i, "a", i, i === 1 ? [] : [i - 1])));
    const first = site.document("log", 0, 2);
    expect(first).toMatchObject({ position: 2, more: true });
    const second = site.document("log", first.position, 10);
    expect(second).toMatchObject({ position: 5, more: false });
    expect([...first.changes, ...second.changes].map((one) => one.hash)).toEqual(hashes(1, 2, 3, 4, 5));
  });

  test("X1: names, sizes and numbers of changes have limits", () => {
    const site = new OneCluster("california");
    const good = change(1, "a", 1, []);
    expect(site.run(push(""))).toMatchObject({ code: "BAD_REQUEST" });
    expect(site.run(push("", good))).toMatchObject({ code: "BAD_REQUEST" });
    expect(site.run(push("é".repeat(128), good))).toMatchObject({ code: "BAD_REQUEST" });
    expect(site.run(push("log", { ...good, bytes: new Uint8Array(1_048_577) }))).toMatchObject({
      code: "CHANGE_TOO_LARGE",
    });
    expect(site.run(push("log", { ...good, seq: 0 }))).toMatchObject({ code: "CHANGE_INVALID" });
    expect(site.document("x".repeat(300))).toMatchObject({ position: 0, changes: [] });
    expect(site.ledger).toEqual([]);
  });
});

describe("imports", () => {
  test("D3: a change that comes before what it needs is pending, and joins later", () => {
    const hub = new OneCluster("hub");
    importChanges(hub, [change(3, "a", 2, [2]), change(2, "b", 1, [1])]);
    expect(hub.document("log")).toMatchObject({ position: 0, pending: 2, heads: [] });
    expect(hub.position.revision).toBe(2);
    importChanges(hub, [change(1, "a", 1, [])]);
    expect(hub.document("log")).toMatchObject({ position: 3, pending: 0, heads: hashes(3) });
    expect(hub.document("log").changes.map((one) => one.hash)).toEqual(hashes(1, 2, 3));
  });

  test("D3: pending changes are bounded; the link waits where the bound is met, and goes on from there", () => {
    const hub = new OneCluster("hub");
    const orphans = Array.from({ length: PENDING_MAX + 1 }, (_, i) => change(10 + i, "a", i + 2, [9 + i]));
    const refusal = importChanges(hub, orphans);
    expect(refusal).toMatchObject({ kind: "importRefused", code: "OVERLOADED", cursor: PENDING_MAX });
    expect(hub.document("log").pending).toBe(PENDING_MAX);
    expect(importChanges(hub, orphans.slice(PENDING_MAX))).toMatchObject({ code: "OVERLOADED", cursor: PENDING_MAX });
    importChanges(hub, [change(9, "a", 1, [])], "nevada");
    expect(importChanges(hub, orphans.slice(PENDING_MAX))).toMatchObject({ kind: "imported", cursor: PENDING_MAX + 1 });
    expect(hub.document("log", 0, 2_000)).toMatchObject({ position: PENDING_MAX + 2, pending: 0 });
  });

  test("D2: where a change stands depends on the known changes alone, not on the order in which they came", () => {
    const actors = ["a", "b", "c"];
    // Few actors, low numbers and random dependencies: conflicts, orphans and dependents of both abound.
    const graph = fc.array(
      fc.record({
        actor: fc.constantFrom(...actors),
        seq: fc.integer({ min: 1, max: 3 }),
        deps: fc.uniqueArray(fc.nat(11), { maxLength: 3 }),
      }),
      { minLength: 1, maxLength: 11 },
    );
    const scrambled = fc.uniqueArray(fc.integer({ min: 1, max: 1_000 }), { minLength: 12, maxLength: 12 });
    fc.assert(
      fc.property(graph, scrambled, fc.array(fc.nat(), { minLength: 12, maxLength: 12 }), (nodes, names, order) => {
        const name = (i: number): number => names[i] ?? 0;
        // Node i depends on lower nodes, or on number 11, which never comes.
        const changes = nodes.map(({ actor, seq, deps }, i) =>
          change(name(i), actor, seq, deps.filter((dep) => dep < i || dep === 11).map(name)),
        );
        const shuffled = changes.map((one, i) => ({ one, key: order[i] ?? 0 })).sort((x, y) => x.key - y.key);
        const forward = new OneCluster("hub");
        const other = new OneCluster("hub");
        importChanges(forward, changes);
        for (const { one } of shuffled) importChanges(other, [one]);
        const expected = model(changes);
        for (const hub of [forward, other]) {
          const document = hub.document("log");
          expect(document.changes.map((one) => one.hash).sort()).toEqual(expected.accepted);
          expect(document.quarantined.map((one) => one.hash)).toEqual(expected.quarantined);
          expect(document.pending).toBe(expected.pending);
          expect(document.heads).toEqual(expected.heads);
          expect(document.position).toBe(expected.accepted.length);
          const seen = new Set<string>();
          for (const one of document.changes) {
            expect(one.deps.every((dep) => seen.has(dep))).toBe(true);
            seen.add(one.hash);
          }
        }
      }),
      { numRuns: 500 },
    );
  });
});

/** D2 and D3 word for word, over the whole set. */
function model(changes: readonly DocumentChange[]) {
  const known = new Map(changes.map((one) => [one.hash, one]));
  const lost = new Set(
    changes
      .filter((one) => changes.some((o) => o.actor === one.actor && o.seq === one.seq && o.hash < one.hash))
      .map((one) => one.hash),
  );
  const accepted = new Set<string>();
  for (let grown = true; grown; ) {
    grown = false;
    for (const one of changes) {
      const isLost = !lost.has(one.hash) && one.deps.some((dep) => lost.has(dep));
      if (isLost) lost.add(one.hash);
      grown ||= isLost;
    }
  }
  for (let grown = true; grown; ) {
    grown = false;
    for (const one of known.values()) {
      if (lost.has(one.hash) || accepted.has(one.hash) || !one.deps.every((dep) => accepted.has(dep))) continue;
      accepted.add(one.hash);
      grown = true;
    }
  }
  const isHead = (hash: string) =>
    ![...accepted].some((other) => known.get(changeHashOf(other))?.deps.some((dep) => dep === hash));
  return {
    accepted: [...accepted].sort(),
    quarantined: [...lost].sort(),
    pending: known.size - accepted.size - lost.size,
    heads: [...accepted].filter(isHead).sort(),
  };
}

const changeHashOf = (hex: string) => changeHash(Number.parseInt(hex, 16));
