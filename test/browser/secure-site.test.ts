/** A gateway with a certificate: the page comes over https, and its worker dials wss. */
import { createHash, X509Certificate } from "node:crypto";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { request } from "node:https";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { loadConfig } from "@openclaw/edge-runtime/config.ts";
import { initCluster } from "@openclaw/edge-runtime/init.ts";
import { type RunningNode, startNode } from "@openclaw/edge-runtime/node.ts";
import { afterAll, beforeAll, expect, test } from "vitest";
import { buildPage } from "../../demo/build-page.ts";
import { freePorts } from "../../demo/ports.ts";
import { complaints, launchChromium } from "./chromium.ts";

const DATA = fileURLToPath(new URL("../data/certificates/", import.meta.url));
/** Ms for an edit to be at the site, on a busy machine. */
const SITE_MS = 30_000;

let folder: string;
let node: RunningNode;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "openclaw-secure-"));
  const [http = 0, p2p = 0, ws = 0] = await freePorts([null, null, null]);
  const { nodes } = await initCluster({
    directory: join(folder, "shop"),
    cluster: "shop",
    nodes: 1,
    host: "127.0.0.1",
    httpPorts: [http],
    p2pPorts: [p2p],
    wsPorts: [ws],
    page: await buildPage(),
    logLevel: "silent",
  });
  const [{ config } = { config: "" }] = nodes;
  // What docs/https.md tells an operator to write.
  const plain = await readFile(config, "utf8");
  const secure = plain.replaceAll("http://", "https://").replaceAll(`/tcp/${ws}/ws`, `/tcp/${ws}/tls/ws`);
  await writeFile(config, `${secure}\ntls:\n  certificate: ${DATA}gateway.crt\n  key: ${DATA}gateway.key\n`);
  node = await startNode(await loadConfig(config));
});
afterAll(async () => {
  await node?.stop();
  await rm(folder, { recursive: true, force: true });
});

/** For Chromium: that one key is trusted, and no other. */
async function trust(certificate: string): Promise<string> {
  const { publicKey } = new X509Certificate(await readFile(certificate));
  const key = publicKey.export({ type: "spki", format: "der" });
  return `--ignore-certificate-errors-spki-list=${createHash("sha256").update(key).digest("base64")}`;
}

async function gateways(): Promise<string> {
  const ca = await readFile(`${DATA}gateway.crt`);
  return new Promise((resolve, reject) => {
    const asked = request(`${node.http}/v1/gateways`, { ca }, (response) => {
      let text = "";
      response.on("data", (chunk) => (text += chunk));
      response.on("end", () => resolve(text));
    });
    asked.on("error", reject).end();
  });
}

test("D7: the page comes over https, its worker dials wss, and an edit reaches the site", async () => {
  expect(node.http).toMatch(/^https:/);
  expect(await gateways()).toMatch(/"\/ip4\/127\.0\.0\.1\/tcp\/\d+\/tls\/ws\/p2p\/12D3/);
  const flags = [await trust(`${DATA}gateway.crt`)];
  const context = await launchChromium(join(folder, "profile"), "allow", flags);
  try {
    const page = await context.newPage();
    const found = complaints(page);
    await page.goto(node.http);
    await page.waitForFunction(() => globalThis.openclawDemo !== undefined);
    await page.getByLabel("Text of the shift log").pressSequentially("Over TLS.");
    const rung = () => page.locator("#edits .rung").first().textContent();
    await expect.poll(rung, { timeout: SITE_MS }).toBe("site");
    expect(found).toEqual([]);
  } finally {
    await context.close();
  }
});
