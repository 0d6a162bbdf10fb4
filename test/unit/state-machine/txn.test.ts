import { utf8 } from "@openclaw/core/bytes.ts";
import {
  EVENTS_MAX,
  KEY_BYTES_MAX,
  RANGE_ROWS_MAX,
  RESPONSES_BYTES_MAX,
  TXN_DEPTH_MAX,
  TXN_OPERATIONS_MAX,
  TXN_RESPONSE_BYTES_MAX,
  VALUE_BYTES_MAX,
} from "@openclaw/core/limits.ts";
import type { Outcome, UserCommand } from "@openclaw/core/state-machine/command.ts";
import { decodeCommands, encodeCommands } from "@openclaw/core/state-machine/command-codec.ts";
import { keyRowKey } from "@openclaw/core/state-machine/keyspace.ts";
import {
  type Compare,
  type KeySelector,
  type Operation,
  plainRange,
  selectKeys,
  type Txn,
} from "@openclaw/core/state-machine/operation.ts";
import { outcomeTuple, readOutcome } from "@openclaw/core/state-machine/outcome-codec.ts";
import { describe, expect, test } from "vitest";
import { at, header, hexed, OneCluster, ok, put, sessionId, text, txn } from "./one-cluster.ts";

const key = (name: string): KeySelector => ({ kind: "key", key: utf8(name) });
const range = (from: string, to: string | null): KeySelector => ({
  kind: "range",
  from: utf8(from),
  to: to === null ? null : utf8(to),
});
const set = (name: string, value: string | null, previous = false): Operation => ({
  kind: "put",
  key: utf8(name),
  value: value === null ? null : utf8(value),
  lease: null,
  previous,
});
const remove = (keys: KeySelector, previous = false): Operation => ({ kind: "deleteRange", keys, previous });
const look = (keys: KeySelector): Operation => ({ kind: "range", ...plainRange(utf8("a"), null, 0), keys });
const nested = (success: readonly Operation[], failure: readonly Operation[] = [], compares: readonly Compare[] = []) =>
  ({ kind: "txn", compares, success, failure }) as const;
const version = (name: string, number: number): Compare => ({
  target: "version",
  keys: key(name),
  result: "equal",
  number,
});
const codeOf = (outcome: Outcome): string => (outcome.ok ? "ok" : outcome.code);
const site = (...commands: readonly UserCommand[]): OneCluster => {
  const made = new OneCluster("california");
  for (const command of commands) made.run(command);
  return made;
};
/** The response, with keys and values as texts. */
const told = (outcome: Outcome) => {
  if (!outcome.ok || outcome.response?.kind !== "txn") throw new Error(`not a transaction's: ${codeOf(outcome)}`);
  return outcome.response;
};

describe("a transaction", () => {
  test("runs one branch, all of it at one revision and in one record", () => {
    const here = site(put("a", "1"), put("b", "1"));
    const outcome = here.run(txn([version("a", 1)], [set("a", "2"), set("c", "1"), remove(key("b"))], [set("no", "")]));
    expect(outcome).toEqual({
      ok: true,
      revision: 3,
      response: {
        kind: "txn",
        succeeded: true,
        responses: [
          { kind: "put", previous: null },
          { kind: "put", previous: null },
          { kind: "deleteRange", deleted: 1, previous: [] },
        ],
      },
    });
    expect(here.keys()).toEqual({ a: "2", c: "1" });
    expect(here.key("a")).toMatchObject({ createRevision: 1, modRevision: 3, version: 2 });
    expect(here.key("c")).toMatchObject({ createRevision: 3, modRevision: 3, version: 1 });
    expect(here.records.at(-1)?.events.map((event) => event.kind)).toEqual(["put", "put", "delete"]);
  });

  test("L1: one that changes nothing takes no revision, and says which it found", () => {
    const here = site(put("a", "1"));
    expect(here.run(txn([version("a", 2)], [set("a", "2")], [look(key("a"))]))).toMatchObject({
      ok: true,
      revision: 1,
    });
    expect(here.run(txn([], [remove(key("b"))]))).toMatchObject({ revision: 1 });
    expect(here.run(txn([], []))).toMatchObject({ revision: 1, response: { succeeded: true, responses: [] } });
    expect(here.ledger).toHaveLength(1);
  });

  test("a compare of no key: numbers are 0, and no value agrees with anything", () => {
    const here = site();
    const value = (result: Compare["result"]): Compare => ({
      target: "value",
      keys: key("a"),
      result,
      value: utf8(""),
    });
    expect(told(here.run(txn([version("a", 0)], []))).succeeded).toBe(true);
    for (const result of ["equal", "notEqual", "greater", "less"] as const)
      expect(told(here.run(txn([value(result)], []))).succeeded, result).toBe(false);
  });

  test("a compare over a range holds when it holds for each key in it", () => {
    const here = site(put("a", "1"), put("b", "1"), put("b", "2"), put("c", "1"));
    const below = (to: string | null, number: number): Compare => ({
      target: "version",
      keys: range("a", to),
      result: "less",
      number,
    });
    expect(told(here.run(txn([below("b", 2)], []))).succeeded).toBe(true);
    expect(told(here.run(txn([below("c", 2)], []))).succeeded).toBe(false);
    expect(told(here.run(txn([below(null, 3)], []))).succeeded).toBe(true);
    expect(told(here.run(txn([{ ...below("b", 1), keys: range("x", "y") }], []))).succeeded).toBe(true);
  });

  test("compares of a nested one look at what was there before; operations see what those before them did", () => {
    const here = site();
    const { responses } = told(
      here.run(txn([], [set("a", "1"), nested([set("new", "")], [set("old", "")], [version("a", 1)]), look(key("a"))])),
    );
    expect(responses[1]).toMatchObject({ succeeded: false });
    expect(responses[2]).toMatchObject({ rows: [{ modRevision: 1, version: 1 }] });
    expect(here.keys()).toEqual({ a: "1", old: "" });
  });

  test("tells previous rows where they are asked for", () => {
    const here = site(put("a", "1"), put("b", "2"));
    const { responses } = told(here.run(txn([], [set("a", "3", true), remove(range("b", null), true)])));
    expect(responses).toMatchObject([
      { previous: { key: utf8("a"), value: utf8("1"), modRevision: 1 } },
      { deleted: 1, previous: [{ key: utf8("b"), value: utf8("2") }] },
    ]);
    expect(told(here.run(txn([], [set("z", "", true)]))).responses).toEqual([{ kind: "put", previous: null }]);
  });

  test("a put that keeps the value makes a new version of it, and is NOT_FOUND where there is none", () => {
    const here = site(put("a", "1"));
    expect(codeOf(here.run(txn([], [set("a", null)])))).toBe("ok");
    expect(here.key("a")).toMatchObject({ value: utf8("1"), modRevision: 2, version: 2 });
    expect(codeOf(here.run(txn([], [set("b", "1"), set("c", null)])))).toBe("NOT_FOUND");
    // What it needs must be there before it begins: etcd checks that first, too.
    expect(codeOf(here.run(txn([], [nested([set("b", "1")]), nested([remove(key("b"))]), set("c", null)])))).toBe(
      "NOT_FOUND",
    );
    expect(here.keys()).toEqual({ a: "1" });
  });

  test("a key deleted and put again begins anew", () => {
    const here = site(put("a", "1"), put("a", "2"));
    here.run(txn([], [remove(key("a"))]));
    here.run(txn([], [set("a", "3")]));
    expect(here.key("a")).toMatchObject({ createRevision: 4, modRevision: 4, version: 1 });
  });

  test("etcd's range end: none is the one key, a zero byte is everything from the key on", () => {
    const here = site(put("a", "1"), put("b", "2"), put("ÿ", "3"));
    const rows = (from: string, end: string) => {
      const [response] = told(here.run(txn([], [look(selectKeys(utf8(from), utf8(end)))]))).responses;
      return response?.kind === "range" ? response.rows.map((row) => text(row.key)) : [];
    };
    expect(rows("a", "")).toEqual(["a"]);
    expect(rows("a", "b")).toEqual(["a"]);
    expect(rows("b", "\u0000")).toEqual(["b", "ÿ"]);
    expect(rows("\u0000", "\u0000")).toEqual(["a", "b", "ÿ"]);
    expect(rows("b", "a")).toEqual([]);
  });
});

describe("a key that would be written twice", () => {
  const cases: readonly (readonly [string, readonly Operation[], string])[] = [
    ["two puts", [set("a", "1"), set("a", "2")], "DUPLICATE_KEY"],
    ["a put and a delete", [set("a", "1"), remove(key("a"))], "DUPLICATE_KEY"],
    ["a delete of a range that holds a put", [remove(range("a", "c")), set("b", "1")], "DUPLICATE_KEY"],
    ["a delete of all keys and a put", [remove(range("\u0000", null)), set("b", "1")], "DUPLICATE_KEY"],
    ["a delete beside a put", [remove(range("a", "b")), set("b", "1")], "ok"],
    ["a range from behind to before", [remove(range("c", "a")), set("b", "1")], "ok"],
    ["two deletes", [remove(key("a")), remove(range("a", "b"))], "ok"],
    ["a put and a nested put", [set("a", "1"), nested([set("a", "2")])], "DUPLICATE_KEY"],
    ["a put and a put of a branch not taken", [set("a", "1"), nested([], [set("a", "2")])], "DUPLICATE_KEY"],
    ["two nested puts", [nested([set("a", "1")]), nested([set("a", "2")])], "DUPLICATE_KEY"],
    ["a put in either branch", [nested([set("a", "1")], [set("a", "2")])], "ok"],
    ["a put in either branch, and another", [nested([set("a", "1")], [set("a", "2")]), set("a", "3")], "DUPLICATE_KEY"],
    ["a delete and a nested put", [remove(key("a")), nested([set("a", "2")])], "DUPLICATE_KEY"],
    ["a put and a nested delete", [set("a", "1"), nested([remove(key("a"))])], "DUPLICATE_KEY"],
    ["a nested delete, then a nested put", [nested([remove(key("a"))]), nested([set("a", "1")])], "DUPLICATE_KEY"],
    ["a nested put, then a nested delete", [nested([set("a", "1")]), nested([remove(key("a"))])], "ok"],
    ["a put in one branch, a delete in the other", [nested([set("a", "1")], [remove(key("a"))])], "ok"],
    ["two deep down", [nested([nested([set("a", "1"), set("a", "2")])])], "DUPLICATE_KEY"],
  ];

  test.each(cases)("%s: in either branch", (_, operations, code) => {
    for (const command of [txn([], operations), txn([], [], operations), txn([], [nested(operations)])]) {
      const here = site(put("x", "1"));
      const before = here.view.rows();
      expect(codeOf(here.run(command))).toBe(code);
      if (code !== "ok") expect(here.view.rows()).toEqual(before);
    }
  });

  test("what is put and then deleted leaves both events and no key", () => {
    const here = site();
    here.run(txn([], [nested([set("a", "1")]), nested([remove(key("a"))])]));
    expect(here.records.at(-1)?.events.map((event) => event.kind)).toEqual(["put", "delete"]);
    expect(here.keys()).toEqual({});
  });
});

describe("X1: the limits of a transaction", () => {
  const deep = (depth: number): Txn => nested(depth === 0 ? [set("a", "1")] : [deep(depth - 1)]);
  const puts = (count: number, prefix = "k"): Operation[] =>
    Array.from({ length: count }, (_, i) => set(`${prefix}${i}`, ""));

  test("keys and values, also where nothing runs them", () => {
    const here = site();
    const long = "k".repeat(KEY_BYTES_MAX + 1);
    const value = "v".repeat(VALUE_BYTES_MAX + 1);
    for (const [operation, code] of [
      [set("", "v"), "KEY_EMPTY"],
      [set(long, "v"), "KEY_TOO_LARGE"],
      [set("a", value), "VALUE_TOO_LARGE"],
      [remove(key("")), "KEY_EMPTY"],
      [remove(range("", null)), "KEY_EMPTY"],
      [look(range("a", `${long}x`)), "KEY_TOO_LARGE"],
      [look(key(long)), "KEY_TOO_LARGE"],
    ] as const) {
      expect(codeOf(here.run(txn([], [operation])))).toBe(code);
      expect(codeOf(here.run(txn([], [], [operation])))).toBe(code);
    }
    expect(codeOf(here.run(txn([version("", 0)], [])))).toBe("KEY_EMPTY");
    expect(codeOf(here.run({ kind: "deleteRange", keys: range("", null) }))).toBe("KEY_EMPTY");
  });

  test("operations: 128 a branch, less what is beside them in a nested one, 1,024 together", () => {
    const here = site();
    expect(codeOf(here.run(txn([], puts(TXN_OPERATIONS_MAX))))).toBe("ok");
    expect(codeOf(here.run(txn([], puts(TXN_OPERATIONS_MAX + 1))))).toBe("TXN_TOO_LARGE");
    expect(
      codeOf(
        here.run(
          txn(
            puts(129).map(() => version("a", 0)),
            [],
          ),
        ),
      ),
    ).toBe("TXN_TOO_LARGE");
    expect(codeOf(here.run(txn([], [nested(puts(TXN_OPERATIONS_MAX - 1))])))).toBe("ok");
    expect(codeOf(here.run(txn([], [nested(puts(TXN_OPERATIONS_MAX))])))).toBe("TXN_TOO_LARGE");
    const sixteen = Array.from({ length: 16 }, (_, i) => nested(puts(62, `${i}/`)));
    expect(codeOf(here.run(txn([], sixteen)))).toBe("ok");
    expect(codeOf(here.run(txn([], [...sixteen, nested(puts(62, "x"))])))).toBe("TXN_TOO_LARGE");
  });

  test("depth; the deepest one allowed is still read from its bytes", () => {
    const here = site();
    expect(codeOf(here.run(deep(TXN_DEPTH_MAX)))).toBe("ok");
    const command = { header: header(1), ...deep(TXN_DEPTH_MAX) };
    expect(hexed(decodeCommands(encodeCommands([command])))).toEqual(hexed([command]));
    expect(() => decodeCommands(encodeCommands([{ header: header(1), ...deep(TXN_DEPTH_MAX + 1) }]))).toThrow("nested");
    const outcome = here.run(deep(TXN_DEPTH_MAX));
    expect(readOutcome(outcomeTuple(outcome))).toEqual(outcome);
  });

  test("keys deleted at once, and bytes that are written or read at once; then nothing is done", () => {
    const here = site();
    for (let i = 0; i < EVENTS_MAX; i += 64) here.run(txn([], puts(64, `d${i}-`)));
    here.run(put("e", ""));
    const before = here.view.rows();
    const all: UserCommand = { kind: "deleteRange", keys: range("d", null) };
    expect(codeOf(here.run(all))).toBe("TXN_TOO_LARGE");
    expect(codeOf(here.run(txn([], [set("a", "1"), remove(range("d", null))])))).toBe("TXN_TOO_LARGE");
    expect(here.view.rows()).toEqual(before);
    expect(here.run({ kind: "deleteRange", keys: range("d", "e") })).toMatchObject({
      response: { deleted: EVENTS_MAX },
    });

    const large = "v".repeat(VALUE_BYTES_MAX);
    for (const name of ["l1", "l2", "l3", "l4"]) here.run(put(name, large));
    expect(
      codeOf(
        here.run(
          txn(
            [],
            ["l1", "l2", "l3"].map((name) => set(name, null)),
          ),
        ),
      ),
    ).toBe("ok");
    const touch = ["l1", "l2", "l3", "l4"].map((name) => set(name, null));
    expect(codeOf(here.run(txn([], [set("a", "1"), ...touch])))).toBe("TXN_TOO_LARGE");
    expect(here.key("a")).toBeNull();
  });

  test("rows that are read at once", () => {
    const here = site();
    for (let i = 0; i < RANGE_ROWS_MAX; i += 125) here.run(txn([], puts(125, `r${i}-`)));
    const count: Operation = {
      kind: "range",
      ...plainRange(utf8("a"), null, 0),
      keys: range("a", null),
      view: "count",
    };
    expect(told(here.run(txn([], [count]))).responses).toMatchObject([{ count: RANGE_ROWS_MAX, rows: [] }]);
    here.run(put("z", ""));
    expect(codeOf(here.run(txn([], [count])))).toBe("TXN_TOO_LARGE");
    expect(codeOf(here.run(txn([], [look(range("a", "r6"))])))).toBe("RESPONSE_TOO_LARGE");
  });

  test("Q1: what it answers; and what a session still has to remember of others", () => {
    const here = site();
    const session = { id: sessionId("1"), lowWater: at(1) };
    here.system({ kind: "openSession", session: session.id });
    here.run(put("a", "v".repeat(TXN_RESPONSE_BYTES_MAX)));
    here.run(put("b", "v".repeat(TXN_RESPONSE_BYTES_MAX - 500)));
    expect(codeOf(here.run(txn([], [set("c", "1"), look(key("a"))])))).toBe("RESPONSE_TOO_LARGE");
    expect(here.key("c")).toBeNull();
    const ask = txn([], [look(key("b"))]);
    const most = Math.floor(RESPONSES_BYTES_MAX / TXN_RESPONSE_BYTES_MAX);
    for (let i = 1; i <= most; i++) expect(codeOf(here.run(ask, { ...session, seq: at(i) }))).toBe("ok");
    expect(codeOf(here.run(ask, { ...session, seq: at(most + 1) }))).toBe("OVERLOADED");
    expect(codeOf(here.run(put("d", "1"), { ...session, seq: at(most + 2) }))).toBe("ok");
    expect(told(here.run(ask, { ...session, seq: at(1) })).responses).toMatchObject([{ rows: [{ key: utf8("b") }] }]);
    expect(codeOf(here.run(ask, { ...session, seq: at(most + 3), lowWater: at(2) }))).toBe("ok");
  });
});

test("a row that does not pass its check stops the node, and is no refusal", () => {
  const here = site();
  here.run(put("a", "1"));
  here.view.write([{ key: keyRowKey(null, utf8("a")), value: Uint8Array.of(0xc1) }]);
  expect(() => here.run(txn([], [look(key("a"))]))).toThrow();
});

test("K4: a transaction that says nothing is remembered as well, and has its size", () => {
  const here = site();
  const empty: Operation = { kind: "txn", compares: [], success: [], failure: [] };
  const session = { id: sessionId("1"), lowWater: at(1) };
  here.system({ kind: "openSession", session: session.id });
  const many = txn([], Array<Operation>(TXN_OPERATIONS_MAX).fill(empty));
  let code = "ok";
  for (let i = 1; code === "ok" && i <= 1_024; i++) code = codeOf(here.run(many, { ...session, seq: at(i) }));
  expect(code).toBe("OVERLOADED");
  const big = Array.from({ length: 4 }, (_, i) => set(`${i}`, "v".repeat(VALUE_BYTES_MAX)));
  expect(codeOf(here.run(txn([], big)))).toBe("TXN_TOO_LARGE");
});

test("ok is what a put answers", () => {
  expect(site().run(put("a", "1"))).toEqual(ok(1));
});
