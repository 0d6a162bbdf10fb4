import { utf8 } from "@openclaw/core/bytes.ts";
import { revision } from "@openclaw/core/ids.ts";
import { KEY_BYTES_MAX, VALUE_BYTES_MAX } from "@openclaw/core/limits.ts";
import type { UserCommand } from "@openclaw/core/state-machine/command.ts";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { OneCluster, ok, put, text } from "./one-cluster.ts";

const remove = (key: string): UserCommand => ({ kind: "delete", key: utf8(key) });
const swap = (key: string, expected: number, value: string): UserCommand => ({
  kind: "compareAndSet",
  key: utf8(key),
  expected: revision(expected),
  value: utf8(value),
});

describe("keys", () => {
  test("a put counts as etcd counts: revisions of the incarnation, and a version", () => {
    const site = new OneCluster("california");
    expect(site.run(put("a", "1"))).toEqual(ok(1));
    expect(site.run(put("b", "1"))).toEqual(ok(2));
    expect(site.run(put("a", "2"))).toEqual(ok(3));
    expect(site.key("a")).toMatchObject({ createRevision: 1, modRevision: 3, version: 2 });
    expect(site.run(remove("a"))).toEqual(ok(4));
    expect(site.key("a")).toBeNull();
    expect(site.run(put("a", "3"))).toEqual(ok(5));
    expect(site.key("a")).toMatchObject({ createRevision: 5, modRevision: 5, version: 1 });
  });

  test("compare-and-set asks for the mod revision; 0 means that there is no such key", () => {
    const site = new OneCluster("california");
    expect(site.run(swap("a", 1, "x"))).toMatchObject({ ok: false, code: "COMPARE_FAILED" });
    expect(site.run(swap("a", 0, "x"))).toEqual(ok(1));
    expect(site.run(swap("a", 0, "y"))).toMatchObject({ ok: false, code: "COMPARE_FAILED" });
    expect(site.run(swap("a", 1, "y"))).toEqual(ok(2));
    expect(site.keys()).toEqual({ a: "y" });
  });

  test("L1: a refusal takes no revision and leaves no trace", () => {
    const site = new OneCluster("california");
    site.run(put("a", "1"));
    const before = site.view.rows();
    expect(site.run(remove("b"))).toEqual({ ok: false, code: "NOT_FOUND", details: "" });
    expect(site.run(swap("a", 7, "x"))).toMatchObject({ ok: false });
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
    const page = site.query({ kind: "range", origin: null, from: utf8("a"), to: null, limit: 3 });
    expect(page.rows.map((row) => text(row.key))).toEqual(["a", "a\u0000", "ab"]);
    expect(page.more).toBe(true);
    const rest = site.query({ kind: "range", origin: null, from: utf8("b"), to: null, limit: 2 });
    expect(rest.rows.map((row) => text(row.key))).toEqual(["b", "ÿ"]);
    expect(rest).toMatchObject({ more: false, revision: 5 });
  });

  test("X1: an answer of large values ends at its bytes", () => {
    const site = new OneCluster("california");
    for (const key of ["a", "b", "c"])
      site.run({ kind: "put", key: utf8(key), value: new Uint8Array(VALUE_BYTES_MAX) });
    const page = site.query({ kind: "range", origin: null, from: utf8("a"), to: null, limit: 10 });
    expect(page.rows).toHaveLength(2);
    expect(page.more).toBe(true);
  });

  test("any run of commands does what a plain map does", () => {
    const key = fc.constantFrom("a", "b", "ab", "");
    const value = fc.constantFrom("x", "y");
    const command: fc.Arbitrary<UserCommand> = fc.oneof(
      fc.tuple(key, value).map(([k, v]) => put(k, v)),
      key.map(remove),
      fc.tuple(key, fc.nat(12), value).map(([k, expected, v]) => swap(k, expected, v)),
    );
    fc.assert(
      fc.property(fc.array(command, { maxLength: 40 }), (commands) => {
        const site = new OneCluster("california");
        const model = new Map<string, { value: string; create: number; mod: number; version: number }>();
        let at = 0;
        for (const one of commands) {
          if (one.kind === "change") throw new Error("not generated");
          const name = text(one.key);
          const row = model.get(name);
          const allowed =
            name !== "" &&
            (one.kind === "put" || (one.kind === "delete" ? row !== undefined : (row?.mod ?? 0) === one.expected));
          const outcome = site.run(one);
          expect(outcome.ok).toBe(allowed);
          if (!allowed) continue;
          at++;
          expect(outcome).toEqual(ok(at));
          if (one.kind === "delete") model.delete(name);
          else {
            const version = (row?.version ?? 0) + 1;
            model.set(name, { value: text(one.value), create: row?.create ?? at, mod: at, version });
          }
        }
        const { rows } = site.query({ kind: "range", origin: null, from: utf8(""), to: null, limit: 100 });
        const found = rows.map((row) => [
          text(row.key),
          { value: text(row.value), create: row.createRevision, mod: row.modRevision, version: row.version },
        ]);
        expect(found).toEqual([...model].sort(([a], [b]) => (a < b ? -1 : 1)));
        expect(site.position.revision).toBe(at);
      }),
    );
  });
});
