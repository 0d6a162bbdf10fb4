import { utf8 } from "@openclaw/core/bytes.ts";
import type { SessionId } from "@openclaw/core/ids.ts";
import { isSessionId } from "@openclaw/core/ids.ts";
import { RESULTS_MAX, SESSIONS_MAX } from "@openclaw/core/limits.ts";
import { describe, expect, test } from "vitest";
import { at, checked, header, OneCluster, ok, put, sessionId, txn } from "./one-cluster.ts";

const step = (seq: number, lowWater = 1, id = sessionId("1")) => ({ id, seq: at(seq), lowWater: at(lowWater) });

function withSession(): OneCluster {
  const site = new OneCluster("california");
  expect(site.system({ kind: "openSession", session: sessionId("1") })).toEqual({ kind: "sessionOpened" });
  return site;
}

describe("sessions", () => {
  test("Q1: a repeated command is answered as before and does not run again, in any order of numbers", () => {
    const site = withSession();
    expect(site.run(put("a", "second"), step(2))).toEqual(ok(1));
    expect(site.run(put("a", "first"), step(1))).toEqual(ok(2));
    expect(site.run(put("a", "second"), step(2))).toEqual(ok(1));
    expect(site.keys()).toEqual({ a: "first" });
    expect(site.ledger).toHaveLength(2);
  });

  test("Q1: a refusal is remembered like any other outcome", () => {
    const site = withSession();
    const touch = txn([], [{ kind: "put", key: utf8("a"), value: null, lease: null, previous: false }]);
    expect(site.run(touch, step(1))).toMatchObject({ code: "NOT_FOUND" });
    site.run(put("a", "x"));
    expect(site.run(touch, step(1))).toMatchObject({ code: "NOT_FOUND" });
    expect(site.keys()).toEqual({ a: "x" });
  });

  test("Q1: below the low-water mark is SESSION_EXPIRED, never a second run; the mark does not go back", () => {
    const site = withSession();
    site.run(put("a", "1"), step(1));
    expect(site.run(put("a", "2"), step(2, 2))).toEqual(ok(2));
    expect(site.run(put("a", "1"), step(1))).toMatchObject({ code: "SESSION_EXPIRED" });
    expect(site.run(put("a", "2"), step(2))).toEqual(ok(2));
    expect(site.keys()).toEqual({ a: "2" });
  });

  test("Q1: a session that nobody opened, or that is forgotten, is SESSION_EXPIRED", () => {
    const site = new OneCluster("california");
    expect(site.run(put("a", "1"), step(1))).toMatchObject({ code: "SESSION_EXPIRED" });
    expect(site.ledger).toHaveLength(0);
  });

  test("Q1: opening again keeps what the session remembers", () => {
    const site = withSession();
    site.run(put("a", "1"), step(1));
    site.system({ kind: "openSession", session: sessionId("1") });
    expect(site.run(put("a", "1"), step(1))).toEqual(ok(1));
    expect(site.ledger).toHaveLength(1);
  });

  test("Q1: at most 1,024 results are kept; beyond that nothing runs until some are acknowledged", () => {
    const site = withSession();
    for (let i = 1; i <= RESULTS_MAX; i++) expect(site.run(put("a", String(i)), step(i))).toEqual(ok(i));
    expect(site.run(put("a", "more"), step(RESULTS_MAX + 1))).toMatchObject({ code: "OVERLOADED" });
    expect(site.run(put("a", "1"), step(1))).toEqual(ok(1));
    expect(site.run(put("a", "more"), step(RESULTS_MAX + 1, 2))).toEqual(ok(RESULTS_MAX + 1));
  });

  test("L1: session upkeep takes no revision", () => {
    const site = withSession();
    expect(site.position.revision).toBe(0);
  });

  test("Q1: the session longest unused is forgotten first", () => {
    const site = withSession();
    const id = (i: number): SessionId => checked(i.toString(16).padStart(32, "0"), isSessionId);
    site.commit(
      ...Array.from(
        { length: SESSIONS_MAX - 1 },
        (_, i) => ({ header: header(i), kind: "openSession", session: id(i) }) as const,
      ),
    );
    // A use counts when it is 1,024 entries younger.
    for (let i = 0; i < 1_024; i++) site.commitBytes(new Uint8Array(0));
    site.run(put("a", "1"), step(1));
    site.system({ kind: "openSession", session: sessionId("f") });
    expect(site.run(put("a", "1"), step(1, 1, id(0)))).toMatchObject({ code: "SESSION_EXPIRED" });
    expect(site.run(put("a", "1"), step(1, 1, id(1)))).toEqual(ok(2));
    expect(site.run(put("a", "1"), step(1))).toEqual(ok(1));
    expect(site.run(put("a", "1"), step(1, 1, sessionId("f")))).toEqual(ok(3));
  });
});
