/** What a neighbour that lies may not bring about: each link speaks for its own cluster and what is below it. */
import { utf8 } from "@openclaw/core/bytes.ts";
import { decode, encode } from "@openclaw/core/codec.ts";
import { PARTITION, revision } from "@openclaw/core/ids.ts";
import { genesisHash, hashAfter } from "@openclaw/core/ledger/chain.ts";
import type { LedgerEvent } from "@openclaw/core/ledger/record.ts";
import { encodeRecord } from "@openclaw/core/ledger/record-codec.ts";
import { selectForChild } from "@openclaw/core/ledger/selection.ts";
import type { SnapshotHead, SnapshotStep } from "@openclaw/core/ledger/snapshot.ts";
import { NOTHING } from "@openclaw/core/ledger/subscription.ts";
import { HOMES_KNOWN_MAX } from "@openclaw/core/limits.ts";
import { outcomeTuple, readOutcome } from "@openclaw/core/state-machine/outcome-codec.ts";
import { userCommandTuple } from "@openclaw/core/state-machine/user-command-codec.ts";
import { describe, expect, test } from "vitest";
import { converge, expectReplayable, falling, family, home, outcomeOf, rising } from "./family.ts";
import { epoch, linkId, OneCluster, put, sha256 } from "./one-cluster.ts";

function step(to: OneCluster, from: OneCluster, side: "child" | "parent", one: SnapshotStep) {
  const { cluster, epoch: life } = from;
  return to.system({ kind: "importSnapshot", side, link: linkId(cluster), cluster, epoch: life, step: one });
}

/** A child ships a record that it made up, in the place of its next one. */
function says(child: OneCluster, parent: OneCluster, events: readonly LedgerEvent[]) {
  const { link } = parent.query({ kind: "link", link: linkId(child.cluster) });
  if (link === null) throw new Error(`nothing of ${child.cluster} was taken`);
  const at = revision(link.cursor + 1);
  const form = { partition: PARTITION, revision: at, salt: new Uint8Array(16), home: "site", time: 0 } as const;
  const record = encodeRecord({ ...form, origin: null, link: null, principal: "liar", events });
  const items = [{ kind: "body", revision: at, record }] as const;
  return parent.import(child, items, hashAfter(sha256, link.hash, PARTITION, items));
}

const headOf = (at: number, parts: Partial<SnapshotHead>): SnapshotHead => ({
  at: revision(at),
  hash: sha256(utf8("at")),
  subscription: null,
  kept: null,
  origins: [],
  homes: [],
  ...parts,
});

const CONFIG = { prefix: utf8("config/"), owner: null, open: true };

describe("a snapshot", () => {
  test("S4, Q3: of a child is of its own ledger: it subscribes to nothing and declares no home", () => {
    const { hub, site } = family();
    hub.run(put("config/a", "hub"));
    const at = site.position.revision;
    for (const wrong of [
      { subscription: NOTHING, homes: [CONFIG] },
      { subscription: NOTHING },
      { kept: NOTHING },
      { homes: [CONFIG] },
    ])
      expect(step(hub, site, "child", { kind: "begin", head: headOf(at, wrong) })).toMatchObject({
        code: "MALFORMED_FRAME",
      });
    expect(hub.query({ kind: "homes" }).homes).toEqual([]);
    expect(hub.keys()).toEqual({ "config/a": "hub" });
  });

  test("L2: a middle tier that learns of an open home replays to the same", () => {
    const region = new OneCluster("region", epoch("b"));
    const site = new OneCluster("shop", epoch("c"));
    const central = new OneCluster("central", epoch("a"));
    site.run(put("own", "1"));
    converge([site, region]);
    const head = headOf(9, { subscription: NOTHING, homes: [CONFIG] });
    const piece = { section: 0, from: utf8("config/"), to: null, rows: [], documents: [] };
    for (const one of [
      { kind: "begin", head },
      { kind: "piece", at: head.at, piece },
      { kind: "end", at: head.at },
    ] as const)
      expect(step(region, central, "parent", one)).toMatchObject({ kind: "snapshotTaken" });
    expect(region.query({ kind: "homes" }).homes).toMatchObject([{ owner: "central", waiting: ["shop"] }]);
    expectReplayable(region);
  });
});

describe("a result", () => {
  test("Q2: of a command that another neighbour has is nobody's to tell", () => {
    const { hub, site, other } = family();
    hub.run({ kind: "addressed", to: site.cluster, command: { kind: "put", key: utf8("own"), value: utf8("2") } });
    const addressed = hub.position.revision;
    hub.run(home("config/", "hub"));
    hub.run(put("config/a", "1"));
    const held = hub.position.revision;
    const outcome = encode(outcomeTuple({ ok: true, revision: revision(1), response: null }));
    for (const at of [addressed, held]) {
      const event = { kind: "result", to: null, epoch: hub.epoch.nonce, revision: revision(at), outcome } as const;
      expect(says(other, hub, [event])).toMatchObject({ kind: "imported" });
      expect(outcomeOf(hub, at)).toBeNull();
    }
  });
});

describe("a command", () => {
  test("Q2: of a child reaches no sibling of it", () => {
    const { hub, site, other } = family();
    const command = encode(userCommandTuple({ kind: "put", key: utf8("own"), value: utf8("mill's") }));
    for (const to of [site.cluster, hub.cluster]) {
      const before = hub.position.revision;
      expect(says(other, hub, [{ kind: "command", via: null, to, seen: null, command }])).toMatchObject({
        kind: "imported",
      });
      const result = hub.records.at(-1)?.events[0];
      if (result?.kind !== "result") throw new Error("no result was told");
      expect(readOutcome(decode(result.outcome))).toMatchObject({ code: "FORBIDDEN" });
      // The child's record and the result.
      expect(hub.position.revision).toBe(before + 2);
    }
  });
});

describe("a record", () => {
  const command = { kind: "command", via: null, to: null, seen: null, command: new Uint8Array(1) } as const;
  const release = { kind: "home", prefix: utf8("config/"), step: { kind: "release", of: revision(1) } } as const;
  const declare = { kind: "declare", home: "private", owner: null, waiting: [] } as const;
  const result = { kind: "result", to: null, epoch: "a".repeat(32), revision: revision(1) } as const;

  test.each([
    ["two commands", [command, command]],
    ["a command among keys", [{ kind: "delete", key: utf8("a") }, command]],
    ["two steps of homes", [release, { ...release, prefix: utf8("other/") }]],
    ["a private home", [{ ...release, step: declare }]],
    ["an outcome that fits no other record", [{ ...result, outcome: new Uint8Array(1_048_577) }]],
  ] satisfies [string, LedgerEvent[]][])("X1: with %s is refused whole", (_, events) => {
    const { hub, other } = family();
    const before = hub.view.rows();
    expect(says(other, hub, events)).toMatchObject({ kind: "importRefused", code: "MALFORMED_FRAME" });
    expect(hub.view.rows()).toEqual(before);
  });
});

describe("in the name of another cluster", () => {
  const enrolled = (hub: OneCluster, site: OneCluster, token: string) =>
    hub.system({
      kind: "enrolSite",
      site: { cluster: site.cluster, clusterKey: token.repeat(64), token: token.repeat(64), state: "approved" },
    });

  /** The liar's own cluster has "imported" it. */
  function forged(liar: OneCluster, of: OneCluster, at: number, key: string): void {
    const origin = { cluster: of.cluster, epoch: of.epoch.nonce, revision: revision(at) };
    const record = encodeRecord({
      ...{ partition: PARTITION, revision: origin.revision, salt: new Uint8Array(16), home: "site", time: 0 },
      ...{ origin: null, link: null, principal: "liar" },
      events: [{ kind: "put", key: utf8(key), value: utf8("forged"), lease: null, numbers: null, encryption: null }],
    });
    const items = [
      ...(at === 1 ? [] : [{ kind: "skip", from: revision(1), to: revision(at - 1), hash: sha256(record) } as const]),
      { kind: "body", revision: origin.revision, record } as const,
    ];
    expect(liar.import(of, items, hashAfter(sha256, sha256(record), PARTITION, items))).toMatchObject({
      kind: "imported",
    });
  }

  test("L4: a child cannot shut out a site of ours, nor write in its mirror", () => {
    const { hub, site } = family();
    const liar = new OneCluster("liar", epoch("d"));
    enrolled(hub, site, "1");
    enrolled(hub, liar, "2");
    forged(liar, site, 1_000, "own");
    expect(hub.import(liar, rising(liar, hub, 100))).toMatchObject({ code: "NOT_ADMITTED", cursor: 0 });
    site.run(put("own", "true"));
    converge([site, hub]);
    expect(hub.keys(site.cluster)).toEqual({ own: "true" });
    // It moved below the other one, as an operator says.
    hub.system({ kind: "decideSite", cluster: site.cluster, decision: "revoked" });
    expect(hub.import(liar, rising(liar, hub, 100))).toMatchObject({ kind: "imported" });
    expect(hub.keys(site.cluster)).toEqual({ own: "forged" });
  });

  test("L4: of a site that did not ship yet, or of our parent, a child tells no keys", () => {
    const { hub, site } = family();
    const central = new OneCluster("central", epoch("9"));
    const young = new OneCluster("young", epoch("8"));
    enrolled(hub, young, "3");
    central.run(put("config/a", "1"));
    central.run(put("config/b", "1"));
    expect(hub.import(central, falling(central, hub, 1), central.ledger[0]?.hash, "parent")).toMatchObject({
      cursor: 1,
    });
    for (const of of [central, young]) forged(site, of, 2, "config/b");
    converge([site, hub]);
    young.run(put("own", "1"));
    young.run(put("own", "2"));
    converge([young, hub]);
    expect(hub.keys(young.cluster)).toEqual({ own: "2" });
    const subscribed = selectForChild(central.ledger.slice(1), hub.cluster, {
      ...NOTHING,
      prefixes: [utf8("config/")],
    });
    expect(hub.import(central, subscribed, central.position.hash, "parent")).toMatchObject({ cursor: 2 });
    expect(hub.keys(central.cluster)).toEqual({ "config/b": "1" });
  });
});

test("X1: of a parent that declares more homes than a snapshot tells, nothing further is taken, and it hears why", () => {
  const hub = new OneCluster("hub", epoch("a"));
  const site = new OneCluster("shop", epoch("b"));
  const declare = { kind: "declare", home: "hub", owner: null, waiting: [] } as const;
  let hash = genesisHash(sha256, hub.cluster, PARTITION, hub.epoch.nonce);
  const tells = (first: number, count: number) => {
    const items = Array.from({ length: count }, (_, i) => {
      const at = revision(first + i);
      const head = { partition: PARTITION, revision: at, salt: new Uint8Array(16), home: "site", time: 0 } as const;
      const events = [{ kind: "home", prefix: utf8(`p${at}/`), step: declare }] as const;
      const record = encodeRecord({ ...head, origin: null, link: null, principal: "liar", events });
      return { kind: "body", revision: at, record } as const;
    });
    const end = hashAfter(sha256, hash, PARTITION, items);
    const taken = site.import(hub, items, end, "parent");
    if (taken.kind === "imported") hash = end;
    return taken;
  };
  for (let at = 1; at < HOMES_KNOWN_MAX; at += 256) expect(tells(at, 256)).toMatchObject({ kind: "imported" });
  expect(tells(HOMES_KNOWN_MAX + 1, 1)).toMatchObject({ kind: "importRefused", code: "OVERLOADED" });
  expect(site.query({ kind: "homes" }).homes).toHaveLength(HOMES_KNOWN_MAX);
  expect(site.run(put("own", "1"))).toMatchObject({ ok: true });
});
