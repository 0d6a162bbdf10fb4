import { chmod, cp, mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { type ClusterId, isClusterId } from "@openclaw/core/ids.ts";
import { loadConfig, type NodeConfig } from "@openclaw/edge-runtime/config.ts";
import { siteTokens } from "@openclaw/edge-runtime/enrol.ts";
import { type ClusterPlan, initCluster } from "@openclaw/edge-runtime/init.ts";
import { joinParent } from "@openclaw/edge-runtime/join-parent.ts";
import { loadCredential } from "@openclaw/edge-runtime/network/credential.ts";
import { verifyEnrolment } from "@openclaw/edge-runtime/network/enrolment.ts";
import { ClusterPublicKey, loadIdentity } from "@openclaw/edge-runtime/network/identity.ts";
import { parseSiteToken } from "@openclaw/edge-runtime/site-token.ts";
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
    expect(config).toMatchObject({ cluster, node, clusterKey, parent: null });
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

const nothing = { collections: [], prefixes: [], mirrors: false };
const tokens = {
  get directory() {
    return join(folder, "hub");
  },
  count: 1,
  site: null,
  approved: false,
  members: null,
};

/** Checked as the hub does it. */
function enrolmentIn({ parent }: NodeConfig, hubKey: string) {
  const hub = { cluster: "hub" as ClusterId, clusterKey: new ClusterPublicKey(hubKey) };
  return verifyEnrolment(Buffer.from(parent?.enrolment ?? "", "base64url"), hub);
}

test("a cluster that is made with a token has the parent that it names, and comes below it by its own key", async () => {
  const hub = await initCluster(plan("hub", { nodes: 1 }));
  const [token = ""] = await siteTokens({ ...tokens, approved: true });
  const parent = { token: await parseSiteToken(token), subscribe: { ...nothing, collections: ["log"] } };
  const site = await initCluster(plan("site", { parent, page: join(folder, "page") }));
  const config = await loadConfig(site.nodes[0]?.config ?? "");
  expect(config.parent).toMatchObject({
    cluster: "hub",
    clusterKey: hub.clusterKey,
    addresses: [hub.nodes[0]?.addresses[0]],
    subscribe: { collections: ["log"], mirrors: false },
  });
  expect(config.page).toBe(join(folder, "page"));
  expect(enrolmentIn(config, hub.clusterKey)).toMatchObject({
    site: "site",
    clusterKey: site.clusterKey,
    grant: { approved: true, site: null, epochCounter: 1 },
  });
});

test("a cluster that is there comes below a parent later, on every box alike, and comments stay", async () => {
  const hub = await initCluster(plan("hub", { nodes: 1 }));
  const site = await initCluster(plan("site"));
  const [text = ""] = await siteTokens(tokens);
  const token = await parseSiteToken(text);
  const [first = "", second = ""] = site.nodes.map(({ config }) => config);
  await writeFile(first, `# an operator's note\n${await readFile(first, "utf8")}`);
  const subscribe = { ...nothing, prefixes: ["config/"] };
  const joined = await joinParent({ directory: join(folder, "site"), token, subscribe });
  expect(joined).toMatchObject({ cluster: "site", parent: "hub", before: null });
  const one = await loadConfig(first);
  expect(await readFile(first, "utf8")).toContain("# an operator's note");
  expect(enrolmentIn(one, hub.clusterKey)).toMatchObject({ site: "site", clusterKey: site.clusterKey });
  // Again on one node's own folder, as on a box of its own: the same, and what it subscribes to stays.
  await joinParent({ directory: dirname(second), token, subscribe: null });
  expect((await loadConfig(second)).parent).toEqual(one.parent);
  await expect(joinParent({ directory: folder, token, subscribe: null })).rejects.toMatchObject({
    code: "CONFIG_INVALID",
  });
});

test("a token for one name is of no use to another site, nor to the hub itself", async () => {
  await initCluster(plan("hub", { nodes: 1 }));
  const [named = ""] = await siteTokens({ ...tokens, site: "shop" });
  const parent = { token: await parseSiteToken(named), subscribe: nothing };
  await expect(initCluster(plan("site", { parent }))).rejects.toMatchObject({ code: "WRONG_CLUSTER" });
  const token = await parseSiteToken((await siteTokens(tokens))[0] ?? "");
  await expect(joinParent({ directory: join(folder, "hub"), token, subscribe: null })).rejects.toMatchObject({
    code: "WRONG_CLUSTER",
  });
  await expect(siteTokens({ ...tokens, site: "shop", count: 2 })).rejects.toMatchObject({ code: "BAD_REQUEST" });
  await expect(siteTokens({ ...tokens, count: 0 })).rejects.toMatchObject({ code: "BAD_REQUEST" });
});

test("what fails leaves nothing behind that the next try would take for a cluster", async () => {
  await initCluster(plan("hub", { nodes: 1 }));
  const [named = ""] = await siteTokens({ ...tokens, site: "shop" });
  const token = await parseSiteToken(named);
  const wrong = plan("site", { parent: { token, subscribe: nothing } });
  await expect(initCluster(wrong)).rejects.toMatchObject({ code: "WRONG_CLUSTER" });
  expect(await readdir(folder)).toEqual(["hub"]);
  // Nor in a folder that was there.
  await mkdir(join(folder, "shop"));
  await writeFile(join(folder, "shop", "mine"), "1");
  const empty = { token, subscribe: { ...nothing, collections: [""] } };
  await expect(initCluster(plan("shop", { parent: empty, tokens: true }))).rejects.toMatchObject({
    code: "CONFIG_INVALID",
  });
  expect(await readdir(join(folder, "shop"))).toEqual(["mine"]);
  await initCluster(plan("shop", { parent: { token, subscribe: nothing } }));
});

test("a configuration that comes below a parent stays as readable as it was; a folder that is none is named", async () => {
  await initCluster(plan("hub", { nodes: 1 }));
  const token = await parseSiteToken((await siteTokens(tokens))[0] ?? "");
  const { nodes } = await initCluster(plan("site", { nodes: 1 }));
  const file = nodes[0]?.config ?? "";
  await chmod(file, 0o600);
  await joinParent({ directory: join(folder, "site"), token, subscribe: null });
  expect((await stat(file)).mode & 0o777).toBe(0o600);
  await expect(joinParent({ directory: join(folder, "none"), token, subscribe: null })).rejects.toMatchObject({
    code: "CONFIG_INVALID",
  });
});

test("F1: a folder with nodes of two clusters is refused, for a token lets in one", async () => {
  await initCluster(plan("hub", { nodes: 1 }));
  const token = await parseSiteToken((await siteTokens(tokens))[0] ?? "");
  const both = join(folder, "both");
  for (const cluster of ["mill", "shop"]) {
    await initCluster(plan(cluster, { nodes: 1 }));
    await cp(join(folder, cluster, `${cluster}-1`), join(both, `${cluster}-1`), { recursive: true });
  }
  await expect(joinParent({ directory: both, token, subscribe: null })).rejects.toMatchObject({
    code: "CONFIG_INVALID",
  });
  expect((await loadConfig(join(both, "mill-1", "config.yaml"))).parent).toBeNull();
});

test("a site's token that was altered is none", async () => {
  await initCluster(plan("hub", { nodes: 1 }));
  const [token = ""] = await siteTokens(tokens);
  expect(token).toMatch(/^ocs_[\w-]+$/);
  for (const at of [4, 40, 120]) {
    const other = token[at] === "A" ? "B" : "A";
    await expect(parseSiteToken(token.slice(0, at) + other + token.slice(at + 1))).rejects.toMatchObject({
      code: expect.stringMatching(/BAD_REQUEST|UNKNOWN_VERSION/),
    });
  }
  await expect(parseSiteToken("ocj_x")).rejects.toMatchObject({ code: "BAD_REQUEST" });
});
