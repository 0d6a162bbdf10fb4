/** Q1: foreign idempotency keys: one run a key and principal, remembered for a day of log time, bounded. */
import { utf8 } from "@openclaw/core/bytes.ts";
import { IDEMPOTENCY_MS } from "@openclaw/core/limits.ts";
import type { CommandHeader, CommandResult, Outcome, UserCommand } from "@openclaw/core/state-machine/command.ts";
import { runIdempotent } from "@openclaw/core/state-machine/idempotency.ts";
import { accepted, refused } from "@openclaw/core/state-machine/outcome.ts";
import { Transaction } from "@openclaw/core/state-machine/transaction.ts";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { MemoryView } from "../../simulation/memory-view.ts";
import { at, header, OneCluster, ok, put, sessionId, txn } from "./one-cluster.ts";

const asked = (byte: number): Uint8Array => new Uint8Array(32).fill(byte);

let salt = 0;
interface Asked {
  readonly key?: string;
  readonly request?: Uint8Array;
  readonly note?: string;
  readonly principal?: string;
  readonly session?: CommandHeader["session"];
}

type Answer = Extract<CommandResult, { kind: "idempotent" }>;

/** All but whether it was repeated: a repeat is answered as the first was. */
function run(site: OneCluster, command: UserCommand, how: Asked = {}): Omit<Answer, "repeated"> {
  const { repeated: _, ...answer } = answered(site, command, how);
  return answer;
}

function answered(site: OneCluster, command: UserCommand, how: Asked): Answer {
  const { key = "k", request = asked(1), note = "", principal = "ada", session = null } = how;
  const idempotency = { key, request, note };
  const head = { ...header(++salt, session), principal };
  const [result] = site.commit({ header: head, kind: "idempotent", idempotency, command });
  if (result?.kind !== "idempotent") throw new Error(`not idempotent: ${result?.kind}`);
  return result;
}

const rowsOf = (site: OneCluster): number => site.view.scan(Uint8Array.of(0x33), Uint8Array.of(0x36), 1_000).length;

describe("Q1: an idempotency key", () => {
  test("runs one request; its repeats get the first outcome, and what the first was to be told", () => {
    const site = new OneCluster("california");
    const first = run(site, put("a", "1"), { note: "drawn" });
    expect(first).toEqual({ kind: "idempotent", outcome: ok(1), until: IDEMPOTENCY_MS, note: "drawn" });
    site.run(put("a", "2"));
    site.pass(1_000);
    expect(run(site, put("a", "1"), { note: "drawn again" })).toEqual(first);
    expect(site.keys()).toEqual({ a: "2" });
    expect(site.ledger).toHaveLength(2);
    expect(site.query({ kind: "idempotency", principal: "ada", key: "k" }).first).toMatchObject({ note: "drawn" });
  });

  test("says whether it ran now", () => {
    const site = new OneCluster("california");
    expect(answered(site, put("a", "1"), {}).repeated).toBe(false);
    expect(answered(site, put("a", "1"), {}).repeated).toBe(true);
    expect(answered(site, put("a", "2"), { request: asked(2) }).repeated).toBe(false);
  });

  test("is its principal's own, and each key is one", () => {
    const site = new OneCluster("california");
    expect(run(site, put("a", "1")).outcome).toEqual(ok(1));
    expect(run(site, put("a", "2"), { principal: "bob" }).outcome).toEqual(ok(2));
    expect(run(site, put("a", "3"), { key: "l" }).outcome).toEqual(ok(3));
    // A key and a principal are told apart wherever one ends and the other begins.
    expect(run(site, put("a", "4"), { key: "kb", principal: "ob" }).outcome).toEqual(ok(4));
  });

  test("refuses another request, and remembers the first one all the same", () => {
    const site = new OneCluster("california");
    run(site, put("a", "1"));
    const other = run(site, put("a", "2"), { request: asked(2), note: "mine" });
    expect(other).toMatchObject({ outcome: { code: "IDEMPOTENCY_KEY_REUSED" }, until: null, note: "mine" });
    expect(run(site, put("a", "1")).outcome).toEqual(ok(1));
    expect(site.keys()).toEqual({ a: "1" });
  });

  test("remembers a refusal, and a response, as they were", () => {
    const site = new OneCluster("california");
    const touch = txn([], [{ kind: "put", key: utf8("a"), value: null, lease: null, previous: false }]);
    expect(run(site, touch).outcome).toMatchObject({ code: "NOT_FOUND" });
    site.run(put("a", "x"));
    expect(run(site, touch).outcome).toMatchObject({ code: "NOT_FOUND" });
    const swap = txn([], [{ kind: "put", key: utf8("a"), value: utf8("y"), lease: null, previous: true }]);
    const first = run(site, swap, { key: "swap" });
    expect(first.outcome).toMatchObject({ response: { responses: [{ previous: { value: utf8("x") } }] } });
    expect(run(site, swap, { key: "swap" })).toEqual(first);
  });

  test("T1: is forgotten by log time, not before, and then its request runs anew", () => {
    const site = new OneCluster("california");
    run(site, put("a", "1"));
    site.pass(IDEMPOTENCY_MS - 1);
    expect(run(site, put("a", "1")).outcome).toEqual(ok(1));
    site.pass(1);
    expect(site.query({ kind: "idempotency", principal: "ada", key: "k" }).first).toBe(null);
    expect(run(site, put("a", "1"))).toMatchObject({ outcome: ok(2), until: 2 * IDEMPOTENCY_MS });
    expect(rowsOf(site)).toBe(4);
  });

  test("takes more away than it adds, and an entry without a key takes nothing", () => {
    const site = new OneCluster("california");
    for (let i = 0; i < 20; i++) run(site, put("a", "1"), { key: `k${i}` });
    expect(rowsOf(site)).toBe(42);
    site.pass(IDEMPOTENCY_MS);
    site.run(put("a", "2"));
    expect(rowsOf(site)).toBe(42);
    // The first of them is one that was remembered before.
    for (const [key, left] of [
      ["k19", 12],
      ["l1", 5],
      ["l2", 3],
    ] as const) {
      run(site, put("a", "3"), { key });
      expect(rowsOf(site)).toBe(2 * left + 2);
    }
  });

  test("L1: that is repeated takes no revision", () => {
    const site = new OneCluster("california");
    run(site, put("a", "1"));
    for (let i = 0; i < 5; i++) run(site, put("a", "1"));
    expect(site.position.revision).toBe(1);
  });

  test("within a session: the step is answered as before, and another session's repeat, too", () => {
    const site = new OneCluster("california");
    for (const digit of ["1", "2"]) site.system({ kind: "openSession", session: sessionId(digit) });
    const step = (digit: string, seq: number) => ({ id: sessionId(digit), seq: at(seq), lowWater: at(1) });
    const first = run(site, put("a", "1"), { session: step("1", 1) });
    expect(run(site, put("a", "1"), { session: step("1", 1) })).toEqual(first);
    expect(run(site, put("a", "1"), { session: step("2", 1) })).toEqual(first);
    expect(run(site, put("a", "1"), { session: step("2", 2) })).toEqual(first);
    expect(site.position.revision).toBe(1);
    const gone = run(site, put("b", "1"), { key: "l", session: step("3", 1) });
    expect(gone).toMatchObject({ outcome: { code: "SESSION_EXPIRED" }, until: null });
    expect(run(site, put("b", "1"), { key: "l" }).outcome).toEqual(ok(2));
  });
});

test("Q1: whatever is asked under whatever key, at whatever time, is what a plain map says", () => {
  const step = fc.oneof(
    {
      arbitrary: fc.record({ pass: fc.constantFrom(1, IDEMPOTENCY_MS / 4, IDEMPOTENCY_MS - 1, IDEMPOTENCY_MS) }),
      weight: 1,
    },
    {
      arbitrary: fc.record({
        key: fc.constantFrom("a", "ab", "c"),
        request: fc.constantFrom(1, 2),
        principal: fc.constantFrom("bada", "ada"),
        value: fc.constantFrom("1", "2"),
      }),
      weight: 12,
    },
  );
  let repeats = 0;
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60, size: "max" }), (steps) => {
      const site = new OneCluster("california");
      const model = new Map<string, { request: number; until: number; outcome: Outcome }>();
      let [logTime, revision] = [0, 0];
      for (const one of steps) {
        if ("pass" in one) {
          site.pass(one.pass);
          logTime += one.pass;
          continue;
        }
        const { key, request, principal, value } = one;
        const name = JSON.stringify([key, principal]);
        const known = model.get(name);
        const { outcome, until } = run(site, put("k", value), { key, principal, request: asked(request) });
        if (known === undefined || known.until <= logTime) {
          model.set(name, { request, until: logTime + IDEMPOTENCY_MS, outcome: ok(++revision) });
          expect([outcome, until]).toEqual([ok(revision), logTime + IDEMPOTENCY_MS]);
        } else if (known.request === request) {
          repeats++;
          expect([outcome, until]).toEqual([known.outcome, known.until]);
        } else {
          expect([outcome, until]).toEqual([expect.objectContaining({ code: "IDEMPOTENCY_KEY_REUSED" }), null]);
        }
      }
      expect(site.position.revision).toBe(revision);
    }),
    { numRuns: 300 },
  );
  expect(repeats).toBeGreaterThan(500);
});

describe("X1: idempotency keys that are remembered", () => {
  const key = (name: string) => ({ key: name, request: asked(1), note: "" });

  test.each([
    ["in number", { keys: 4, bytes: 1_000_000 }],
    ["in bytes", { keys: 1_000_000, bytes: 450 }],
  ])("are bounded %s: a further one is OVERLOADED, does not run, and may be repeated", (_, room) => {
    const view = new MemoryView();
    let ran = 0;
    const once = (name: string, logTime: number, principal = "ada") => {
      const tx = new Transaction(view);
      const outcome = runIdempotent(tx, principal, key(name), { logTime, room }, () => {
        ran++;
        return accepted(at(0) as never);
      });
      view.write(tx.writes());
      return outcome;
    };
    for (const name of ["a", "b"]) expect(once(name, 0)).toMatchObject({ ok: true });
    expect(once("c", 1)).toMatchObject({ code: "OVERLOADED", details: expect.stringContaining("2 of them this") });
    expect(once("a", 1)).toMatchObject({ ok: true });
    expect(ran).toBe(2);
    // Whoever comes next finds room, until there is none at all.
    for (const principal of ["bob", "eve"]) expect(once("a", 1, principal)).toMatchObject({ ok: true });
    for (const principal of ["bob", "dan"]) expect(once("c", 1, principal)).toMatchObject({ code: "OVERLOADED" });
    expect(ran).toBe(4);
    expect(once("c", IDEMPOTENCY_MS)).toMatchObject({ ok: true });
    expect(ran).toBe(5);
  });

  test("do not remember what did not run", () => {
    const tx = new Transaction(new MemoryView());
    const now = { logTime: 0, room: { keys: 9, bytes: 1_000_000 } };
    expect(runIdempotent(tx, "ada", key("a"), now, () => null)).toBe(null);
    expect(runIdempotent(tx, "ada", key("a"), now, () => refused("OVERLOADED"))).toMatchObject({ code: "OVERLOADED" });
    expect(runIdempotent(tx, "ada", key("a"), now, () => refused("NOT_FOUND"))).toMatchObject({ code: "NOT_FOUND" });
    expect(runIdempotent(tx, "ada", key("a"), now, () => null)).toMatchObject({ code: "NOT_FOUND" });
  });
});
