import type { ImportedCommand } from "@openclaw/core/state-machine/command.ts";
import { describe, expect, test } from "vitest";
import { at, change, linkId, OneCluster, ok, push, put } from "./one-cluster.ts";

const LINK = linkId("c".repeat(32));

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

  test("Q1: results that are not acknowledged are bounded; nothing of what does not fit runs", () => {
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
      { link: LINK, cursor: 1, hash: new Uint8Array(0), epoch: null, outcomes: [{ seq: 1, outcome: ok(1) }] },
    ]);
  });
});
