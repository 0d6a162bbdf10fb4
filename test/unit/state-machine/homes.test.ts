import { utf8 } from "@openclaw/core/bytes.ts";
import { revision } from "@openclaw/core/ids.ts";
import { selectForChild } from "@openclaw/core/ledger/selection.ts";
import { NOTHING } from "@openclaw/core/ledger/subscription.ts";
import { COMMAND_HORIZON_MS, COMMANDS_WAITING_MAX } from "@openclaw/core/limits.ts";
import type { UserCommand } from "@openclaw/core/state-machine/command.ts";
import { plainRange } from "@openclaw/core/state-machine/operation.ts";
import { describe, expect, test } from "vitest";
import { expectReplayable, falling, family, home, outcomeOf, queuedAt, remove, rising, settled, up } from "./family.ts";
import { clusterId, epoch, hexed, leaseId, OneCluster, put, txn } from "./one-cluster.ts";

describe("homes", () => {
  test("Q3: the longest prefix wins", () => {
    const { hub } = family();
    hub.run(home("a/", "hub"));
    hub.run(home("a/b/", "private"));
    const placeOf = (key: string) => hub.records.at(-1)?.home ?? key;
    hub.run(home("a/", "hub", clusterId("shop"), clusterId("mill")));
    hub.run(put("a/1", "x"));
    expect(placeOf("a/1")).toBe("hub");
    hub.run(put("a/b/1", "x"));
    expect(placeOf("a/b/1")).toBe("private");
    hub.run(put("c", "x"));
    expect(placeOf("c")).toBe("site");
  });

  test("Q3: one command over two homes is CROSS_HOME, whatever it does with the keys, and changes nothing", () => {
    const { site } = settled();
    site.run(home("secret/", "private"));
    const before = site.position.revision;
    const value = utf8("x");
    const to = (key: string) => ({ kind: "put", key: utf8(key), value, lease: null, previous: false }) as const;
    const keys = { kind: "key", key: utf8("config/a") } as const;
    const crossing: readonly UserCommand[] = [
      txn([], [to("own"), to("config/a")]),
      txn([], [to("own"), to("secret/a")]),
      txn([], [to("own")], [to("config/a")]),
      txn([{ target: "version", keys, result: "equal", number: 0 }], [to("own")]),
      txn([], [to("own"), { kind: "range", ...plainRange(utf8("config/"), utf8("config0"), 1) }]),
      { kind: "deleteRange", keys: { kind: "range", from: utf8("a"), to: null } },
    ];
    for (const command of crossing) expect(site.run(command)).toMatchObject({ ok: false, code: "CROSS_HOME" });
    expect(site.position.revision).toBe(before);
    expect(site.run(txn([], [to("secret/a"), to("secret/b")]))).toMatchObject({ ok: true });
  });

  test("Q3: a private record goes up as its leaf alone, and its name does not, either", () => {
    const { hub, site } = family();
    site.run(home("secret/", "private"));
    site.run(put("secret/pin", "1234"));
    site.run(put("own", "2"));
    const items = rising(site, hub, 100);
    expect(items.map((item) => (item.kind === "stub" ? item.reason : item.kind))).toEqual([
      "private",
      "private",
      "body",
    ]);
    expect(Buffer.from(JSON.stringify(hexed(items))).includes(Buffer.from("secret").toString("hex"))).toBe(false);
    up(site, hub);
    expect(hub.keys(site.cluster)).toEqual({ own: "2" });
    expect(site.keys()).toEqual({ own: "2", "secret/pin": "1234" });
    // To its own children it does not travel, either.
    expect(selectForChild(site.ledger, clusterId("till"), { ...NOTHING, prefixes: [utf8("")] }).at(-2)?.kind).toBe(
      "skip",
    );
    expectReplayable(site, hub);
  });

  test("Q3: a prefix becomes private, or ceases to be, only while nothing is under it", () => {
    const { site } = family();
    expect(site.run(home("own", "private"))).toMatchObject({ ok: false, code: "NOT_EMPTY" });
    expect(site.run(home("secret/", "private"))).toMatchObject({ ok: true });
    site.run(put("secret/pin", "1"));
    expect(site.run(home("secret/", "site"))).toMatchObject({ ok: false, code: "NOT_EMPTY" });
    site.run(remove("secret/pin"));
    expect(site.run(home("secret/", "site"))).toMatchObject({ ok: true });
    const before = site.position.revision;
    expect(site.run(home("secret/", "site"))).toEqual({ ok: true, revision: before, response: null });
  });

  test("X1: of prefixes that were private it remembers 256, until what is from then is compacted", () => {
    const { hub } = family();
    const expose = (prefix: string) => {
      hub.run(home(prefix, "private"));
      return hub.run(home(prefix, "site"));
    };
    for (let i = 0; i < 256; i++) expect(expose(`secret/${i}/`)).toMatchObject({ ok: true });
    expect(expose("secret/last/")).toMatchObject({ ok: false, code: "OVERLOADED" });
    expect(expose("secret/7/")).toMatchObject({ ok: true });
    hub.run({ kind: "compact", revision: hub.position.revision });
    expect(hub.run(home("secret/last/", "site"))).toMatchObject({ ok: true });
    expect(hub.query({ kind: "homes" }).formerly).toHaveLength(1);
  });

  test("Q3: a lease that holds keys of two homes ends them apart: what is private stays apart", () => {
    const { site } = family();
    site.run(home("secret/", "private"));
    const lease = leaseId(7);
    site.run({ kind: "leaseGrant", lease, ttlMs: 1_000 });
    for (const key of ["secret/a", "open"])
      site.run(txn([], [{ kind: "put", key: utf8(key), value: utf8("1"), lease, previous: false }]));
    site.run({ kind: "leaseRevoke", lease });
    const [first, second] = site.records.slice(-2);
    expect([first?.home, second?.home].sort()).toEqual(["private", "site"]);
    expect([first?.events.length, second?.events.length]).toEqual([1, 1]);
    expect(first?.salt).not.toEqual(second?.salt);
    expect(site.keys()).toEqual({ own: "shop" });
  });
});

describe("queued commands", () => {
  test("Q2: a write at a site to a hub's prefix runs there once, and its result comes back; L1: then all is silent", () => {
    const { hub, site, other, all } = settled();
    const at = site.position.revision + 1;
    expect(site.run(put("config/rate", "5"))).toEqual(queuedAt(at));
    expect(outcomeOf(site, at)).toBeNull();
    expect(site.query({ kind: "get", origin: null, key: utf8("config/rate") }).row).toBeNull();
    all();
    expect(hub.keys()).toEqual({ "config/rate": "5" });
    expect(hub.key("config/rate")?.version).toBe(1);
    const [written] = hub.records.filter((record) => record.home === "hub");
    expect(written).toMatchObject({ principal: "ada", origin: null });
    expect(outcomeOf(site, at)).toEqual({ ok: true, revision: written?.revision, response: null });
    for (const one of [site, other]) {
      expect(one.query({ kind: "get", origin: null, key: utf8("config/rate") })).toMatchObject({
        origin: "hub",
        row: { value: utf8("5") },
      });
      const under = plainRange(utf8("config/"), utf8("config0"), 0);
      expect(one.query({ kind: "range", origin: null, ...under })).toMatchObject({ origin: "hub", rows: [{}] });
    }
    expectReplayable(hub, site, other);
  });

  test("Q2: sent again, wholly or in part, it runs once all the same", () => {
    const { hub, site } = settled();
    site.run(put("config/a", "1"));
    site.run(put("config/a", "2"));
    const items = rising(site, hub, 100);
    for (let again = 0; again < 3; again++) hub.import(site, items);
    up(site, hub);
    expect(hub.key("config/a")?.version).toBe(2);
    const results = falling(hub, site, 100);
    for (let again = 0; again < 3; again++) site.import(hub, results, hub.position.hash, "parent");
    expect(hub.keys()).toEqual({ "config/a": "2" });
  });

  test("Q2: a refusal at the home comes back as the code that it was refused with", () => {
    const { site, all } = settled();
    const keep = { kind: "put", key: utf8("config/none"), value: null, lease: null, previous: false } as const;
    site.run(txn([], [keep]));
    const at = site.position.revision;
    all();
    expect(outcomeOf(site, at)).toMatchObject({ ok: false, code: "NOT_FOUND" });
  });

  test("Q2: a lease holds no key of another home", () => {
    const { site } = settled();
    const lease = leaseId(7);
    site.run({ kind: "leaseGrant", lease, ttlMs: 1_000 });
    const attach = { kind: "put", key: utf8("config/a"), value: utf8("1"), lease, previous: false } as const;
    expect(site.run(txn([], [attach]))).toMatchObject({ ok: false, code: "CROSS_HOME" });
  });

  test("Q2: downwards the hub writes to a site's own keys, and hears of it; private ones are refused it", () => {
    const { hub, site, other, all } = family();
    site.run(home("secret/", "private"));
    const to = (key: string, command = put(key, "1")): UserCommand => {
      if (command.kind !== "put" && command.kind !== "deleteRange") throw new Error("a command on keys");
      return { kind: "addressed", to: site.cluster, command };
    };
    expect(hub.run(to("desired/light"))).toMatchObject({ ok: true, response: { kind: "queued" } });
    const at = hub.position.revision;
    hub.run(to("secret/pin"));
    expect(
      hub.run({
        kind: "addressed",
        to: clusterId("nobody"),
        command: { kind: "put", key: utf8("a"), value: utf8("1") },
      }),
    ).toMatchObject({
      ok: false,
      code: "UNKNOWN_CHILD",
    });
    all();
    expect(site.keys()).toEqual({ own: "shop", "desired/light": "1" });
    expect(other.keys()).toEqual({ own: "mill" });
    expect(hub.key("desired/light", site.cluster)?.value).toEqual(utf8("1"));
    expect(outcomeOf(hub, at)).toMatchObject({ ok: true });
    expect(outcomeOf(hub, at + 1)).toMatchObject({ ok: false, code: "FORBIDDEN" });
  });

  test("Q2: after 90 days of log time nothing is known of a command, and it does not run again here", () => {
    const { site, all } = settled();
    site.run(put("config/a", "1"));
    const at = site.position.revision;
    all();
    site.pass(COMMAND_HORIZON_MS - 1);
    expect(outcomeOf(site, at)).toMatchObject({ ok: true });
    site.pass(1);
    expect(outcomeOf(site, at)).toBeUndefined();
    site.run(put("config/b", "1"));
    expect(site.query({ kind: "commands", after: revision(0), limit: 10 }).commands).toHaveLength(1);
  });

  test("X1: a page of commands is bounded in the bytes of their results, and none is left out", () => {
    const { hub, site, all } = settled();
    hub.run(put("config/big", "x".repeat(200_000)));
    const big = { kind: "range", ...plainRange(utf8("config/big"), utf8("config/bih"), 1) } as const;
    for (let i = 0; i < 9; i++) {
      const one = { kind: "put", key: utf8(`config/${i}`), value: utf8("1"), lease: null, previous: false } as const;
      expect(site.run(txn([], [one, big]))).toMatchObject({ ok: true });
      if (i === 6) all();
    }
    const handles: number[] = [];
    const pages: number[] = [];
    for (let more = true; more; ) {
      const page = site.query({ kind: "commands", after: revision(handles.at(-1) ?? 0), limit: 1_000 });
      handles.push(...page.commands.map((one) => one.revision));
      pages.push(page.commands.length);
      more = page.more;
    }
    expect(pages[0]).toBeLessThan(7);
    expect(handles).toHaveLength(9);
    expect(new Set(handles).size).toBe(9);
  });

  test("Q2: nor does it when its home comes back after that", () => {
    const { hub, site, all } = settled();
    site.run(put("config/a", "1"));
    site.pass(COMMAND_HORIZON_MS);
    expect(outcomeOf(site, site.position.revision)).toBeUndefined();
    hub.run(home("config/", "site"));
    all();
    expect(site.keys()).toEqual({ own: "shop" });
  });

  test("S5: one that the parent lacks is not shed, and no snapshot goes in its place", () => {
    const { hub, site } = settled();
    const { revision: held } = site.position;
    site.system({ kind: "parentHolds", parent: hub.cluster, epoch: hub.epoch.nonce, revision: held });
    site.run(put("own", "2"));
    site.run(put("config/a", "1"));
    const at = site.position.revision;
    site.run(put("own", "3"));
    const shed = (to: number) => site.system({ kind: "shed", revision: revision(to) });
    for (const to of [at + 1, at]) expect(shed(to)).toMatchObject({ outcome: { ok: false, code: "NOT_SHIPPED" } });
    expect(shed(at - 1)).toMatchObject({ outcome: { ok: true } });
  });

  test("X1: beyond the bound of waiting commands a further one is OVERLOADED", () => {
    const { site } = settled();
    for (let i = 0; i < COMMANDS_WAITING_MAX; i++) site.run(put("config/a", "1"));
    expect(site.run(put("config/a", "1"))).toMatchObject({ ok: false, code: "OVERLOADED" });
    expect(site.run(put("own", "1"))).toMatchObject({ ok: true });
  }, 240_000);

  test("Q2: a result of another epoch's command settles nothing", () => {
    const { hub, site } = settled();
    const again = new OneCluster("shop", epoch("d"));
    const hear = (one: OneCluster) => one.import(hub, falling(hub, one, 100), hub.position.hash, "parent");
    expect(hear(again)).toMatchObject({ kind: "imported" });
    // Each life has a command of its own that waits at the same revision.
    while (again.position.revision < site.position.revision) again.run(put("own", "1"));
    while (site.position.revision < again.position.revision) site.run(put("own", "1"));
    const at = site.position.revision + 1;
    for (const one of [site, again]) expect(one.run(put("config/a", "1"))).toEqual(queuedAt(at));
    up(site, hub);
    for (const one of [site, again]) expect(hear(one)).toMatchObject({ kind: "imported" });
    expect(outcomeOf(site, at)).toMatchObject({ ok: true });
    expect(outcomeOf(again, at)).toBeNull();
  });
});
