import { utf8 } from "@openclaw/core/bytes.ts";
import { revision } from "@openclaw/core/ids.ts";
import { KEY_BYTES_MAX, VALUE_BYTES_MAX } from "@openclaw/core/limits.ts";
import type { Outcome, UserCommand } from "@openclaw/core/state-machine/command.ts";
import { compareAndSet, comparedOutcome } from "@openclaw/core/state-machine/compare-and-set.ts";
import { plainRange } from "@openclaw/core/state-machine/operation.ts";
import { describe, expect, test } from "vitest";
import { OneCluster, ok, put, text } from "./one-cluster.ts";

const remove = (key: string): UserCommand => ({ kind: "deleteRange", keys: { kind: "key", key: utf8(key) } });
const swap = (key: string, expected: number, value: string): UserCommand =>
  compareAndSet(utf8(key), revision(expected), utf8(value));
const swapped = (site: OneCluster, ...[key, expected, value]: Parameters<typeof swap>): Outcome => {
  const command = swap(key, expected, value);
  return comparedOutcome(command, site.run(command));
};
const deleted = (at: number, count: number): Outcome => ({
  ok: true,
  revision: revision(at),
  response: { kind: "deleteRange", deleted: count, previous: [] },
});

describe("keys", () => {
  test("a put counts as etcd counts: revisions of the incarnation, and a version", () => {
    const site = new OneCluster("california");
    expect(site.run(put("a", "1"))).toEqual(ok(1));
    expect(site.run(put("b", "1"))).toEqual(ok(2));
    expect(site.run(put("a", "2"))).toEqual(ok(3));
    expect(site.key("a")).toMatchObject({ createRevision: 1, modRevision: 3, version: 2 });
    expect(site.run(remove("a"))).toEqual(deleted(4, 1));
    expect(site.key("a")).toBeNull();
    expect(site.run(put("a", "3"))).toEqual(ok(5));
    expect(site.key("a")).toMatchObject({ createRevision: 5, modRevision: 5, version: 1 });
  });

  test("compare-and-set asks for the mod revision; 0 means that there is no such key", () => {
    const site = new OneCluster("california");
    expect(swapped(site, "a", 1, "x")).toMatchObject({ code: "COMPARE_FAILED", details: "the key is at revision 0" });
    expect(swapped(site, "a", 0, "x")).toMatchObject({ ok: true, revision: 1 });
    expect(swapped(site, "a", 0, "y")).toMatchObject({ code: "COMPARE_FAILED", details: "the key is at revision 1" });
    expect(swapped(site, "a", 1, "y")).toMatchObject({ ok: true, revision: 2 });
    expect(site.keys()).toEqual({ a: "y" });
  });

  test("L1: what changes nothing takes no revision and leaves no trace", () => {
    const site = new OneCluster("california");
    site.run(put("a", "1"));
    const before = site.view.rows();
    expect(site.run(remove("b"))).toEqual(deleted(1, 0));
    expect(swapped(site, "a", 7, "x")).toMatchObject({ ok: false });
    expect(site.view.rows()).toEqual(before);
    expect(site.ledger).toHaveLength(1);
  });

  test("X1: keys and values have limits at apply, too", () => {
    const site = new OneCluster("california");
    const large: UserCommand = {
      kind: "put",
      key: new Uint8Array(KEY_BYTES_MAX),
      value: new Uint8Array(VALUE_BYTES_MAX),
    };
    expect(site.run(put("", "x"))).toMatchObject({ code: "KEY_EMPTY" });
    expect(site.run({ ...large, key: new Uint8Array(KEY_BYTES_MAX + 1) })).toMatchObject({ code: "KEY_TOO_LARGE" });
    expect(site.run({ ...large, value: new Uint8Array(VALUE_BYTES_MAX + 1) })).toMatchObject({
      code: "VALUE_TOO_LARGE",
    });
    expect(site.run(large)).toEqual(ok(1));
  });

  test("a range ends at its limit and says that there is more; keys are bytes in byte order", () => {
    const site = new OneCluster("california");
    for (const key of ["b", "a", "a\u0000", "ab", "ÿ"]) site.run(put(key, key));
    const page = site.query({ kind: "range", origin: null, ...plainRange(utf8("a"), null, 3) });
    expect(page.rows.map((row) => text(row.key))).toEqual(["a", "a\u0000", "ab"]);
    expect(page.more).toBe(true);
    const rest = site.query({ kind: "range", origin: null, ...plainRange(utf8("b"), null, 2) });
    expect(rest.rows.map((row) => text(row.key))).toEqual(["b", "ÿ"]);
    expect(rest).toMatchObject({ more: false, revision: 5 });
  });

  test("X1: an answer of large values ends at its bytes", () => {
    const site = new OneCluster("california");
    for (const key of ["a", "b", "c"])
      site.run({ kind: "put", key: utf8(key), value: new Uint8Array(VALUE_BYTES_MAX) });
    const page = site.query({ kind: "range", origin: null, ...plainRange(utf8("a"), null, 10) });
    expect(page.rows).toHaveLength(2);
    expect(page.more).toBe(true);
  });
});
