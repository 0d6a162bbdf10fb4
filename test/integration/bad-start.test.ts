/** What an operator gets wrong when a node starts: each has a code, a next step, and loses nothing. */
import { spawnSync } from "node:child_process";
import fs from "node:fs/promises";
import net from "node:net";
import path from "node:path";
import Database from "better-sqlite3";
import { expect, onTestFinished, test } from "vitest";
import { layOutSite, OPENCLAW, type SiteNode, startSite } from "./site.ts";

/** Starts a node that must refuse; what it printed. */
function refused(config: string): string {
  const { status, stderr } = spawnSync(process.execPath, [OPENCLAW, "node", "start", "--config", config], {
    encoding: "utf8",
    timeout: 60_000,
  });
  expect(status).not.toBe(0);
  expect(status).not.toBeNull();
  return stderr;
}

const dataDir = (node: SiteNode): string => path.join(path.dirname(node.config), "data");

async function putOne({ http }: SiteNode): Promise<void> {
  const response = await fetch(`${http}/v1/kv/kept`, { method: "PUT", body: "yes" });
  expect(response.status).toBe(200);
  await response.arrayBuffer();
}

async function expectKept(node: SiteNode): Promise<void> {
  node.process.start();
  await node.process.ready();
  expect(await (await fetch(`${node.http}/v1/kv/kept`)).text()).toBe("yes");
}

test("CONFIG_INVALID: a configuration that is no YAML, lacks a field or has an unknown one names the line", async () => {
  const [node] = await layOutSite(1);
  if (node === undefined) throw new Error("a site has a node");
  const good = await fs.readFile(node.config, "utf8");
  for (const bad of [`${good}\n  : [`, good.replace(/^http:.*$/m, "htpp:"), good.replace("version: 1", "version: 2")]) {
    await fs.writeFile(node.config, bad);
    expect(refused(node.config)).toMatch(/CONFIG_INVALID: .*config\.yaml/);
  }
});

test("INSECURE_BIND, X2: an address that others reach needs credentials", async () => {
  const [node] = await layOutSite(1);
  if (node === undefined) throw new Error("a site has a node");
  const good = await fs.readFile(node.config, "utf8");
  await fs.writeFile(node.config, good.replaceAll("127.0.0.1", "0.0.0.0"));
  expect(refused(node.config)).toContain("INSECURE_BIND: ");
});

test("PORT_IN_USE: the port is named, for HTTP and for libp2p", async () => {
  const [node] = await layOutSite(1);
  if (node === undefined) throw new Error("a site has a node");
  const p2p = Number(/\/tcp\/(\d+)/.exec(node.addresses[0] ?? "")?.[1]);
  for (const port of [Number(new URL(node.http).port), p2p]) {
    const squatter = net.createServer().listen(port, "127.0.0.1");
    onTestFinished(() => void squatter.close());
    await new Promise((resolve) => squatter.once("listening", resolve));
    expect(refused(node.config)).toMatch(new RegExp(`PORT_IN_USE: .*${port}`));
    await new Promise((resolve) => squatter.close(resolve));
  }
});

test("DATA_FOREIGN, DATA_NEWER, DATA_IN_USE: a data folder that is not this node's to use stays as it was", async () => {
  const [one, two] = await startSite(2);
  if (one === undefined || two === undefined) throw new Error("a site of two has two nodes");
  await putOne(one);
  // A second process on the folder of a running node, at ports of its own.
  const twin = path.join(path.dirname(one.config), "twin.yaml");
  const moved = (await fs.readFile(one.config, "utf8"))
    .replace(/port: \d+/, "port: 0")
    .replace(/^listen:[\s\S]*?(?=^\w)/m, "listen: [/ip4/127.0.0.1/tcp/0]\n");
  await fs.writeFile(twin, moved);
  expect(refused(twin)).toContain("DATA_IN_USE: ");
  await two.process.stop();
  await one.process.stop();

  await fs.rename(dataDir(two), `${dataDir(two)}.own`);
  await fs.cp(dataDir(one), dataDir(two), { recursive: true });
  expect(refused(two.config)).toContain("DATA_FOREIGN: ");
  await fs.rm(dataDir(two), { recursive: true });
  await fs.rename(`${dataDir(two)}.own`, dataDir(two));

  const state = path.join(dataDir(one), "state.db");
  await fs.cp(dataDir(one), `${dataDir(one)}.kept`, { recursive: true });
  const database = new Database(state);
  const future = 1_000_000;
  database.prepare("UPDATE identity SET format = ?").run(future);
  database.close();
  // The checksum does not cover our edit: either way the node must not touch the folder.
  expect(refused(one.config)).toMatch(/DATA_(NEWER|CORRUPT): /);
  await fs.rm(dataDir(one), { recursive: true });
  await fs.rename(`${dataDir(one)}.kept`, dataDir(one));
  two.process.start();
  await expectKept(one);
});
