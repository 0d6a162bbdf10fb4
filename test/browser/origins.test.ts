/** Two gateways of one site are two origins of a device: what waits at the one, a page of the other tells. */
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import type { BrowserContext, Page } from "playwright";
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from "vitest";
import { violations } from "./axe.ts";
import { complaints } from "./chromium.ts";
import { type PageAtSite, pageAtSite } from "./served-page.ts";

/** Ms for a page to see what another origin says, and for what waits to arrive, on a busy machine. */
const TOLD_MS = 60_000;

let served: PageAtSite;
let context: BrowserContext;

beforeAll(async () => {
  served = await pageAtSite();
});
beforeEach(async () => {
  ({ context } = await served.device());
});
afterEach(() => context.close());
afterAll(() => served?.stop());

async function openPage(gateway: number): Promise<Page> {
  const page = await context.newPage();
  await page.goto(served.site.urls[gateway] ?? "");
  await page.waitForFunction(() => globalThis.openclawDemo !== undefined);
  return page;
}

/** Types with no network: it is on this device, at the origin of that gateway. */
async function typeOffline(page: Page, text: string): Promise<void> {
  await expect.poll(() => page.locator("#link").textContent(), { timeout: TOLD_MS }).toBe("Connected to this site");
  await context.setOffline(true);
  await page.getByLabel("Text of the shift log").pressSequentially(text);
  await page.waitForFunction(() => {
    const demo = globalThis.openclawDemo;
    return demo !== undefined && demo.unstored() === 0 && demo.unsynced() > 0;
  });
  await expect.poll(() => page.evaluate(() => document.cookie)).toContain("openclaw-unsynced.");
}

const notice = (page: Page) => page.locator("#elsewhere");

test("the gateway that served the page is killed: the page of another says what waits where, until it is sent", async () => {
  const first = await openPage(0);
  await typeOffline(first, "Pump 2 is loud. ");
  await first.close();
  const [node] = served.site.nodes;
  await node?.kill();
  await context.setOffline(false);

  const second = await openPage(1);
  const found = complaints(second);
  const origin = new URL(served.site.urls[0] ?? "").origin;
  await expect
    .poll(() => notice(second).textContent(), { timeout: TOLD_MS })
    .toMatch(/^\d+ edits? waits? on this device/);
  const link = notice(second).getByRole("link");
  expect(await link.evaluate((a: HTMLAnchorElement) => a.origin)).toBe(origin);
  expect(await violations(second)).toEqual([]);
  expect(await second.evaluate(() => globalThis.openclawDemo?.text())).not.toContain("Pump 2 is loud.");

  node?.start();
  await node?.ready();
  const again = await openPage(0);
  await expect.poll(() => again.evaluate(() => globalThis.openclawDemo?.unsynced()), { timeout: TOLD_MS }).toBe(0);
  const text = () => second.evaluate(() => globalThis.openclawDemo?.text());
  await expect.poll(text, { timeout: TOLD_MS }).toContain("Pump 2 is loud.");
  await expect.poll(() => notice(second).isHidden(), { timeout: TOLD_MS }).toBe(true);
  expect(await second.evaluate(() => document.cookie)).toBe("");
  expect(found).toEqual([]);
}, 240_000);

test("what waits at one origin is saved to a file there, and a page of another takes it in", async () => {
  const first = await openPage(0);
  await typeOffline(first, "Valve 7 drips. ");
  await first.getByText("Save what waits").click();
  const downloading = first.waitForEvent("download");
  await first.getByRole("button", { name: "Save it to a file" }).click();
  const file = join(served.folder, "what-waits.openclaw");
  await (await downloading).saveAs(file);
  expect((await readFile(file)).subarray(0, 17).toString()).toBe("openclaw outbox 1");
  await first.close();
  await context.setOffline(false);
  const second = await openPage(1);
  await second.getByText("Save what waits").click();
  await second.getByLabel("Take in a saved file").setInputFiles(file);
  const text = () => second.evaluate(() => globalThis.openclawDemo?.text());
  await expect.poll(text, { timeout: TOLD_MS }).toContain("Valve 7 drips.");
  await expect.poll(() => second.evaluate(() => globalThis.openclawDemo?.unsynced()), { timeout: TOLD_MS }).toBe(0);
}, 240_000);
