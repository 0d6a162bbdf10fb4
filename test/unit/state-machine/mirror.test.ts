/** What a parent holds of a child's ledger is a prefix of it: each revision once, as a body or in a gap, hashes equal (L2). */
import { toHex, utf8 } from "@openclaw/core/bytes.ts";
import type { Mirror, MirrorItem } from "@openclaw/core/history/history-query.ts";
import { senderHash } from "@openclaw/core/history/mirror.ts";
import { revision } from "@openclaw/core/ids.ts";
import { leafHash } from "@openclaw/core/ledger/chain.ts";
import type { LinkItem } from "@openclaw/core/ledger/record.ts";
import { decodeRecord } from "@openclaw/core/ledger/record-codec.ts";
import { selectForChild, selectForParent } from "@openclaw/core/ledger/selection.ts";
import type { StoredRecord } from "@openclaw/core/ports.ts";
import { ledgerLinkKey } from "@openclaw/core/state-machine/keyspace.ts";
import { rewindLink } from "@openclaw/core/state-machine/link-gaps.ts";
import { ledgerLinkRow } from "@openclaw/core/state-machine/link-rows.ts";
import { Transaction } from "@openclaw/core/state-machine/transaction.ts";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { change, epoch, linkId, OneCluster, push, put, sha256 } from "./one-cluster.ts";

const MIB = 1_048_576;

const mirror = (parent: OneCluster, child: OneCluster, from = 1, bytes = MIB): Mirror =>
  parent.history({ kind: "mirror", link: linkId(child.cluster), from: revision(from), bytes });

/** As "1 2-4:skipped 5". */
const shape = (items: readonly MirrorItem[]): string =>
  items.map((item) => (item.kind === "body" ? item.revision : `${item.from}-${item.to}:${item.reason}`)).join(" ");

/** What differs from the child's own ledger, up to `to`. */
function differences({ items, fault }: Mirror, ledger: readonly StoredRecord[], from: number, to: number): string[] {
  const wrong: string[] = fault === null ? [] : [`fault at ${fault.revision}: ${fault.details}`];
  let next = from;
  for (const item of items) {
    const [first, last] = item.kind === "body" ? [item.revision, item.revision] : [item.from, item.to];
    const own = ledger[last - 1];
    if (first > next || last < next) wrong.push(`${first} to ${last} stands where ${next} should`);
    if (own === undefined || toHex(own.hash) !== toHex(item.hash)) wrong.push(`another hash at ${last}`);
    if (item.kind === "body" && (own === undefined || toHex(own.record) !== toHex(item.record)))
      wrong.push(`another body at ${last}`);
    next = last + 1;
  }
  if (next !== to + 1) wrong.push(`it ends at ${next - 1}, not at ${to}`);
  return wrong;
}

const cursorOf = (parent: OneCluster, child: OneCluster): number =>
  parent.query({ kind: "link", link: linkId(child.cluster) }).link?.cursor ?? 0;

/** Ships what the parent lacks, so many revisions at a time. */
function ship(
  child: OneCluster,
  parent: OneCluster,
  most = Number.POSITIVE_INFINITY,
  as = (items: LinkItem[]) => items,
) {
  for (let cursor = cursorOf(parent, child); cursor < child.ledger.length; cursor = cursorOf(parent, child)) {
    const records = child.ledger.slice(cursor, cursor + most);
    const result = parent.import(child, as(selectForParent(records, parent.cluster, sha256)), records.at(-1)?.hash);
    expect(result).toMatchObject({ kind: "imported" });
  }
}

function pair() {
  return { site: new OneCluster("california", epoch("b")), hub: new OneCluster("hub") };
}

describe("a mirror", () => {
  test("L2, L4: bodies are as they came, and what is no body is a gap with the sender's hash", () => {
    const { site, hub } = pair();
    hub.run(put("notice", "1"));
    hub.run(push("log", change(1, "a", 1, [])));
    site.run(put("a", "1"));
    // Comes from the hub: goes back as a skip.
    const falling = selectForChild(hub.ledger, site.cluster, { prefixes: [utf8("")], collections: [], mirrors: false });
    site.import(hub, falling, hub.position.hash);
    // Known at the hub already.
    site.run(push("log", change(1, "a", 1, [])));
    site.run(put("b", "1"));
    const stubbed = (items: LinkItem[]): LinkItem[] =>
      items.map((item) =>
        item.kind === "body" && item.revision === 4
          ? { kind: "stub", revision: item.revision, leaf: leafHash(sha256, item.record), reason: "private" }
          : item,
      );
    ship(site, hub, 4, stubbed);
    site.run(put("c", "1"));
    ship(site, hub);
    const found = mirror(hub, site);
    expect(shape(found.items)).toBe("1 2-2:skipped 3-3:known 4-4:private 5");
    expect(differences(found, site.ledger, 1, 5)).toEqual([]);
    expect(found.link).toMatchObject({ cursor: 5, epoch: site.epoch });
    // No revision for any gap.
    expect(hub.position.revision).toBe(4);
  });

  test("L4: a record of which a part took effect is kept whole, and read as that part", () => {
    const { site, hub } = pair();
    hub.run(push("log", change(1, "a", 1, [])));
    site.run(push("log", change(1, "a", 1, []), change(2, "a", 2, [1])));
    ship(site, hub);
    expect(hub.records[1]?.events).toMatchObject([{ kind: "change", change: change(2, "a", 2, [1]) }]);
    expect(differences(mirror(hub, site), site.ledger, 1, 1)).toEqual([]);
  });

  test("L2: over three tiers each tier gives back the ledger of the one below it, and that of the one below that", () => {
    const { site, hub } = pair();
    const central = new OneCluster("central", epoch("c"));
    site.run(put("a", "1"));
    hub.run(put("own", "1"));
    site.run(put("a", "2"));
    ship(site, hub, 1);
    ship(hub, central, 2);
    const above = mirror(central, hub);
    expect(shape(above.items)).toBe("1 2 3");
    expect(differences(above, hub.ledger, 1, 3)).toEqual([]);
    const below = above.items.flatMap((item) => {
      const record = item.kind === "body" ? decodeRecord(item.record) : null;
      return record === null || record.link === null || record.body === null ? [] : [record.body];
    });
    expect(below.map(toHex)).toEqual(site.ledger.map(({ record }) => toHex(record)));
    expect(central.keys(site.cluster)).toEqual({ a: "2" });
  });

  test("adjacent gaps of one reason are one row, however many imports bring them", () => {
    const { site, hub } = pair();
    site.run(put("a", "1"));
    for (let i = 0; i < 20; i++) site.run(put("b", String(i)));
    const echo = (items: LinkItem[]): LinkItem[] =>
      items.map((item) =>
        item.kind === "body" && item.revision > 1
          ? { kind: "stub", revision: item.revision, leaf: leafHash(sha256, item.record), reason: "shed" }
          : item,
      );
    ship(site, hub, 3, echo);
    expect(shape(mirror(hub, site).items)).toBe("1 2-21:shed");
    expect(rowsOfGaps(hub)).toBe(2);
    expect(differences(mirror(hub, site), site.ledger, 1, 21)).toEqual([]);
  });

  test("L7: what was altered here, body or hash of a gap, is found and placed", () => {
    const { site, hub } = pair();
    for (const key of ["a", "b", "c", "d"]) site.run(put(key, "1"));
    ship(site, hub);
    const [, second] = hub.ledger;
    if (second === undefined) throw new Error("a second record");
    // In the body's own salt: it can still be read.
    const read = decodeRecord(second.record);
    const at = second.record.length - ((read.origin === null ? null : read.body)?.length ?? 0) + 5;
    hub.ledger[1] = { ...second, record: second.record.map((byte, i) => (i === at ? byte ^ 1 : byte)) };
    expect(mirror(hub, site).fault).toMatchObject({ kind: "chain", revision: 1 });
    hub.ledger.splice(1, 1);
    expect(mirror(hub, site).fault).not.toBeNull();
  });

  test("X1: a link that nobody knows has no mirror, and one that is not so far says so", () => {
    const { site, hub } = pair();
    expect(mirror(hub, site)).toEqual({ link: null, before: null, items: [], fault: null });
    site.run(put("a", "1"));
    ship(site, hub);
    expect(() => mirror(hub, site, 3)).toThrow(expect.objectContaining({ code: "REVISION_AHEAD" }));
    expect(mirror(hub, site, 2)).toMatchObject({ items: [], before: new Uint8Array(site.position.hash), fault: null });
  });

  test("K10: what is compacted here is one gap, and its rows are joined", () => {
    const { site, hub } = pair();
    const alternate = (items: LinkItem[]): LinkItem[] =>
      items.map((item) =>
        item.kind === "body" && item.revision % 2 === 0
          ? { kind: "stub", revision: item.revision, leaf: leafHash(sha256, item.record), reason: "echo" }
          : item,
      );
    for (let i = 0; i < 60; i++) site.run(put("a", String(i)));
    ship(site, hub, 7, alternate);
    expect(rowsOfGaps(hub)).toBe(31);
    // The hub's revision 25 is the site's 49.
    hub.run({ kind: "compact", revision: revision(25) });
    hub.prune();
    const after = mirror(hub, site);
    expect(shape(after.items).slice(0, 24)).toBe("1-48:compacted 49 50-50:");
    const tail = { ...after, items: after.items.slice(1) };
    expect(differences(tail, site.ledger, 49, 60)).toEqual([]);
    for (let i = 0; i < 10; i++) site.run(put("b", String(i)));
    ship(site, hub, 7, alternate);
    expect(rowsOfGaps(hub)).toBeLessThanOrEqual(13);
    const joined = mirror(hub, site);
    expect(shape(joined.items).slice(0, 24)).toBe("1-48:compacted 49 50-50:");
    expect(differences({ ...joined, items: joined.items.slice(1) }, site.ledger, 49, 70)).toEqual([]);
  });

  test("K10: nor do the marks of a link that brings bodies alone outlive them", () => {
    const { site, hub } = pair();
    const rows = () => hub.view.rows().filter(({ key }) => key[0] === 0x42).length;
    const write = (count: number) => {
      for (let i = 0; i < count; i++) site.run({ kind: "put", key: utf8("a"), value: new Uint8Array(MIB) });
      ship(site, hub, 3);
    };
    write(12);
    expect(rows()).toBe(13);
    hub.run({ kind: "compact", revision: hub.position.revision });
    hub.prune();
    write(4);
    expect(rows()).toBeLessThanOrEqual(6);
    expect(shape(mirror(hub, site, 1, 8 * MIB).items)).toBe("1-11:compacted 12 13 14 15 16");
  });

  test("a long run of bodies is marked: whoever begins in the middle reads a bounded number of them", () => {
    const { site, hub } = pair();
    for (let i = 0; i < 2_500; i++) site.run(put("a", String(i)));
    ship(site, hub, 500);
    expect(rowsOfGaps(hub)).toBe(3);
    expect(differences(mirror(hub, site, 2_400), site.ledger, 2_400, 2_500)).toEqual([]);
    // Of large ones, fewer.
    for (let i = 0; i < 30; i++) site.run(put("large", "x".repeat(100_000)));
    ship(site, hub);
    expect(rowsOfGaps(hub)).toBe(5);
    for (const from of [2_501, 2_510, 2_530])
      expect(differences(mirror(hub, site, from, 4 * MIB), site.ledger, from, 2_530)).toEqual([]);
  });

  test.for([
    [2, "1 2", "1 2 3 4 5 6 7"],
    [3, "1 2 3-3:shed", "1 2 3-3:shed 4 5 6 7"],
  ] as const)(
    "L3: taken back to %i, where another life of the sender parted, it goes on with that, and the first one's bodies are nobody's",
    ([to, before, after]) => {
      const { site, hub } = pair();
      const other = new OneCluster("california", epoch("b"));
      const shed = (items: LinkItem[]): LinkItem[] =>
        items.map((item) =>
          item.kind === "body" && item.revision > 2 && item.revision < 6
            ? { kind: "stub", revision: item.revision, leaf: leafHash(sha256, item.record), reason: "shed" }
            : item,
        );
      for (let i = 0; i < 3; i++) for (const one of [site, other]) one.run(put(`k${i}`, "1"));
      for (let i = 0; i < 5; i++) site.run(put("first", String(i)));
      for (let i = 0; i < 4; i++) other.run(put("second", String(i)));
      ship(site, hub, 8, shed);
      const parting = other.ledger[to - 1];
      const link = linkId(site.cluster);
      const tx = new Transaction(hub.view);
      const row = tx.read(ledgerLinkKey(link), ledgerLinkRow);
      if (parting === undefined || row === undefined) throw new Error("a parting, and a link");
      const at = hub.position.revision;
      const back = rewindLink(tx, link, row, { to: revision(to), hash: parting.hash, at });
      tx.write(ledgerLinkKey(link), ledgerLinkRow, { ...back, epoch: epoch("d", 2) });
      hub.view.write(tx.writes());
      expect(shape(mirror(hub, site).items)).toBe(before);
      const items = selectForParent(other.ledger.slice(to), hub.cluster, sha256);
      const { cluster } = other;
      const { hash } = other.position;
      hub.system({
        kind: "importLedger",
        side: "child",
        link,
        cluster,
        epoch: epoch("d", 2),
        items,
        hash,
        after: null,
      });
      expect(shape(mirror(hub, other).items)).toBe(after);
      expect(differences(mirror(hub, other), other.ledger, 1, 7)).toEqual([]);
      expect(differences(mirror(hub, other, 5), other.ledger, 5, 7)).toEqual([]);
    },
  );

  test("L3: the sender's hash at any revision that is no gap's inside", async () => {
    const { site, hub } = pair();
    for (let i = 0; i < 5; i++) site.run(put("a", String(i)));
    const skipped = (items: LinkItem[]): LinkItem[] => [
      ...items.slice(0, 1),
      { kind: "skip", from: revision(2), to: revision(3), hash: site.ledger[2]?.hash ?? new Uint8Array() },
      ...items.slice(3),
    ];
    ship(site, hub, 5, skipped);
    const at = (one: number) =>
      senderHash(async (question) => hub.history(question), linkId(site.cluster), revision(one));
    for (const known of [1, 3, 4, 5])
      expect(toHex((await at(known)) ?? new Uint8Array())).toBe(
        toHex(site.ledger[known - 1]?.hash ?? new Uint8Array()),
      );
    expect(await at(2)).toBeNull();
  });

  test("L2: whatever a child writes, is told and ships, and however: the mirror is a prefix of its ledger", () => {
    const step = fc.record({
      act: fc.constantFrom("put", "delete", "change", "known", "echo", "ship", "compact"),
      number: fc.nat(5),
      stub: fc.boolean(),
    });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
        const { site, hub } = pair();
        let changes = 0;
        let from = 1;
        for (const { act, number, stub } of steps) {
          if (act === "put") site.run(put(`k${number}`, String(changes)));
          else if (act === "delete") site.run({ kind: "deleteRange", keys: { kind: "key", key: utf8(`k${number}`) } });
          else if (act === "change" || act === "known") {
            const one = change(++changes, "a", changes, []);
            site.run(push("log", one));
            if (act === "known") hub.run(push("log", one));
          } else if (act === "echo") {
            const after = cursorOf(site, hub);
            const records = hub.ledger.filter(({ revision: at }) => at > after);
            if (records[0]?.revision !== after + 1) continue;
            const everything = { prefixes: [utf8("")], collections: ["notes"], mirrors: true };
            site.import(hub, selectForChild(records, site.cluster, everything), hub.position.hash);
          } else if (act === "compact") {
            const { revision: newest } = hub.position;
            if (newest < 2) continue;
            hub.run({ kind: "compact", revision: newest });
            hub.prune();
            from = cursorOf(hub, site) + 1;
          } else {
            const stubbed = (items: LinkItem[]): LinkItem[] =>
              items.map((item) =>
                stub && item.kind === "body" && item.revision % 3 === 0
                  ? { kind: "stub", revision: item.revision, leaf: leafHash(sha256, item.record), reason: "private" }
                  : item,
              );
            ship(site, hub, number + 1, stubbed);
          }
          const to = cursorOf(hub, site);
          for (const bytes of [1, 200, MIB]) {
            const items: MirrorItem[] = [];
            for (let next = from; next <= to; ) {
              const page = mirror(hub, site, next, bytes);
              expect(page.fault).toBeNull();
              const last = page.items.at(-1);
              if (last === undefined) throw new Error(`a page from ${next} without an item`);
              items.push(...page.items);
              next = (last.kind === "body" ? last.revision : last.to) + 1;
            }
            expect(differences({ link: null, before: null, items, fault: null }, site.ledger, from, to)).toEqual([]);
          }
        }
      }),
      { numRuns: 150 },
    );
  }, 60_000);
});

const GAP_TAG = 0x42;
const rowsOfGaps = (cluster: OneCluster): number => cluster.view.rows().filter(({ key }) => key[0] === GAP_TAG).length;
