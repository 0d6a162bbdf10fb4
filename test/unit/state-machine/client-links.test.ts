import { utf8 } from "@openclaw/core/bytes.ts";
import { RESPONSES_BYTES_MAX, TXN_RESPONSE_BYTES_MAX } from "@openclaw/core/limits.ts";
import type { ImportedCommand } from "@openclaw/core/state-machine/command.ts";
import { plainRange, type Txn } from "@openclaw/core/state-machine/operation.ts";
import { keyAfter } from "@openclaw/core/state-machine/row-pages.ts";
import { describe, expect, test } from "vitest";
import { at, change, linkId, OneCluster, ok, push, put } from "./one-cluster.ts";

const LINK = linkId("c".repeat(32));

/** Answers much, and counts how often it ran. */
const look: Txn = {
  kind: "txn",
  compares: [],
  success: [
    { kind: "put", key: utf8("n"), value: utf8("1"), lease: null, previous: false },
    { kind: "range", ...plainRange(utf8("big"), keyAfter(utf8("big")), 1) },
  ],
  failure: [],
};
const remove = (key: string): ImportedCommand => ({ kind: "deleteRange", keys: { kind: "key", key: utf8(key) } });
/** Of those, as many as are remembered. */
const FIT = Math.floor(RESPONSES_BYTES_MAX / TXN_RESPONSE_BYTES_MAX);

const queue = (site: OneCluster, from: number, commands: readonly ImportedCommand[], lowWater = 1) =>
  site.system({ kind: "importCommands", link: LINK, from: at(from), lowWater: at(lowWater), commands });

describe("clients' links", () => {
  test("Q2: commands run in order, once; an overlap is answered from memory", () => {
    const site = new OneCluster("california");
    expect(queue(site, 1, [put("a", "1"), put("a", "2")])).toEqual({
      kind: "imported",
      cursor: 2,
      outcomes: [ok(1), ok(2)],
    });
    expect(queue(site, 1, [put("a", "1"), put("a", "2"), put("a", "3")])).toEqual({
      kind: "imported",
      cursor: 3,
      outcomes: [ok(1), ok(2), ok(3)],
    });
    expect(site.keys()).toEqual({ a: "3" });
    expect(site.position.revision).toBe(3);
  });

  test("L4: a gap is refused with the cursor to rewind to", () => {
    const site = new OneCluster("california");
    queue(site, 1, [put("a", "1")]);
    expect(queue(site, 3, [put("a", "3")])).toMatchObject({ kind: "importRefused", code: "GAP", cursor: 1 });
    expect(site.position.revision).toBe(1);
  });

  test("Q2: what was acknowledged is forgotten and answered with null", () => {
    const site = new OneCluster("california");
    queue(site, 1, [put("a", "1"), put("a", "2")]);
    expect(queue(site, 2, [put("a", "2"), put("a", "3")], 3)).toMatchObject({ cursor: 3, outcomes: [null, ok(3)] });
    expect(site.query({ kind: "link", link: LINK }).link?.outcomes).toEqual([{ seq: 3, outcome: ok(3) }]);
  });

  test("Q1: results that are not acknowledged are bounded; nothing of what does not FIT runs", () => {
    const site = new OneCluster("california");
    const many = Array.from({ length: 1_000 }, (_, i) => put("a", String(i)));
    expect(queue(site, 1, many)).toMatchObject({ cursor: 1_000 });
    expect(queue(site, 1_001, many.slice(0, 25))).toMatchObject({
      kind: "importRefused",
      code: "OVERLOADED",
      cursor: 1_000,
    });
    expect(site.position.revision).toBe(1_000);
    expect(queue(site, 1_001, many.slice(0, 25), 1_001)).toMatchObject({ cursor: 1_025 });
    expect(queue(site, 1_026, [...many, ...many])).toMatchObject({ code: "BAD_REQUEST" });
  });

  test("S2: what finds no room for its response waits for it in its place, and what follows it does, too", () => {
    const site = new OneCluster("california");
    site.run(put("big", "v".repeat(TXN_RESPONSE_BYTES_MAX - 1_000)));
    const many: ImportedCommand[] = Array(FIT + 1).fill(look);
    const after = [remove("n"), put("last", "1")];
    const refused = { kind: "importRefused", code: "OVERLOADED", cursor: FIT };
    expect(queue(site, 1, [...many, ...after])).toMatchObject(refused);
    // A repetition of the entry changes nothing.
    expect(queue(site, 1, [...many, ...after])).toMatchObject(refused);
    expect(site.position.revision).toBe(1 + FIT);
    expect(Object.keys(site.keys())).toEqual(["big", "n"]);
    expect(site.query({ kind: "link", link: LINK }).link?.outcomes).toHaveLength(FIT);

    const again = queue(site, FIT + 1, [look, ...after], FIT + 1);
    expect(again).toMatchObject({
      kind: "imported",
      cursor: FIT + 3,
      outcomes: [{ ok: true }, { ok: true }, { ok: true }],
    });
    expect(site.position.revision).toBe(1 + FIT + 3);
  });

  test("Q1: a delete's response has its size, and waits for room as well", () => {
    const site = new OneCluster("california");
    site.run(put("big", "v".repeat(TXN_RESPONSE_BYTES_MAX - 300)));
    queue(site, 1, Array(FIT).fill(look));
    let cursor = FIT;
    let answer = queue(site, cursor + 1, [remove("none")]);
    while (answer.kind === "imported") answer = queue(site, ++cursor + 1, [remove("none")]);
    expect(answer).toMatchObject({ code: "OVERLOADED", cursor });
    expect(cursor).toBeLessThan(FIT + 64);
    expect(queue(site, cursor + 1, [put("a", "1")])).toMatchObject({ kind: "imported" });
  });

  test("Q1: a forgotten link never runs its commands again", () => {
    const site = new OneCluster("california");
    expect(queue(site, 7, [put("a", "7")])).toMatchObject({ code: "SESSION_EXPIRED", cursor: 0 });
  });

  test("D3: a command that is refused keeps its place and holds up no other", () => {
    const site = new OneCluster("california");
    const forbidden: ImportedCommand = { kind: "refused", code: "FORBIDDEN", details: "a" };
    const result = queue(site, 1, [push("log", change(2, "a", 1, [1])), forbidden, put("b", "1")]);
    expect(result).toMatchObject({
      kind: "imported",
      cursor: 3,
      outcomes: [{ code: "MISSING" }, { ok: false, code: "FORBIDDEN", details: "a" }, ok(1)],
    });
  });

  test("L2: each revision of one command has a salt of its own", () => {
    const site = new OneCluster("california");
    queue(site, 1, [put("a", "1"), put("a", "1")]);
    const [first, second] = site.records;
    expect(first?.salt).toHaveLength(16);
    expect(first?.salt).not.toEqual(second?.salt);
    expect(first).toMatchObject({ principal: "ada", origin: null, link: null });
  });

  test("links are listed with their cursors", () => {
    const site = new OneCluster("california");
    queue(site, 1, [put("a", "1")]);
    expect(site.query({ kind: "links" }).links).toEqual([
      {
        link: LINK,
        cursor: 1,
        hash: new Uint8Array(0),
        epoch: null,
        ancestors: [],
        outcomes: [{ seq: 1, outcome: ok(1) }],
      },
    ]);
  });
});
