/** S6: a site is made again from what its hub holds, exact to the last revision that it shipped; what is lacking is itemised. */
import fs from "node:fs/promises";
import path from "node:path";
import { concatBytes, toHex, utf8 } from "@openclaw/core/bytes.ts";
import { OpenClawError } from "@openclaw/core/errors.ts";
import type { Mirror } from "@openclaw/core/history/history-query.ts";
import { encodeMirror } from "@openclaw/core/history/mirror-codec.ts";
import { index, revision, term } from "@openclaw/core/ids.ts";
import { leafHash } from "@openclaw/core/ledger/chain.ts";
import type { LinkItem } from "@openclaw/core/ledger/record.ts";
import { selectForParent } from "@openclaw/core/ledger/selection.ts";
import type { StoredState } from "@openclaw/core/ports.ts";
import { encodeCommands } from "@openclaw/core/state-machine/command-codec.ts";
import { frameOf } from "@openclaw/edge-runtime/backup/record-frames.ts";
import { loadConfig } from "@openclaw/edge-runtime/config.ts";
import { ClusterKey } from "@openclaw/edge-runtime/network/identity.ts";
import { MirrorSource } from "@openclaw/edge-runtime/rebuild/mirror-source.ts";
import { planRebuild, type Rebuilt, rebuildSite } from "@openclaw/edge-runtime/rebuild/rebuild.ts";
import { SqliteStateStore } from "@openclaw/edge-runtime/storage/state-store.ts";
import { describe, expect, onTestFinished, test } from "vitest";
import {
  change,
  epoch,
  header,
  leaseId,
  linkId,
  OneCluster,
  push,
  put,
  sha256,
  txn,
} from "../state-machine/one-cluster.ts";
import { temporaryFolder } from "../storage/storage-fixture.ts";

/** Small, so that a rebuild reads several. */
const PAGE_BYTES = 2_000;

function sourceOf(hub: OneCluster, site: OneCluster, altered = (mirror: Mirror): Mirror => mirror): MirrorSource {
  const call = async ({ path: asked }: { path: string }) => {
    const from = Number(new URL(asked, "http://hub").searchParams.get("from"));
    const mirror = hub.history({ kind: "mirror", link: linkId(site.cluster), from: revision(from), bytes: PAGE_BYTES });
    return { body: concatBytes(encodeMirror(altered(mirror)).map(frameOf)), headers: {} };
  };
  return new MirrorSource({ call }, site.cluster);
}

async function rebuilt(source: MirrorSource, site: OneCluster): Promise<Rebuilt> {
  const folder = temporaryFolder();
  const key = path.join(folder, "cluster.key");
  await ClusterKey.create(key);
  return rebuildSite({
    site: site.cluster,
    source,
    applyVersion: 1,
    directory: path.join(folder, "again"),
    key,
    operatorKey: null,
    host: "127.0.0.1",
    httpPort: 18_101,
    p2pPort: 19_101,
    wsPort: 19_201,
    progress: () => {},
  });
}

/** The state that was made, opened as its node does. */
async function opened({ node }: Rebuilt, site: OneCluster): Promise<{ store: SqliteStateStore; stored: StoredState }> {
  const config = await loadConfig(node.config);
  const store = new SqliteStateStore({
    dataDir: config.dataDir,
    cluster: site.cluster,
    node: config.node,
    epoch: config.epoch,
    membership: { voters: [], outgoing: [], learners: [] },
  });
  const stored = await store.open();
  onTestFinished(() => store.close());
  return { store, stored };
}

function ship(site: OneCluster, hub: OneCluster, as = (items: LinkItem[]): LinkItem[] => items): void {
  const cursor = hub.query({ kind: "link", link: linkId(site.cluster) }).link?.cursor ?? 0;
  expect(hub.import(site, as(selectForParent(site.ledger.slice(cursor), hub.cluster, sha256)))).toMatchObject({
    kind: "imported",
  });
}

const stubs =
  (...which: number[]) =>
  (items: LinkItem[]): LinkItem[] =>
    items.map((item) =>
      item.kind === "body" && which.includes(item.revision)
        ? { kind: "stub", revision: item.revision, leaf: leafHash(sha256, item.record), reason: "private" }
        : item,
    );

function busySite(): { site: OneCluster; hub: OneCluster } {
  const site = new OneCluster("california", epoch("b"));
  const hub = new OneCluster("hub");
  const lease = leaseId(7);
  site.run({ kind: "leaseGrant", lease, ttlMs: 1_000 });
  for (let i = 0; i < 40; i++) {
    site.run(put(`k${i % 5}`, `value ${i}`));
    if (i % 7 === 0) site.run(push("log", change(i + 1, "a", i / 7 + 1, i === 0 ? [] : [i - 6])));
    if (i % 11 === 0) site.run(txn([], [{ kind: "put", key: utf8("held"), value: utf8("1"), lease, previous: false }]));
    if (i % 13 === 0) site.run({ kind: "deleteRange", keys: { kind: "key", key: utf8("k3") } });
  }
  return { site, hub };
}

describe("a rebuilt site", () => {
  test("S6, L3: has the content and the records of the last shipped revision, in a new epoch that departed there", async () => {
    const { site, hub } = busySite();
    ship(site, hub);
    const content = toHex(site.query({ kind: "stateHash" }).content.hash);
    const last = site.position.revision;
    // Written, and never shipped.
    site.run(put("late", "1"));
    const done = await rebuilt(sourceOf(hub, site), site);
    expect(done).toMatchObject({ revision: last, bodies: last, lacking: {}, runs: [], first: 1, contentHash: content });
    expect(done.epoch).toMatchObject({ counter: 2, parent: site.epoch.nonce, departure: last });
    const { store } = await opened(done, site);
    const { records } = await store.ledger(revision(1), 1e9);
    expect(records.map(({ record }) => toHex(record))).toEqual(
      site.ledger.slice(0, last).map(({ record }) => toHex(record)),
    );
    expect(await store.checkLedger(revision(1), null, 1e9)).toMatchObject({ from: 1, sound: last, fault: null });
    expect(await store.read({ kind: "lease", lease: leaseId(7) })).toMatchObject({ lease: { ttlMs: 3_600_000 } });
  });

  test("S6: what the hub has no body of is itemised, and the ledger begins behind the last of it", async () => {
    const { site, hub } = busySite();
    ship(site, hub, stubs(3, 4, 20));
    const last = site.position.revision;
    const done = await rebuilt(sourceOf(hub, site), site);
    expect(done).toMatchObject({ revision: last, bodies: last - 3, lacking: { private: 3 }, first: 21 });
    expect(done.runs).toEqual([
      { from: 3, to: 4, reason: "private" },
      { from: 20, to: 20, reason: "private" },
    ]);
    const { store, stored } = await opened(done, site);
    expect(stored.position).toMatchObject({ revision: last, compacted: 21, epoch: { counter: 2 } });
    expect(await store.checkLedger(revision(1), null, 1e9)).toMatchObject({ from: 21, sound: last, fault: null });
    for (const key of ["k0", "k1", "k2", "k4", "held"]) {
      const question = { kind: "get", origin: null, key: utf8(key) } as const;
      const [own] = [site.key(key)];
      const { row } = await store.read(question);
      expect(row?.value, key).toEqual(new Uint8Array(own?.value ?? []));
      expect(row?.modRevision, key).toBe(own?.modRevision);
      // As of the last revision, and of where its ledger begins.
      expect((await store.history({ ...question, at: revision(last) })).row?.modRevision, key).toBe(own?.modRevision);
      expect((await store.history({ ...question, at: revision(21) })).row, key).not.toBeUndefined();
    }
    await expect(store.history({ kind: "get", origin: null, key: utf8("k0"), at: revision(20) })).rejects.toMatchObject(
      {
        code: "COMPACTED",
      },
    );
  });

  test("S6, K10: it goes on from a gap at its end, is written to, compacted and checked", async () => {
    const { site, hub } = busySite();
    const last = site.position.revision;
    ship(site, hub, stubs(last - 1, last));
    const done = await rebuilt(sourceOf(hub, site), site);
    expect(done).toMatchObject({ revision: last, first: last + 1 });
    const { store, stored } = await opened(done, site);
    let at = stored.applied;
    const run = async (...commands: Parameters<OneCluster["run"]>[0][]) => {
      for (const command of commands) {
        at = index(at + 1);
        const data = encodeCommands([{ header: header(at), ...command }]);
        await store.apply([{ term: term(2), index: at, kind: "commands", stamp: 0, data }]);
      }
    };
    await run(put("k1", "again"), put("k2", "again"), put("new", "1"));
    const versions = await store.history({ kind: "versions", origin: null, key: utf8("k1"), before: null, limit: 10 });
    expect(versions.versions.map((one) => one.revision)).toEqual([last + 1]);
    expect(await store.checkLedger(revision(1), null, 1e9)).toMatchObject({ sound: last + 3, fault: null });
    await run({ kind: "compact", revision: revision(last + 2) });
    await expect
      .poll(async () => (await store.checkLedger(revision(1), null, 1e9)).from, { timeout: 10_000 })
      .toBeGreaterThanOrEqual(last + 1);
    const { row } = await store.history({ kind: "get", origin: null, key: utf8("k1"), at: revision(last + 3) });
    expect(row).toMatchObject({ modRevision: last + 1 });
  });

  test("S6: a dry run says the same, and makes nothing", async () => {
    const { site, hub } = busySite();
    ship(site, hub, stubs(5));
    const planned = await planRebuild({ source: sourceOf(hub, site), site: site.cluster, progress: () => {} });
    expect(planned).toMatchObject({ revision: site.position.revision, lacking: { private: 1 } });
  });

  test("L2: a hub whose copy is wrong makes no site, and no folder stays", async () => {
    const { site, hub } = busySite();
    ship(site, hub);
    const wrong: readonly (readonly [what: string, altered: (mirror: Mirror) => Mirror])[] = [
      ["another record", (mirror) => withItem(mirror, 1, (item) => ({ ...item, record: utf8("another") }))],
      ["another hash", (mirror) => withItem(mirror, 1, (item) => ({ ...item, hash: new Uint8Array(32) }))],
      ["one left out", (mirror) => ({ ...mirror, items: mirror.items.filter((_, i) => i !== 1) })],
      ["its own word", (mirror) => ({ ...mirror, fault: { revision: revision(2), kind: "chain", details: "rot" } })],
    ];
    for (const [what, altered] of wrong) {
      const failed: unknown = await rebuilt(sourceOf(hub, site, altered), site).catch((error: unknown) => error);
      expect(failed, what).toBeInstanceOf(OpenClawError);
      expect(failed, what).toMatchObject({ code: "DATA_CORRUPT" });
    }
  });

  test("L3: a site that still ships is not rebuilt; nor one that the hub has compacted, or knows nothing of", async () => {
    const { site, hub } = busySite();
    await expect(rebuilt(sourceOf(hub, site), site)).rejects.toMatchObject({ code: "NOT_FOUND" });
    ship(site, hub);
    let calls = 0;
    const shipping = sourceOf(hub, site, (mirror) => {
      if (++calls === 2) {
        site.run(put("more", "1"));
        ship(site, hub);
      }
      return mirror;
    });
    await expect(rebuilt(shipping, site)).rejects.toMatchObject({ code: "RESTORE_REFUSED" });
    hub.run({ kind: "compact", revision: revision(10) });
    hub.prune();
    await expect(rebuilt(sourceOf(hub, site), site)).rejects.toMatchObject({ code: "COMPACTED" });
  });

  test("RESTORE_REFUSED: a folder that holds anything is left alone", async () => {
    const { site, hub } = busySite();
    ship(site, hub);
    const folder = temporaryFolder();
    await fs.writeFile(path.join(folder, "mine"), "1");
    const key = path.join(temporaryFolder(), "cluster.key");
    await ClusterKey.create(key);
    const plan = { host: "127.0.0.1", httpPort: 18_101, p2pPort: 19_101, wsPort: 19_201, operatorKey: null, key };
    const source = sourceOf(hub, site);
    const into = { ...plan, site: site.cluster, source, applyVersion: 1, directory: folder, progress: () => {} };
    await expect(rebuildSite(into)).rejects.toMatchObject({ code: "RESTORE_REFUSED" });
    expect(await fs.readdir(folder)).toEqual(["mine"]);
  });
});

type Body = Extract<Mirror["items"][number], { kind: "body" }>;

const withItem = (mirror: Mirror, at: number, alter: (item: Body) => Body): Mirror => ({
  ...mirror,
  items: mirror.items.map((item, i) => (i === at && item.kind === "body" ? alter(item) : item)),
});
