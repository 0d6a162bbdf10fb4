/** Homes and queued commands between real processes: a site of three nodes, and its hub. */
import { spawn } from "node:child_process";
import fs from "node:fs/promises";
import path from "node:path";
import { openClaw } from "@openclaw/edge-runtime/client.ts";
import { expect, onTestFinished, test } from "vitest";
import { codeExample } from "./readme.ts";
import { OPENCLAW, temporaryFolder } from "./site.ts";
import { type Answer, ask, startTier, type Tier, tokenOf } from "./tiers.ts";

const nothing = { collections: [], prefixes: [], mirrors: false };
const SOON = { timeout: 60_000, interval: 200 };
const SCRIPT_MS_MAX = 400_000;

async function hubAndSite(nodes: number): Promise<{ readonly hub: Tier; readonly site: Tier }> {
  const hub = await startTier({ cluster: "hub", kind: "hub" });
  const parent = { token: await tokenOf(hub), subscribe: nothing };
  return { hub, site: await startTier({ cluster: "shop", kind: "site", nodes, parent }) };
}

/** By any node that answers. */
async function anywhere({ nodes }: Tier, method: string, route: string, body?: string): Promise<Answer> {
  for (const { http } of nodes) {
    const answer = await ask(http, method, route, body).catch(() => null);
    if (answer !== null && answer.status < 500) return answer;
  }
  throw new Error(`nobody answers ${method} ${route}`);
}

const send = async (method: string, url: string, body: object): Promise<number> => {
  const headers = { "content-type": "application/json" };
  return (await fetch(url, { method, headers, body: JSON.stringify(body) })).status;
};

const leaderOf = async (tier: Tier): Promise<string> => (await anywhere(tier, "GET", "/v1/status")).body.leader;

/** Every node's uplink: only the leader's runs. */
const setUplink = ({ nodes }: Tier, enabled: boolean) =>
  Promise.all(nodes.map(({ http }) => send("POST", `${http}/v1/admin/uplink`, { enabled })));

const homeAt = (tier: Tier) => async () => (await anywhere(tier, "GET", "/v1/homes")).body.homes;

test("Q2: writes queued while the uplink is cut, across the death of the site's leader, run at the hub once, in order", async () => {
  const { hub, site } = await hubAndSite(3);
  await anywhere(site, "PUT", "/v1/kv/own", "1");
  await expect.poll(async () => (await ask(hub.http, "GET", "/v1/kv/own?origin=shop")).status, SOON).toBe(200);
  expect(await send("PUT", `${hub.http}/v1/homes`, { prefix: "config/", home: "hub" })).toBe(200);
  await expect.poll(homeAt(site), SOON).toMatchObject([{ prefix: "config/", owner: "hub", open: true }]);

  expect(await setUplink(site, false)).toEqual([200, 200, 200]);
  const handles: string[] = [];
  const put = async (value: number): Promise<void> => {
    const answer = await anywhere(site, "PUT", "/v1/kv/config/rate", String(value));
    expect([answer.status, answer.body.status]).toEqual([202, "queued"]);
    handles.push(answer.body.handle);
  };
  for (let value = 0; value < 10; value++) await put(value);
  const leader = await leaderOf(site);
  const node = site.nodes.find((one) => one.node === leader);
  await node?.process.kill();
  await expect.poll(() => leaderOf(site), SOON).not.toBe(leader);
  for (let value = 10; value < 20; value++) await put(value);
  expect((await ask(hub.http, "GET", "/v1/kv/config/rate")).status).toBe(404);
  node?.process.start();
  await node?.process.ready();
  await setUplink(site, true);

  const commands = async () => (await anywhere(site, "GET", "/v1/commands")).body.commands;
  await expect
    .poll(async () => (await commands()).map(({ status }: { status: string }) => status), SOON)
    .toEqual(handles.map(() => "done"));
  expect((await commands()).map(({ handle }: { handle: string }) => handle)).toEqual(handles);
  const { versions } = (await ask(hub.http, "GET", "/v1/history/config/rate?limit=100")).body;
  expect(versions.map(({ text }: { text: string }) => Number(text)).reverse()).toEqual(handles.map((_, i) => i));
  await expect.poll(async () => (await anywhere(site, "GET", "/v1/kv/config/rate")).body, SOON).toBe("19");

  // The client's own word: queued at the site, then run at the home.
  const client = await openClaw({ gateways: site.nodes.flatMap(({ addresses }) => addresses.slice(0, 1)) });
  onTestFinished(() => client.stop());
  const edit = client.kv.put("config/rate", "20");
  await edit.site;
  const at = await edit.home();
  expect((await ask(hub.http, "GET", "/v1/history/config/rate?limit=1")).body.versions).toMatchObject([
    { text: "20", revision: at },
  ]);
}, 400_000);

test("Q2, Q3: the example of a device twin runs as it stands in its page", async () => {
  const { hub, site } = await hubAndSite(1);
  await anywhere(site, "PUT", "/v1/kv/reported/pump-1", "off");
  const folder = await temporaryFolder();
  await fs.mkdir(path.join(folder, "bin"));
  const script = `#!/bin/sh\nexec "${process.execPath}" "${OPENCLAW}" "$@"\n`;
  await fs.writeFile(path.join(folder, "bin", "openclaw"), script, { mode: 0o755 });
  const env = { ...process.env, HUB: hub.http, SITE: site.http, PATH: `${folder}/bin:${process.env.PATH}` };
  const example = await codeExample("docs/device-twin.md", "device-twin");
  expect(example.split("\n").length).toBeLessThan(60);
  const output = await runScript(example, folder, env);
  expect(output).toContain('"status":"done"');
  expect(output.trim().endsWith("off")).toBe(true);
  expect((await ask(hub.http, "GET", "/v1/kv/reported/pump-1?origin=shop")).body).toBe("on");
}, 500_000);

/** By bash, in a process group of its own; what it printed. */
async function runScript(script: string, cwd: string, env: NodeJS.ProcessEnv): Promise<string> {
  const bash = spawn("bash", ["-euo", "pipefail", "-c", script], {
    cwd,
    env,
    detached: true,
    stdio: ["ignore", "pipe", "inherit"],
  });
  const end = (): void => {
    try {
      process.kill(-(bash.pid ?? 0), "SIGKILL");
    } catch {
      // the group is gone
    }
  };
  onTestFinished(end);
  const late = setTimeout(end, SCRIPT_MS_MAX);
  let output = "";
  bash.stdout.on("data", (text: Buffer) => {
    output += String(text);
  });
  const code = await new Promise((resolve) => bash.once("exit", resolve));
  clearTimeout(late);
  expect([code, output]).toEqual([0, output]);
  return output;
}
