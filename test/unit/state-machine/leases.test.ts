import { toHex, utf8 } from "@openclaw/core/bytes.ts";
import { EVENTS_MAX, LEASE_TTL_MS_MAX, VALUE_BYTES_MAX } from "@openclaw/core/limits.ts";
import type { Outcome, UserCommand } from "@openclaw/core/state-machine/command.ts";
import type { Operation } from "@openclaw/core/state-machine/operation.ts";
import { describe, expect, test } from "vitest";
import { at, checked, hexed, leaseId as id, linkId, OneCluster, ok, put, text, txn } from "./one-cluster.ts";

const grant = (number: number, ttlMs: number): UserCommand => ({ kind: "leaseGrant", lease: id(number), ttlMs });
const alive = (number: number): UserCommand => ({ kind: "leaseKeepAlive", lease: id(number) });
const revoke = (number: number): UserCommand => ({ kind: "leaseRevoke", lease: id(number) });
const held = (key: string, lease: number | "keep" | null, value: string | null = "v"): Operation => ({
  kind: "put",
  key: utf8(key),
  value: value === null ? null : utf8(value),
  lease: typeof lease === "number" ? id(lease) : lease,
  previous: false,
});
const putWith = (key: string, lease: number | "keep" | null, value: string | null = "v"): UserCommand =>
  txn([], [held(key, lease, value)]);
const codeOf = (outcome: Outcome): string => (outcome.ok ? "ok" : outcome.code);
const shop = (...commands: readonly UserCommand[]): OneCluster => {
  const made = new OneCluster("shop");
  for (const command of commands) expect(codeOf(made.run(command))).toBe("ok");
  return made;
};
const keysOf = (here: OneCluster, number: number): string[] | null => {
  const { lease } = here.query({ kind: "lease", lease: id(number) });
  return lease?.keys.map(text) ?? null;
};
/** Rows that leases have besides keys. */
const leaseRows = (here: OneCluster): number =>
  here.view.rows().filter(({ key }) => (key[0] ?? 0) >= 0x12 && (key[0] ?? 0) <= 0x14).length;

describe("T1: a lease", () => {
  test("ends when it was not kept alive for its time, all its keys at one revision, dated and named", () => {
    const here = shop(grant(7, 1_000), putWith("a", 7), putWith("b", 7), put("c", "1"));
    here.pass(999);
    expect(here.keys()).toEqual({ a: "v", b: "v", c: "1" });
    expect(here.query({ kind: "lease", lease: id(7) }).lease).toMatchObject({ ttlMs: 1_000, remainingMs: 1 });
    here.pass(1);
    expect(here.keys()).toEqual({ c: "1" });
    expect(here.records.at(-1)).toMatchObject({
      revision: 4,
      principal: "lease:7",
      time: 1_764_000_001_000,
      events: [{ kind: "delete" }, { kind: "delete" }],
    });
    expect(keysOf(here, 7)).toBeNull();
    expect(leaseRows(here)).toBe(0);
    expect(here.position.nextDue).toBeNull();
  });

  test("K6: stands in the events of the puts that take it, keep it and take it off", () => {
    const here = shop(grant(7, 1_000), putWith("a", 7), putWith("a", "keep", null), put("a", "1"));
    expect(here.records.map(({ events }) => events)).toMatchObject([[{ lease: 7 }], [{ lease: 7 }], [{ lease: null }]]);
  });

  test("ends before the commands of the entry that it is due at", () => {
    const here = shop(grant(7, 1_000), putWith("a", 7));
    here.pass(1_000);
    expect(codeOf(here.run(alive(7)))).toBe("LEASE_NOT_FOUND");
    expect(codeOf(here.run(putWith("b", 7)))).toBe("LEASE_NOT_FOUND");
  });

  test("lives as long as it is kept alive, counted from then", () => {
    const here = shop(grant(7, 1_000), putWith("a", 7));
    for (let i = 0; i < 5; i++) {
      here.pass(900);
      expect(here.run(alive(7))).toEqual(ok(1));
    }
    here.pass(999);
    expect(here.keys()).toEqual({ a: "v" });
    here.pass(1);
    expect(here.keys()).toEqual({});
  });

  test("L1: granting, keeping alive and an end without keys take no revision", () => {
    const here = shop(put("a", "1"), grant(7, 10), grant(8, 10), alive(7));
    expect(here.run(revoke(8))).toEqual(ok(1));
    here.pass(10);
    expect(here.ledger).toHaveLength(1);
    expect(leaseRows(here)).toBe(0);
  });

  test("is revoked at once, by whom it says", () => {
    const here = shop(grant(7, 1_000), putWith("a", 7));
    expect(here.run(revoke(7))).toEqual(ok(2));
    expect(here.records.at(-1)).toMatchObject({ principal: "ada", events: [{ kind: "delete" }] });
    expect(codeOf(here.run(revoke(7)))).toBe("LEASE_NOT_FOUND");
    expect(codeOf(here.run(grant(7, 1)))).toBe("ok");
  });

  test("is refused where its id is taken, or its time is none", () => {
    const here = shop(grant(7, LEASE_TTL_MS_MAX));
    expect(codeOf(here.run(grant(7, 5)))).toBe("LEASE_EXISTS");
    for (const ttl of [0, LEASE_TTL_MS_MAX + 1]) expect(codeOf(here.run(grant(8, ttl)))).toBe("BAD_REQUEST");
    expect(codeOf(here.run(putWith("a", 9)))).toBe("LEASE_NOT_FOUND");
    expect(here.keys()).toEqual({});
  });
});

describe("a key of a lease", () => {
  test("leaves it by a delete, by a put without it, and by a put with another", () => {
    const here = shop(
      grant(7, 1_000),
      grant(8, 5_000),
      putWith("a", 7),
      putWith("b", 7),
      putWith("c", 7),
      putWith("d", 7),
    );
    expect(keysOf(here, 7)).toEqual(["a", "b", "c", "d"]);
    here.run({ kind: "deleteRange", keys: { kind: "key", key: utf8("a") } });
    here.run(put("b", "2"));
    here.run(putWith("c", 8));
    expect(keysOf(here, 7)).toEqual(["d"]);
    expect(keysOf(here, 8)).toEqual(["c"]);
    expect(here.key("b")?.lease).toBeNull();
    expect(here.key("c")?.lease).toBe(8);
    here.pass(1_000);
    expect(here.keys()).toEqual({ b: "2", c: "v" });
  });

  test("keeps it where the put says so, and then there must be a key", () => {
    const here = shop(grant(7, 1_000), putWith("a", 7));
    expect(codeOf(here.run(putWith("a", "keep", "2")))).toBe("ok");
    expect(here.key("a")).toMatchObject({ lease: 7, version: 2 });
    expect(codeOf(here.run(putWith("a", 7, null)))).toBe("ok");
    expect(codeOf(here.run(putWith("b", "keep")))).toBe("NOT_FOUND");
    expect(codeOf(here.run(putWith("a", null, null)))).toBe("ok");
    expect(here.key("a")).toMatchObject({ lease: null, value: utf8("2") });
    expect(keysOf(here, 7)).toEqual([]);
  });

  test("may be compared by its lease: 0 for none", () => {
    const here = shop(grant(7, 1_000), putWith("a", 7), put("b", "1"));
    const holds = (key: string, number: number): boolean => {
      const compare = { target: "lease", keys: { kind: "key", key: utf8(key) }, result: "equal", number } as const;
      const outcome = here.run(txn([compare], []));
      return outcome.ok && outcome.response?.kind === "txn" && outcome.response.succeeded;
    };
    expect([holds("a", 7), holds("a", 0), holds("b", 0), holds("none", 0)]).toEqual([true, false, true, true]);
  });

  test("comes back to its lease where the transaction is refused", () => {
    const here = shop(grant(7, 1_000), putWith("a", 7));
    const before = hexed(here.view.rows());
    expect(codeOf(here.run(txn([], [held("a", null), held("b", 7), held("c", 9)])))).toBe("LEASE_NOT_FOUND");
    expect(hexed(here.view.rows())).toEqual(before);
  });

  test("X1: is one of 1,024; so many end at once, whatever they hold", () => {
    const here = shop(grant(7, 1_000));
    for (let i = 0; i < EVENTS_MAX; i += 64)
      here.run(
        txn(
          [],
          Array.from({ length: 64 }, (_, j) => held(`k${i + j}`, 7, "")),
        ),
      );
    expect(codeOf(here.run(putWith("more", 7)))).toBe("LEASE_FULL");
    expect(here.key("more")).toBeNull();
    here.pass(1_000);
    expect(here.records.at(-1)?.events).toHaveLength(EVENTS_MAX);
    expect(leaseRows(here)).toBe(0);

    const heavy = shop(grant(8, 1_000));
    const long = (i: number): string => `${i}`.padEnd(4_000, "x");
    let held1 = 0;
    while (codeOf(heavy.run(putWith(long(held1), 8, "v".repeat(VALUE_BYTES_MAX / 16)))) === "ok") held1++;
    expect(held1).toBeLessThan(EVENTS_MAX);
    heavy.pass(1_000);
    expect(heavy.records.at(-1)?.events).toHaveLength(held1);
  });
});

test("X1: at one entry 100 leases end, those first that were due first, and the others at the next ones", () => {
  const here = new OneCluster("shop");
  for (let i = 1; i <= 250; i++) {
    here.run(grant(i, 1_000 - i));
    here.run(putWith(`k${i}`, i));
  }
  const left = (): number => Object.keys(here.keys()).length;
  here.pass(1_000);
  expect(left()).toBe(150);
  expect(here.key("k150")).not.toBeNull();
  expect(here.key("k151")).toBeNull();
  here.pass(0);
  expect(left()).toBe(50);
  here.pass(0);
  expect(left()).toBe(0);
  expect(here.position.nextDue).toBeNull();
});

test("L2: the record of an end has a salt that only those who hold the lease's grant can derive, and no other has it", () => {
  const here = shop(grant(7, 10), grant(8, 10), putWith("a", 7), putWith("b", 8));
  here.pass(10);
  const salts = here.records.map(({ salt }) => hexed(salt));
  expect(new Set(salts).size).toBe(salts.length);
  const again = shop(grant(7, 10), grant(8, 10), putWith("a", 7), putWith("b", 8));
  again.pass(10);
  expect(again.records.map(({ salt }) => hexed(salt))).toEqual(salts);
});

test("K6: what ends at one entry is bounded by its keys as well: the rest ends at the next", () => {
  const here = shop(grant(1, 10), grant(2, 10), grant(3, 10));
  for (const lease of [1, 2, 3])
    for (let from = 0; from < 500; from += 125) {
      const puts = Array.from({ length: 125 }, (_, i) => held(`${lease}/${from + i}`, lease));
      expect(codeOf(here.run(txn([], puts)))).toBe("ok");
    }
  here.pass(10);
  expect([keysOf(here, 1), keysOf(here, 2), keysOf(here, 3)?.length]).toEqual([null, null, 500]);
  expect(here.position.nextDue).toBe(10);
  here.pass(0);
  expect(here.keys()).toEqual({});
  expect(here.position.nextDue).toBeNull();
});

test("L2: the salt of a lease's end cannot be had from a record beside its grant", () => {
  const here = shop();
  const link = linkId("c".repeat(32));
  const commands = [grant(7, 10), put("public", "1")];
  here.system({ kind: "importCommands", link, from: at(1), lowWater: at(1), commands });
  const lease = here.view.rows().find(({ key }) => key[0] === 0x12);
  const [record] = here.records;
  if (lease === undefined || record === undefined) throw new Error("a lease and a record");
  expect(toHex(lease.value)).not.toContain(toHex(record.salt));
});

test("L4: a mirror has no leases", () => {
  const site = shop(grant(7, 10), putWith("a", 7));
  const hub = new OneCluster("hub");
  const items = site.ledger.map(({ revision, record }) => ({ kind: "body", revision, record }) as const);
  expect(hub.import(site, items)).toMatchObject({ kind: "imported" });
  expect(
    hub.key(
      "a",
      checked("shop", (name): name is typeof site.cluster => name === site.cluster),
    )?.lease,
  ).toBeNull();
  expect(leaseRows(hub)).toBe(0);
});
