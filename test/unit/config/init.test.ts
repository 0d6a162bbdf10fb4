import { mkdtemp, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { isClusterId } from "@openclaw/core/ids.ts";
import { loadConfig } from "@openclaw/edge-runtime/config.ts";
import { type ClusterPlan, enrolChild, initCluster } from "@openclaw/edge-runtime/init.ts";
import { loadCredential } from "@openclaw/edge-runtime/network/credential.ts";
import { ClusterPublicKey, loadIdentity } from "@openclaw/edge-runtime/network/identity.ts";
import { afterEach, beforeEach, expect, test } from "vitest";

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "openclaw-init-"));
});
afterEach(() => rm(folder, { recursive: true }));

const plan = (directory: string, more: Partial<ClusterPlan> = {}): ClusterPlan => ({
  directory: join(folder, directory),
  cluster: directory,
  nodes: 3,
  host: "127.0.0.1",
  httpPorts: [8_101, 8_102, 8_103],
  p2pPorts: [9_101, 9_102, 9_103],
  wsPorts: [9_201, 9_202, 9_203],
  ...more,
});

test("R10: every node gets an identity of its own and a credential that the cluster's key signed", async () => {
  const { cluster, clusterKey, nodes } = await initCluster(plan("shop"));
  expect(nodes.map(({ node }) => node)).toEqual(["shop-1", "shop-2", "shop-3"]);
  expect(new Set(nodes.map(({ peer }) => peer)).size).toBe(3);
  const epochs = new Set<string>();
  for (const { node, config: file, peer, addresses, http } of nodes) {
    const config = await loadConfig(file);
    expect(config).toMatchObject({ cluster, node, clusterKey, parent: null, children: [] });
    expect(config.members).toHaveLength(3);
    expect((await loadIdentity(config.identity)).peer).toBe(peer);
    if (!isClusterId(cluster)) throw new Error("a cluster's name");
    await loadCredential(config.credential, {
      cluster,
      clusterKey: new ClusterPublicKey(clusterKey),
      remotePeer: peer,
    });
    expect(addresses).toEqual(config.listen.map((address) => `${address}/p2p/${peer}`));
    expect(http).toBe(`http://127.0.0.1:${config.http.port}`);
    expect((await stat(config.identity)).mode & 0o777).toBe(0o600);
    epochs.add(config.epoch.nonce);
  }
  expect((await stat(join(folder, "shop", "cluster.key"))).mode & 0o777).toBe(0o600);
  expect(epochs.size, "L3: one cluster, one epoch").toBe(1);
});

test("a folder that holds a cluster is left alone", async () => {
  const { nodes } = await initCluster(plan("shop"));
  const before = await readFile(nodes[0]?.config ?? "", "utf8");
  await expect(initCluster(plan("shop"))).rejects.toMatchObject({ code: "CONFIG_INVALID" });
  expect(await readFile(nodes[0]?.config ?? "", "utf8")).toBe(before);
});

test.each<[string, Partial<ClusterPlan>]>([
  ["a name that is none", { cluster: "My Shop" }],
  ["no node", { nodes: 0 }],
  ["eight nodes", { nodes: 8 }],
  ["too few ports", { wsPorts: [9_201] }],
])("%s is CONFIG_INVALID", async (_, wrong) => {
  await expect(initCluster(plan("shop", wrong))).rejects.toMatchObject({ code: "CONFIG_INVALID" });
});

test("a child is enrolled at its parent, once, and comments stay", async () => {
  const hub = await initCluster(plan("hub", { nodes: 1 }));
  const parent = {
    cluster: "hub",
    clusterKey: hub.clusterKey,
    addresses: hub.nodes[0]?.addresses ?? [],
    subscribe: { collections: ["log"] },
  };
  const site = await initCluster(plan("site", { parent, page: join(folder, "page") }));
  const config = await loadConfig(site.nodes[0]?.config ?? "");
  expect(config.parent).toMatchObject({ cluster: "hub", subscribe: { collections: ["log"], mirrors: false } });
  expect(config.page).toBe(join(folder, "page"));

  const file = hub.nodes[0]?.config ?? "";
  await writeFile(file, `# an operator's note\n${await readFile(file, "utf8")}`);
  await enrolChild(join(folder, "hub"), site);
  await enrolChild(join(folder, "hub"), site);
  expect((await loadConfig(file)).children).toEqual([{ cluster: "site", clusterKey: site.clusterKey }]);
  expect(await readFile(file, "utf8")).toContain("# an operator's note");
  const impostor = { cluster: "site", clusterKey: "00".repeat(32) };
  await expect(enrolChild(join(folder, "hub"), impostor)).rejects.toMatchObject({ code: "CONFIG_INVALID" });
  await expect(enrolChild(folder, impostor)).rejects.toMatchObject({ code: "CONFIG_INVALID" });
});
