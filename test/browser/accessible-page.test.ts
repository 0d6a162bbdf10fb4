/** The page for everybody: keyboard, screen reader, small windows, light and dark; and as an app that is installed. */
import type { Page } from "playwright";
import { beforeEach, expect, test } from "vitest";
import * as z from "zod";
import { overflowing, VIEWPORTS, violations } from "./axe.ts";
import { deadSitePage } from "./dead-site-page.ts";

/** Ms for the page to show what it knows, on a busy machine. */
const DRAWN_MS = 30_000;

const at = deadSitePage();
let page: Page;

beforeEach(async () => {
  page = await at.context.newPage();
  await page.goto(at.server.url);
  await page.waitForFunction(() => globalThis.openclawDemo !== undefined);
});

const background = (): Promise<string> =>
  page.evaluate(() => getComputedStyle(document.documentElement).backgroundColor);
const LIGHT = "rgb(245, 246, 244)";
const DARK = "rgb(20, 24, 27)";

test("axe finds nothing, in light and dark, wide and at 360 px; and nothing reaches over the edge", async () => {
  const word = "unbreakable".repeat(20);
  await page.getByLabel("Text of the shift log").pressSequentially(`Pump 2 is loud. ${word}`);
  await expect.poll(() => page.locator("#unsafe-list").textContent(), { timeout: DRAWN_MS }).toContain("unbreakable");
  for (const viewport of VIEWPORTS) {
    await page.setViewportSize(viewport);
    for (const theme of ["light", "dark"]) {
      await page.getByLabel("Theme").selectOption(theme);
      expect(await background()).toBe(theme === "light" ? LIGHT : DARK);
      expect(await violations(page), `${theme}, ${viewport.width} px`).toEqual([]);
    }
    expect(await overflowing(page), `${viewport.width} px`).toEqual([]);
  }
});

test("axe and the look at the edge see an offender", async () => {
  await page.evaluate(() => {
    const bad = document.createElement("p");
    bad.innerHTML = '<input class="unnamed"><span class="faint">faint</span>';
    bad.id = "bad";
    bad.style.width = "5000px";
    const faint = bad.querySelector("span");
    if (faint !== null) faint.style.color = "#ccc";
    document.querySelector("main")?.append(bad);
  });
  const found = await violations(page);
  expect(found.filter((line) => line.startsWith("label .unnamed"))).toHaveLength(1);
  expect(found.filter((line) => line.startsWith("color-contrast .faint"))).toHaveLength(1);
  expect(await overflowing(page)).toContain("P bad");
});

test("the page is as light or dark as the device, until the person chooses; the choice outlives a reload", async () => {
  await page.emulateMedia({ colorScheme: "dark" });
  expect(await background()).toBe(DARK);
  await page.emulateMedia({ colorScheme: "light" });
  expect(await background()).toBe(LIGHT);
  await page.getByLabel("Theme").selectOption("dark");
  expect(await background()).toBe(DARK);
  await page.reload();
  await expect.poll(background, { timeout: DRAWN_MS }).toBe(DARK);
  expect(await page.getByLabel("Theme").inputValue()).toBe("dark");
  const bars = () =>
    page
      .locator("meta[name=theme-color]")
      .evaluateAll((metas) =>
        metas
          .filter((meta) => matchMedia((meta as HTMLMetaElement).media).matches)
          .map((meta) => meta.getAttribute("content")),
      );
  expect(await bars()).toEqual(["#14181b"]);
  await page.getByLabel("Theme").selectOption("device");
  expect(await bars()).toEqual(["#f5f6f4"]);
  expect(await background()).toBe(LIGHT);
});

test("by keyboard alone: the first key leads to the log, what has the focus shows it, and Tab leaves the text", async () => {
  await page.keyboard.press("Tab");
  expect(await page.evaluate(() => document.activeElement?.textContent)).toBe("Skip to the shift log");
  const top = await page.evaluate(() => document.activeElement?.getBoundingClientRect().top);
  expect(top).toBeGreaterThanOrEqual(0);
  await page.keyboard.press("Enter");
  await page.keyboard.type("By keys.");
  await expect.poll(() => page.evaluate(() => globalThis.openclawDemo?.text())).toBe("By keys.");
  await page.keyboard.press("Tab");
  const focused = await page.evaluate(() => {
    const { activeElement } = document;
    if (activeElement === null) return null;
    const { outlineStyle, outlineWidth } = getComputedStyle(activeElement);
    return { name: activeElement.id, outlineStyle, outlineWidth };
  });
  expect(focused).toEqual({ name: "name", outlineStyle: "solid", outlineWidth: "3px" });
});

test("the banner says what is not yet safe and since when; a screen reader hears once what lasts", async () => {
  const heard = await page.evaluateHandle(() => {
    const said: string[] = [];
    const region = document.querySelector("#announcer");
    if (region === null) throw new Error("no live region");
    new MutationObserver(() => said.push(region.textContent ?? "")).observe(region, { childList: true });
    return said;
  });
  const before = Math.floor(Date.now() / 1_000) * 1_000;
  await page.getByLabel("Text of the shift log").pressSequentially("Pump 2 is loud.");
  const line = page.locator("#unsafe-list li");
  await expect
    .poll(() => line.locator(".what").allTextContents(), { timeout: DRAWN_MS })
    .toEqual(["+ Pump 2 is loud."]);
  expect(await line.locator(".rung").textContent()).toBe("device");
  expect(await line.locator(".where").textContent()).toMatch(/^\d+ changes on this device only, since \d/);
  const since = Date.parse((await line.locator("time").getAttribute("datetime")) ?? "");
  expect(since).toBeGreaterThanOrEqual(before);
  expect(since).toBeLessThanOrEqual(Date.now());
  const said = () => heard.evaluate((list) => list);
  await expect.poll(said, { timeout: DRAWN_MS }).toEqual(["Some of my changes are on this device only"]);
  const where = await line.locator(".where").textContent();
  await page.getByLabel("Text of the shift log").pressSequentially(" Louder.");
  await expect.poll(() => line.locator(".where").allTextContents(), { timeout: DRAWN_MS }).not.toContain(where);
  expect(await said()).toHaveLength(1);
});

const manifestFile = z.object({
  name: z.string().min(1),
  start_url: z.literal("/"),
  display: z.literal("standalone"),
  icons: z.array(z.object({ src: z.string(), sizes: z.string(), purpose: z.enum(["any", "maskable"]) })),
});

test("the browser offers to install it: nothing is missing, and every icon is as large as it says", async () => {
  await page.evaluate(() => navigator.serviceWorker.ready);
  const cdp = await at.context.newCDPSession(page);
  const { url, errors, data } = await cdp.send("Page.getAppManifest");
  expect(errors).toEqual([]);
  expect(new URL(url).pathname).toBe("/manifest.webmanifest");
  const { icons } = manifestFile.parse(JSON.parse(data ?? ""));
  expect((await cdp.send("Page.getInstallabilityErrors")).installabilityErrors).toEqual([]);
  for (const purpose of ["any", "maskable"]) {
    const sizes = icons.filter((icon) => icon.purpose === purpose).map((icon) => icon.sizes);
    expect(sizes).toEqual(expect.arrayContaining(["192x192", "512x512"]));
  }
  const drawn = await page.evaluate(
    async (sources) => {
      const sizes: string[] = [];
      for (const source of sources) {
        const image = new Image();
        image.src = source;
        await image.decode();
        sizes.push(`${image.naturalWidth}x${image.naturalHeight}`);
      }
      return sizes;
    },
    icons.filter(({ sizes }) => sizes !== "any").map(({ src }) => src),
  );
  expect(drawn).toEqual(icons.flatMap(({ sizes }) => (sizes === "any" ? [] : [sizes])));
});

test("installed, it opens with the network gone: the shell and the text are on the device", async () => {
  await page.waitForFunction(() => navigator.serviceWorker.controller !== null);
  await page.getByLabel("Text of the shift log").pressSequentially("Before.");
  await page.waitForFunction(
    () => globalThis.openclawDemo?.text() === "Before." && globalThis.openclawDemo.unstored() === 0,
  );
  await at.server.stop();
  await at.context.setOffline(true);
  await page.goto(`${at.server.url}/`);
  await page.waitForFunction(() => globalThis.openclawDemo !== undefined);
  expect(await page.getByLabel("Text of the shift log").inputValue()).toBe("Before.");
  await expect.poll(() => page.locator("#link").textContent(), { timeout: DRAWN_MS }).toBe("This device is offline");
  const icon = await page.evaluate(
    async () => (await fetch("/icon-192.png")).ok && (await fetch("/manifest.webmanifest")).ok,
  );
  expect(icon).toBe(true);
});
