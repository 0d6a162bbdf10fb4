/** What a page waits for before its first document opens, and what it loads beside that. */
import { rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { Page, Route } from "playwright";
import { beforeEach, expect, test } from "vitest";
import { weigh } from "../size/weigh.ts";
import { launchChromium } from "./chromium.ts";
import { DEAD_SITE } from "./dead-site.ts";
import { deadSitePage } from "./dead-site-page.ts";
import { serveFolder } from "./static-server.ts";

const LOADED_MS = 60_000;
const LIBP2P = /\/dialer-[\w-]+\.js$/;
const WASM = /\.wasm$/;
const ONLINE = /\/online-[\w-]+\.js$/;
const ERROR_TEXTS = /\/error-texts-[\w-]+\.js$/;

const at = deadSitePage();
let page: Page;

beforeEach(async () => {
  page = await at.context.newPage();
});

/** Requests for such files, which nobody answers until they are let go of: those that came, and those that are to come. */
async function held(pattern: RegExp) {
  const routes: Route[] = [];
  let letGo = false;
  await at.context.route(pattern, (route) => {
    routes.push(route);
    return letGo ? route.continue() : undefined;
  });
  return {
    asked: () => routes.length > 0,
    async letGo() {
      letGo = true;
      await Promise.all(routes.map((route) => route.continue()));
    },
  };
}
const isOpen = (): Promise<boolean> => page.evaluate(() => globalThis.openclawDemo !== undefined);

test("a document opens without libp2p", async () => {
  const libp2p = await held(LIBP2P);
  await page.goto(at.server.url);
  await expect.poll(isOpen, { timeout: LOADED_MS }).toBe(true);
  await expect.poll(libp2p.asked, { timeout: LOADED_MS }).toBe(true);
  await page.getByLabel("Text of the shift log").pressSequentially("Before the network.");
  await expect.poll(() => page.evaluate(() => globalThis.openclawDemo?.unstored())).toBe(0);
});

test("libp2p and Automerge's WebAssembly are loaded side by side, and no document opens without the second", async () => {
  const [libp2p, wasm] = [await held(LIBP2P), await held(WASM)];
  await page.goto(at.server.url);
  // Neither has an answer yet.
  await expect.poll(() => [libp2p.asked(), wasm.asked()], { timeout: LOADED_MS }).toEqual([true, true]);
  expect(await isOpen()).toBe(false);
  await Promise.all([libp2p.letGo(), wasm.letGo()]);
  await expect.poll(isOpen, { timeout: LOADED_MS }).toBe(true);
});

test("an error says its code until its text could be loaded, which each connection tries", async () => {
  let isReachable = false;
  let refused = 0;
  await at.context.route(ERROR_TEXTS, (route) => {
    if (isReachable) return route.continue();
    refused++;
    return route.abort();
  });
  await page.goto(at.server.url);
  await expect.poll(isOpen, { timeout: LOADED_MS }).toBe(true);
  const lastError = () => page.evaluate(() => globalThis.openclawDemo?.client.status().lastError?.message);
  await expect.poll(lastError, { timeout: LOADED_MS }).toMatch(/^unavailable \(/);
  expect(refused).toBeGreaterThan(0);
  isReachable = true;
  await expect.poll(lastError, { timeout: LOADED_MS }).toMatch(/^no majority answered in time/);
});

test("code for a connection that could not be loaded shows, and is loaded at a later try", async () => {
  let isReachable = false;
  await at.context.route(ONLINE, (route) => (isReachable ? route.continue() : route.abort()));
  await page.goto(at.server.url);
  await expect.poll(isOpen, { timeout: LOADED_MS }).toBe(true);
  const lastError = () => page.evaluate(() => globalThis.openclawDemo?.client.status().lastError?.message);
  await expect.poll(lastError, { timeout: LOADED_MS }).toContain("the code for a connection could not be loaded");
  await page.getByLabel("Text of the shift log").pressSequentially("Before the network.");
  await expect.poll(() => page.evaluate(() => globalThis.openclawDemo?.unstored())).toBe(0);
  isReachable = true;
  // The dead gateway is what fails by then.
  await expect.poll(lastError, { timeout: LOADED_MS }).toContain("12D3KooW");
});

test("a browser that was killed at its first visit opens offline: the site's gateways were on the disk", async () => {
  const profile = join(at.folder, "killed");
  const first = await launchChromium(profile);
  const visited = await first.newPage();
  await visited.goto(at.server.url);
  await visited.waitForFunction(() => globalThis.openclawDemo !== undefined);
  await visited.evaluate(() => navigator.serviceWorker.ready);
  await visited.getByLabel("Text of the shift log").pressSequentially("Typed at once.");
  await expect.poll(() => visited.evaluate(() => globalThis.openclawDemo?.unstored())).toBe(0);
  const closed = first.waitForEvent("close");
  const session = await visited.context().newCDPSession(visited);
  await session.send("Browser.crash" as never).catch(() => undefined);
  await closed;
  // Which reaches the disk some seconds late.
  await rm(join(profile, "Default/Local Storage"), { recursive: true, force: true });
  const second = await launchChromium(profile);
  try {
    await second.setOffline(true);
    await at.server.stop();
    const again = await second.newPage();
    await again.goto(at.server.url);
    await again.waitForFunction(() => globalThis.openclawDemo !== undefined, undefined, { timeout: LOADED_MS });
    await expect.poll(() => again.evaluate(() => globalThis.openclawDemo?.text())).toBe("Typed at once.");
  } finally {
    await second.close();
  }
});

test("what is weighed as loaded before the first document opens is what it waits for, no file more and none less", async () => {
  const app = join(at.folder, "app");
  const { files } = await weigh(app);
  const named = (when: string) => files.filter((file) => file.when === when).map(({ name }) => name);
  const entry = files.find(({ modules }) => modules.some((module) => module.includes("first-app")))?.name;
  await writeFile(join(app, "index.html"), `<!doctype html><body><script type="module" src="/${entry}"></script>`);
  const appServer = await serveFolder(app, { "/v1/gateways": DEAD_SITE });
  const later = new Set(named("later"));
  const [answered, waiting] = [new Set<string>(), new Set<string>()];
  await at.context.route(/\.js$/, (route) => {
    const name = new URL(route.request().url()).pathname.slice(1);
    // Nobody answers for what is weighed as loaded later.
    if (later.has(name)) return void waiting.add(name);
    answered.add(name);
    return route.continue();
  });
  try {
    await page.goto(appServer.url);
    await page.getByRole("heading", { name: "Tasks" }).waitFor({ timeout: LOADED_MS });
    await page.getByLabel("New task").fill("before the network");
    await page.getByRole("button", { name: "Add" }).click();
    await page.getByLabel("before the network").waitFor();
    expect([...answered].sort()).toEqual(named("first").sort());
    await expect
      .poll(() => [...waiting].map((name) => name.replace(/^assets\/|-[\w-]{8}\.js$/g, "")).sort())
      .toEqual(["error-texts", "online", "open-tab-site", "outbox-transfer", "worker-copy"]);
  } finally {
    await appServer.stop();
  }
});
