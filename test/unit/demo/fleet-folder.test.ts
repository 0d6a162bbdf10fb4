import fs from "node:fs/promises";
import net from "node:net";
import os from "node:os";
import path from "node:path";
import type { ClusterId } from "@openclaw/core/ids.ts";
import { openFleetFolder } from "@openclaw/demo/fleet-folder.ts";
import { sitesFor } from "@openclaw/demo/sites.ts";
import { loadConfig } from "@openclaw/edge-runtime/config.ts";
import { verifyEnrolment } from "@openclaw/edge-runtime/network/enrolment.ts";
import { ClusterPublicKey } from "@openclaw/edge-runtime/network/identity.ts";
import { afterEach, beforeEach, expect, test } from "vitest";

let folder: string;
beforeEach(async () => {
  folder = await fs.mkdtemp(path.join(os.tmpdir(), "openclaw-fleet-"));
});
afterEach(() => fs.rm(folder, { recursive: true, force: true }));

const open = (networks: readonly string[] = [], fresh = false) =>
  openFleetFolder(folder, { sites: sitesFor(networks), page: folder, ports: "any", fresh });

test("a hub of three nodes and sites of three gateways, each with the hub as parent and pinned there", async () => {
  const clusters = await open();
  expect(clusters.map(({ name, nodes }) => [name, nodes.length])).toEqual([
    ["hub", 3],
    ["california", 3],
    ["alaska", 3],
  ]);
  const [hub, , alaska] = clusters;
  const site = await loadConfig(path.join(folder, alaska?.nodes[2]?.config ?? ""));
  expect(site.parent).toMatchObject({
    cluster: "hub",
    clusterKey: hub?.clusterKey,
    subscribe: { collections: ["shift-log"] },
  });
  // Over TCP, at each of its nodes.
  expect(site.parent?.addresses).toEqual(hub?.nodes.map(({ addresses }) => addresses[0]));
  const ours = { cluster: "hub" as ClusterId, clusterKey: new ClusterPublicKey(hub?.clusterKey ?? "") };
  const enrolment = verifyEnrolment(Buffer.from(site.parent?.enrolment ?? "", "base64url"), ours);
  expect(enrolment).toMatchObject({ site: "alaska", clusterKey: alaska?.clusterKey, grant: { approved: true } });
});

test("what is there stays, and further sites join it", async () => {
  const before = await open();
  const after = await open(["nn"]);
  expect(after.slice(1, 3)).toEqual(before.slice(1));
  expect(after.map(({ name }) => name)).toEqual(["hub", "california", "alaska", "nevada"]);
  // A run without it leaves it where it is.
  expect((await open()).map(({ name }) => name)).toEqual(["hub", "california", "alaska"]);
});

test("who finds his port taken moves, and everybody who dials him is told", async () => {
  const before = await open();
  const taken = Number(before[0]?.nodes[0]?.addresses[0]?.split("/")[4]);
  const squatter = net.createServer();
  await new Promise<void>((resolve) => squatter.listen(taken, "127.0.0.1", resolve));
  try {
    const after = await open();
    const moved = Number(after[0]?.nodes[0]?.addresses[0]?.split("/")[4]);
    expect(moved).not.toBe(taken);
    const hub = await loadConfig(path.join(folder, after[0]?.nodes[0]?.config ?? ""));
    expect(hub.listen[0]).toBe(`/ip4/127.0.0.1/tcp/${moved}`);
    const site = await loadConfig(path.join(folder, after[1]?.nodes[0]?.config ?? ""));
    expect(site.parent?.addresses).toEqual(after[0]?.nodes.map(({ addresses }) => addresses[0]));
    expect(after[1]).toEqual(before[1]);
  } finally {
    squatter.close();
  }
});

test("--fresh makes new keys; a folder of something else is refused and left alone", async () => {
  const before = await open();
  const after = await open([], true);
  expect(after[0]?.clusterKey).not.toBe(before[0]?.clusterKey);
  await fs.rm(path.join(folder, "fleet.json"));
  await expect(open([], true)).rejects.toThrow(/something else than a fleet/);
  expect(await fs.readdir(folder)).toContain("hub");
  await fs.writeFile(path.join(folder, "fleet.json"), "{");
  await expect(open()).rejects.toThrow(/damaged/);
});
