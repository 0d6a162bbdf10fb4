import { utf8 } from "@openclaw/core/bytes.ts";
import { selectForParent } from "@openclaw/core/ledger/selection.ts";
import { FrozenView } from "@openclaw/core/state-machine/frozen-view.ts";
import { query } from "@openclaw/core/state-machine/query-run.ts";
import type { SiteEnrolment } from "@openclaw/core/state-machine/site.ts";
import { SITES_MAX } from "@openclaw/core/state-machine/sites.ts";
import { expect, test } from "vitest";
import { clusterId, header, OneCluster, put, sha256 } from "./one-cluster.ts";

const key = (digit: string): string => digit.repeat(64);
const token = (number: number): string => number.toString(16).padStart(64, "0");

const enrol = (hub: OneCluster, cluster: string, more: Partial<SiteEnrolment> = {}) =>
  hub.system({
    kind: "enrolSite",
    site: { cluster: clusterId(cluster), clusterKey: key("a"), token: token(1), state: "pending", ...more },
  });
const decide = (hub: OneCluster, cluster: string, decision: "approved" | "revoked") =>
  hub.system({ kind: "decideSite", cluster: clusterId(cluster), decision });
const states = (hub: OneCluster) =>
  hub.query({ kind: "sites" }).sites.map(({ cluster, state, clusterKey }) => [cluster, state, clusterKey[0]]);
const taken = { kind: "siteNoted", refused: null };
const refusedWith = (code: string) => ({ kind: "siteNoted", refused: { code, details: expect.anything() } });

/** What a site has written, shipped whole. */
function ship(from: OneCluster, to: OneCluster) {
  return to.import(from, selectForParent(from.ledger, to.cluster, sha256));
}

test("F1, L1: a site waits, is let in, is shut out and is let in again; none of it takes a revision", () => {
  const hub = new OneCluster("hub");
  expect(enrol(hub, "shop")).toEqual(taken);
  expect(states(hub)).toEqual([["shop", "pending", "a"]]);
  for (const decision of ["approved", "revoked", "approved"] as const) {
    expect(decide(hub, "shop", decision)).toEqual(taken);
    expect(states(hub)).toEqual([["shop", decision, "a"]]);
  }
  expect(hub.query({ kind: "sites" }).sites[0]).toMatchObject({ decidedBy: "ada", decidedAt: 1_764_000_000_000 });
  expect(decide(hub, "other", "approved")).toEqual(refusedWith("UNKNOWN_CHILD"));
  expect(hub.position.revision).toBe(0);
  expect(hub.records).toEqual([]);
});

test("F1: a token lets one site in, and shown again changes nothing that an operator decided", () => {
  const hub = new OneCluster("hub");
  const approved = { state: "approved" } as const;
  expect(enrol(hub, "shop", approved)).toEqual(taken);
  expect(enrol(hub, "till", { clusterKey: key("b"), ...approved })).toEqual(refusedWith("TOKEN_USED"));
  decide(hub, "shop", "revoked");
  expect(enrol(hub, "shop", approved)).toEqual(taken);
  expect(enrol(hub, "shop", { ...approved, token: token(2) })).toEqual(taken);
  expect(states(hub)).toEqual([["shop", "revoked", "a"]]);
});

test("F1: a site that waits is let in by a second token that says so, once", () => {
  const hub = new OneCluster("hub");
  enrol(hub, "shop");
  expect(enrol(hub, "shop", { token: token(2), state: "approved" })).toEqual(taken);
  expect(states(hub)).toEqual([["shop", "approved", "a"]]);
  expect(enrol(hub, "till", { clusterKey: key("b"), token: token(2) })).toEqual(refusedWith("TOKEN_USED"));
});

test("F1: a site that claims another's name is refused; a name under which nothing was ever shipped is free once revoked", () => {
  const hub = new OneCluster("hub");
  const shop = new OneCluster("shop");
  enrol(hub, "shop", { clusterKey: key("f") });
  const real = { clusterKey: key("b"), token: token(2), state: "approved" } as const;
  expect(enrol(hub, "shop", real)).toEqual(refusedWith("NOT_ADMITTED"));
  decide(hub, "shop", "revoked");
  expect(enrol(hub, "shop", real)).toEqual(taken);
  expect(states(hub)).toEqual([["shop", "approved", "b"]]);

  shop.run(put("a", "1"));
  expect(ship(shop, hub)).toMatchObject({ kind: "imported", cursor: 1 });
  decide(hub, "shop", "revoked");
  expect(enrol(hub, "shop", { clusterKey: key("c"), token: token(3) })).toEqual(refusedWith("NOT_ADMITTED"));
  expect(enrol(hub, "hub", { token: token(4) })).toEqual(refusedWith("WRONG_CLUSTER"));
});

test("F1: of a site that waits or was revoked nothing is taken, at apply too, and what is here stays", () => {
  const hub = new OneCluster("hub");
  const shop = new OneCluster("shop");
  enrol(hub, "shop");
  shop.run(put("a", "1"));
  expect(ship(shop, hub)).toMatchObject({ kind: "importRefused", code: "SITE_PENDING", cursor: 0 });
  decide(hub, "shop", "approved");
  expect(ship(shop, hub)).toMatchObject({ kind: "imported", cursor: 1 });
  decide(hub, "shop", "revoked");
  shop.run(put("a", "2"));
  expect(ship(shop, hub)).toMatchObject({ kind: "importRefused", code: "SITE_REVOKED", cursor: 1 });
  expect(hub.keys(shop.cluster)).toEqual({ a: "1" });
  decide(hub, "shop", "approved");
  expect(ship(shop, hub)).toMatchObject({ kind: "imported", cursor: 2 });
  expect(hub.keys(shop.cluster)).toEqual({ a: "2" });
});

test("F1, X1: there is a most of sites", () => {
  const hub = new OneCluster("hub");
  const commands = Array.from({ length: SITES_MAX }, (_, i) => ({
    header: header(i + 1),
    kind: "enrolSite" as const,
    site: { cluster: clusterId(`site-${i}`), clusterKey: key("a"), token: token(i), state: "pending" as const },
  }));
  expect(new Set(hub.commit(...commands).map((result) => JSON.stringify(result)))).toEqual(
    new Set([JSON.stringify(taken)]),
  );
  expect(enrol(hub, "late", { token: token(SITES_MAX + 1) })).toEqual(refusedWith("OVERLOADED"));
  expect(hub.query({ kind: "sites" }).sites).toHaveLength(SITES_MAX);
});

test("F2: a range of every origin tells whose key it is, with the origin's revisions, page by page", () => {
  const hub = new OneCluster("hub");
  const shops = ["b", "a", "longer-name"].map((name) => new OneCluster(name));
  hub.run(put("x/own", "0"));
  for (const shop of shops) {
    // The least key of one of them is selected, of the others it comes before.
    shop.run(put(shop.cluster === "b" ? "y" : "other", "1"));
    shop.run(put("x/1", shop.cluster));
    shop.run(put("x/2", "2"));
    shop.run(put("x/1", `${shop.cluster} again`));
    ship(shop, hub);
  }
  const ask = (limit: number, after: { origin: typeof hub.cluster | null; key: Uint8Array } | null = null) =>
    // As a node reads: forwards only (K3).
    query(
      new FrozenView(hub.view, 1_048_576),
      { kind: "everywhere", from: utf8("x/"), to: utf8("x0"), after, limit, view: "rows", counted: true },
      sha256,
    );
  const whole = ask(100);
  expect(whole).toMatchObject({ more: false, count: 7 });
  const plain = whole.rows.map(({ origin, key: name, modRevision, version }) => [
    origin,
    new TextDecoder().decode(name),
    modRevision,
    version,
  ]);
  expect(plain).toEqual([
    [null, "x/own", 1, 1],
    ["a", "x/1", 4, 2],
    ["a", "x/2", 3, 1],
    ["b", "x/1", 4, 2],
    ["b", "x/2", 3, 1],
    ["longer-name", "x/1", 4, 2],
    ["longer-name", "x/2", 3, 1],
  ]);
  for (const limit of [1, 2, 3]) {
    const rows = [];
    for (let answer = ask(limit); ; ) {
      rows.push(...answer.rows);
      const last = answer.rows.at(-1);
      if (!answer.more || last === undefined) break;
      answer = ask(limit, last);
    }
    expect(rows).toEqual(whole.rows);
  }
});
