/** S6: what a rescue makes of a survivor's folder and its parent's copy; what it refuses; and that nothing is half made. */
import fs from "node:fs/promises";
import path from "node:path";
import { toHex, utf8 } from "@openclaw/core/bytes.ts";
import { index, isNodeId, revision } from "@openclaw/core/ids.ts";
import type { UserCommand } from "@openclaw/core/state-machine/command.ts";
import { loadConfig } from "@openclaw/edge-runtime/config.ts";
import { ClusterKey } from "@openclaw/edge-runtime/network/identity.ts";
import type { MirrorSource } from "@openclaw/edge-runtime/rebuild/mirror-source.ts";
import { planRescue, type Rescued, rescueSite } from "@openclaw/edge-runtime/rescue/rescue.ts";
import { openSurvivor, requireSilent, type Survivor } from "@openclaw/edge-runtime/rescue/survivor.ts";
import { SqliteStateStore } from "@openclaw/edge-runtime/storage/state-store.ts";
import { describe, expect, onTestFinished, test } from "vitest";
import { parseDocument } from "yaml";
import { checked, clusterId, OneCluster, put } from "../state-machine/one-cluster.ts";
import { entryOf, leaves, type Member, memberOf, parentOf, ship, survivorOf } from "./member.ts";

const node = (name: string) => checked(name, isNodeId);
const OTHERS = [node("california-2"), node("california-3")];
const puts = (count: number, what = "value"): UserCommand[] =>
  Array.from({ length: count }, (_, i) => put(`k${i % 3}`, `${what} ${i}`));

async function rescued(
  member: Member,
  survivor: Survivor,
  source: MirrorSource | null,
  key = path.join(member.directory, "cluster.key"),
): Promise<Rescued> {
  return rescueSite({
    survivor,
    survivorConfig: member.file,
    source,
    dead: source === null ? OTHERS : [],
    directory: `${member.directory}-again`,
    key,
    operatorKey: null,
    host: "127.0.0.1",
    httpPort: 18_301,
    p2pPort: 19_301,
    wsPort: 19_401,
  });
}

async function opened({ node: { config: file } }: Rescued) {
  const config = await loadConfig(file);
  const { dataDir, cluster, node: id, epoch } = config;
  const store = new SqliteStateStore({
    dataDir,
    cluster,
    node: id,
    epoch,
    membership: { voters: [], outgoing: [], learners: [] },
  });
  const stored = await store.open();
  onTestFinished(() => store.close());
  return { config, store, stored };
}

describe("a survivor", () => {
  test("S6: what only its log has counts", async () => {
    const member = await memberOf("california");
    const entries = puts(8).map((command, i) => entryOf(i + 1, command));
    await leaves(member, { applied: entries.slice(0, 5), log: entries });
    const site = member.cluster();
    site.apply(entries);
    const survivor = await survivorOf(member);
    expect(survivor).toMatchObject({ position: { revision: 8 }, log: { term: 1, index: 8 }, lost: 0 });
    const done = await rescued(member, survivor, null);
    expect(done).toMatchObject({ fenced: OTHERS, contentHash: toHex(site.query({ kind: "stateHash" }).content.hash) });
    expect(done.epoch).toMatchObject({ counter: 2, parent: member.config.epoch.nonce, departure: 8 });
  });

  test("R8: a log that the state overtook is not applied to it", async () => {
    const member = await memberOf("california");
    const old = puts(8, "never committed").map((command, i) => entryOf(i + 1, command));
    const common = old.slice(0, 3);
    const later = puts(2, "committed").map((command, i) => entryOf(i + 4, command, 3));
    // As after a snapshot whose install was cut off before the log was reset.
    await leaves(member, { applied: [...common, ...later], log: old });
    const site = member.cluster();
    site.apply([...common, ...later]);
    const survivor = await survivorOf(member);
    expect(survivor).toMatchObject({ position: { revision: 5 }, log: { term: 3, index: 5 } });
    const { contentHash } = await rescued(member, survivor, null);
    expect(contentHash).toBe(toHex(site.query({ kind: "stateHash" }).content.hash));
  });

  test("R5: a folder without a log, or without a state, is refused, and none is made there", async () => {
    const member = await memberOf("california");
    await leaves(member, { applied: [entryOf(1, put("k", "1"))], log: [] });
    const { dataDir } = member.config;
    for (const name of await fs.readdir(dataDir)) if (name.startsWith("log")) await fs.rm(path.join(dataDir, name));
    const left = await fs.readdir(dataDir);
    await expect(openSurvivor(member.file)).rejects.toMatchObject({ code: "RESCUE_REFUSED" });
    expect(await fs.readdir(dataDir)).toEqual(left);
    await fs.rm(dataDir, { recursive: true });
    await expect(openSurvivor(member.file)).rejects.toMatchObject({ code: "NOT_FOUND" });
    await expect(fs.readdir(dataDir)).rejects.toMatchObject({ code: "ENOENT" });
  });

  test("C1: one whose state a majority had found to be wrong is refused", async () => {
    const member = await memberOf("california");
    const found = (hash: number) => ({ kind: "hash", hash: new Uint8Array(32).fill(hash) }) as const;
    const reports = [member.config.node, ...OTHERS].map((name, i) =>
      entryOf(i + 3, { kind: "reportState", round: index(2), node: name, finding: found(Math.min(i, 1)) }),
    );
    const voters = [member.config.node, ...OTHERS];
    const entries = [entryOf(1, put("k", "1")), entryOf(2, { kind: "compareStates", voters }), ...reports];
    await leaves(member, { applied: entries, log: entries });
    await expect(openSurvivor(member.file)).rejects.toMatchObject({ code: "RESCUE_REFUSED" });
  });

  test("S6: a member that joined later is asked, too, where the cluster knows it to be", async () => {
    const member = await memberOf("california");
    const http = "http://127.0.0.1:18999";
    const place = {
      peer: "12D3KooWGzBNFHtPEwQ7mAsjQ3bUMCjSsiv2Qu1Y3QXrJ9RZzZzZ",
      addresses: ["/ip4/127.0.0.1/tcp/1"],
      http,
    };
    const entries = [entryOf(1, { kind: "noteMember", node: node("california-2"), place, supports: 1 })];
    await leaves(member, { applied: entries, log: entries });
    const survivor = await survivorOf(member);
    const asked: string[] = [];
    await requireSilent(survivor, (url) => {
      asked.push(url);
      return Promise.reject(new Error("nobody"));
    });
    expect(asked.sort()).toEqual(["http://127.0.0.1:18203", http]);
  });
});

describe("what the parent has above the survivor", () => {
  async function behind(stubs: readonly number[], known = 5) {
    const member = await memberOf("california");
    const entries = puts(10).map((command, i) => entryOf(i + 1, command));
    await leaves(member, { applied: entries.slice(0, known), log: entries.slice(0, known) });
    const site = member.cluster();
    site.apply(entries);
    const hub = new OneCluster("hub");
    ship(site, hub, ...stubs);
    return { member, site, hub, survivor: await survivorOf(member) };
  }

  test("L2: is taken, also where the survivor ends inside of what the parent has no bodies of", async () => {
    const { member, site, hub, survivor } = await behind([4, 5, 6]);
    const done = await rescued(member, survivor, parentOf(hub, site));
    expect(done.onlyAtParent).toEqual({
      from: 6,
      to: 10,
      items: [{ from: 6, to: 6, lacking: "private" }, ...[7, 8, 9, 10].map((at) => ({ revision: at }))],
    });
    const { store, stored } = await opened(done);
    expect(stored.position).toMatchObject({ revision: 10, compacted: 7 });
    expect((await store.ledger(revision(7), 1e6)).records.map((record) => record.revision)).toEqual([7, 8, 9, 10]);
    expect(await store.checkLedger(revision(1), null, 1e6)).toMatchObject({ from: 7, sound: 10, fault: null });
  });

  test("K10: where no body of the last revision is left, the ledger begins behind it", async () => {
    const { member, site, hub, survivor } = await behind([9, 10]);
    const { stored, store } = await opened(await rescued(member, survivor, parentOf(hub, site)));
    expect(stored.position).toMatchObject({ revision: 10, compacted: 11, hash: site.position.hash });
    expect(await store.checkLedger(revision(1), null, 1e6)).toMatchObject({ sound: 10, fault: null });
  });

  test("K10: follows what stood where the survivor's ledger is compacted", async () => {
    const member = await memberOf("california");
    const compact = entryOf(6, { kind: "compact", revision: revision(4) });
    const known = [...puts(5).map((command, i) => entryOf(i + 1, command)), compact];
    const more = puts(5, "more").map((command, i) => entryOf(i + 7, command));
    await leaves(member, { applied: known, log: known });
    const site = member.cluster();
    site.apply([...known, ...more]);
    const hub = new OneCluster("hub");
    ship(site, hub, 7);
    const survivor = await survivorOf(member);
    expect(survivor).toMatchObject({ position: { revision: 5, compacted: 4 } });
    const { store, stored } = await opened(await rescued(member, survivor, parentOf(hub, site)));
    expect(stored.position).toMatchObject({ revision: 10, compacted: 8, hash: site.position.hash });
    expect(await store.checkLedger(revision(1), null, 1e6)).toMatchObject({ from: 8, sound: 10, fault: null });
    const k = { kind: "get", origin: null, key: utf8("k0") } as const;
    expect((await store.read(k)).row).toEqual(site.key("k0"));
  });

  test("L3: another ledger is a fork, in bodies and in what the parent has no bodies of", async () => {
    const { site, hub, survivor } = await behind([]);
    const other = parentOf(hub, site, (mirror) => ({
      ...mirror,
      items: mirror.items.map((item) => (item.kind === "body" ? { ...item, hash: new Uint8Array(32) } : item)),
    }));
    await expect(planRescue({ survivor, source: other, dead: [] })).rejects.toMatchObject({ code: "FORK" });
    const private_ = await behind([4, 5, 6]);
    const before = parentOf(private_.hub, private_.site, (mirror) => ({ ...mirror, before: new Uint8Array(32) }));
    await expect(planRescue({ survivor: private_.survivor, source: before, dead: [] })).rejects.toMatchObject({
      code: "FORK",
    });
  });

  test("S6: a cluster that still ships is not rescued", async () => {
    const { site, hub, survivor } = await behind([]);
    let pages = 0;
    const shipping = parentOf(hub, site, (mirror) => {
      if (++pages === 1) {
        site.run(put("late", "1"));
        ship(site, hub);
      }
      return mirror;
    });
    await expect(planRescue({ survivor, source: shipping, dead: [] })).rejects.toMatchObject({
      code: "RESCUE_REFUSED",
    });
  });
});

describe("a rescued cluster", () => {
  test("keeps its limits, its origins and that it asks for tokens; with another key nothing is made", async () => {
    const member = await memberOf("california", true);
    const document = parseDocument(await fs.readFile(member.file, "utf8"));
    document.set("uplink", document.createNode({ bytesPerDay: 5_000_000 }));
    document.setIn(["http", "origins"], document.createNode(["https://shop.example"]));
    document.set("page", "../page");
    await fs.writeFile(member.file, document.toString());
    await leaves(member, { applied: [entryOf(1, put("k", "1"))], log: [] });
    const survivor = await survivorOf(member);

    const other = path.join(path.dirname(member.directory), "other.key");
    await ClusterKey.create(other);
    await expect(rescued(member, survivor, null, other)).rejects.toMatchObject({ code: "RESCUE_REFUSED" });
    expect((await fs.readdir(path.dirname(member.directory))).sort()).toEqual(["california", "other.key"]);

    const { config } = await opened(await rescued(member, survivor, null));
    expect(config).toMatchObject({
      uplink: { bytesPerDay: 5_000_000 },
      http: { origins: ["https://shop.example"] },
      page: path.join(member.directory, "page"),
    });
    expect(config.auth).not.toBeNull();
  });

  test("F1: knows the sites below it, and whom it revoked", async () => {
    const member = await memberOf("region");
    const cluster = clusterId("shop");
    const site = { cluster, clusterKey: "ab".repeat(32), token: "cd".repeat(32), state: "approved" } as const;
    const entries = [
      entryOf(1, { kind: "enrolSite", site }),
      entryOf(2, { kind: "decideSite", cluster, decision: "revoked" }),
      entryOf(3, put("k", "1")),
    ];
    await leaves(member, { applied: entries, log: entries });
    const survivor = await survivorOf(member);
    const plan = { survivor, survivorConfig: member.file, source: null, operatorKey: null, host: "127.0.0.1" };
    const done = await rescueSite({
      ...plan,
      dead: [node("region-2"), node("region-3")],
      directory: `${member.directory}-again`,
      key: path.join(member.directory, "cluster.key"),
      httpPort: 18_301,
      p2pPort: 19_301,
      wsPort: 19_401,
    });
    const { store } = await opened(done);
    expect(await store.read({ kind: "sites" })).toMatchObject({ sites: [{ cluster, state: "revoked" }] });
  });
});
