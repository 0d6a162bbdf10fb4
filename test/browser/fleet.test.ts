/** The page and the dashboard over a real fleet: a hub and a site of three gateways, each a process. */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { BrowserContext, Page, WebSocket } from "playwright";
import { afterAll, afterEach, beforeAll, expect, test } from "vitest";
import { buildPage } from "../../demo/build-page.ts";
import { type Cluster, Fleet } from "../../demo/fleet.ts";
import { loadQuakes } from "../../demo/quakes.ts";
import { SiteClient } from "../../demo/site-client.ts";
import { publishSites } from "../../demo/site-directory.ts";
import { overflowing, VIEWPORTS, violations } from "./axe.ts";
import { complaints, launchChromium } from "./chromium.ts";
import { CLIMB_MS, log, openPage as openAt, reaches } from "./demo-page.ts";

const QUAKES = 30;

let folder: string;
let fleet: Fleet;
let site: Cluster;
const contexts: BrowserContext[] = [];

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "openclaw-fleet-"));
  const reports: string[] = [];
  fleet = await Fleet.open({
    folder: join(folder, "fleet"),
    page: await buildPage(),
    ports: "any",
    fresh: true,
    sites: [{ name: "california", networks: ["ci", "nc"] }],
    report: (text) => reports.push(text),
  });
  site = fleet.site("california");
  await fleet.start();
  const events = (await loadQuakes("test/data/earthquakes.json")).filter((event) => event.network === "ci");
  const client = new SiteClient(site.urls);
  for (const event of events.filter((event) => !event.revises).slice(0, QUAKES)) {
    await client.put(event.key, event.value, 0);
  }
});
afterEach(async () => {
  for (const context of contexts.splice(0)) await context.close();
});
afterAll(async () => {
  await fleet?.stop();
  await rm(folder, { recursive: true, force: true });
});

async function device(name: string): Promise<BrowserContext> {
  const context = await launchChromium(join(folder, name));
  contexts.push(context);
  return context;
}

const openPage = (context: BrowserContext, gateway: number) => openAt(context, site.urls[gateway] ?? "");

async function openDashboard(): Promise<Page> {
  const page = await (await device("dashboard")).newPage();
  await page.goto(fleet.hub.urls[0] ?? "");
  await page.locator("[data-site=california]").waitFor();
  return page;
}

test("the page shows the site's quakes, and an edit climbs to the hub", async () => {
  const { page, found } = await openPage(await device("one"), 0);
  await page.getByText("Connected to this site").waitFor();
  expect(await page.locator("h1").textContent()).toBe("california");
  await expect.poll(() => page.locator("#quakes tr").count(), { timeout: CLIMB_MS }).toBe(QUAKES);
  await expect.poll(() => page.locator("#map circle").count(), { timeout: CLIMB_MS }).toBe(QUAKES);
  const times = await page
    .locator("#quakes time")
    .evaluateAll((nodes) => nodes.map((node) => node.getAttribute("datetime")));
  expect(times).toEqual(times.toSorted().reverse());

  await log(page).pressSequentially("Pump 2 is loud. ");
  await reaches(page, "Pump 2 is loud.", "hub");
  await expect
    .poll(() => page.locator("#unsafe").textContent(), { timeout: CLIMB_MS })
    .toBe("All my changes are safe at the hub");
  await expect.poll(() => page.evaluate(() => globalThis.openclawDemo?.unsynced()), { timeout: CLIMB_MS }).toBe(0);
  expect(found).toEqual([]);
});

test("every gateway's page is a link in every page, told by the hub; with all of it shown axe finds nothing", async () => {
  await publishSites(fleet);
  const { page, found } = await openPage(await device("links"), 1);
  const sites = page.getByRole("navigation", { name: "Sites" });
  await sites.getByText("Other sites and gateways").click({ timeout: CLIMB_MS });
  const links = sites.getByRole("link");
  expect(await links.evaluateAll((all) => all.map((link) => (link as HTMLAnchorElement).href))).toEqual(
    site.urls.map((url) => `${url}/`),
  );
  expect(await sites.locator("[aria-current=page]").getAttribute("aria-label")).toBe("california, gateway 2");
  expect(await sites.locator(".hint").textContent()).toMatch(/what is not\s+yet safe in this page stays with it/);
  await expect.poll(() => page.locator("#quakes tr").count(), { timeout: CLIMB_MS }).toBe(QUAKES);
  for (const viewport of VIEWPORTS) {
    await page.setViewportSize(viewport);
    for (const theme of ["light", "dark"]) {
      await page.getByLabel("Theme").selectOption(theme);
      expect(await violations(page), `${theme}, ${viewport.width} px`).toEqual([]);
    }
    expect(await overflowing(page), `${viewport.width} px`).toEqual([]);
  }
  await sites.getByRole("link", { name: "california, gateway 1" }).click();
  await page.waitForURL(`${site.urls[0]}/`);
  await page.getByText("Connected to this site").waitFor();
  expect(found).toEqual([]);
});

test("what is typed at one gateway shows at another, and moves no caret", async () => {
  const [one, two] = [await openPage(await device("one"), 0), await openPage(await device("two"), 1)];
  await log(one.page).fill("Begin. End.");
  await expect.poll(() => log(two.page).inputValue(), { timeout: CLIMB_MS }).toBe("Begin. End.");
  // Two stands before "End".
  await log(two.page).evaluate((area: HTMLTextAreaElement) => area.setSelectionRange(7, 7));
  await log(one.page).evaluate((area: HTMLTextAreaElement) => area.setSelectionRange(0, 0));
  await log(one.page).pressSequentially("Now: ");
  await expect.poll(() => log(two.page).inputValue(), { timeout: CLIMB_MS }).toBe("Now: Begin. End.");
  await log(two.page).pressSequentially("The ");
  await expect.poll(() => log(one.page).inputValue(), { timeout: CLIMB_MS }).toBe("Now: Begin. The End.");
  expect([...one.found, ...two.found]).toEqual([]);
});

test("R11: where somebody else is shows as a caret that keeps its place, and is gone when that page is", async () => {
  const [one, two] = [await openPage(await device("one"), 0), await openPage(await device("two"), 1)];
  await log(one.page).fill("Begin. End.");
  await expect.poll(() => log(two.page).inputValue(), { timeout: CLIMB_MS }).toBe("Begin. End.");
  await two.page.getByLabel("My name").fill("Ada");
  await log(two.page).focus();
  await log(two.page).evaluate((area: HTMLTextAreaElement) => area.setSelectionRange(7, 7));
  const caret = one.page.locator(".caret[data-name=Ada]");
  /** What stands before the caret. */
  const before = () => caret.evaluateAll((all) => all.map((element) => element.previousSibling?.textContent));
  await expect.poll(before, { timeout: CLIMB_MS }).toEqual(["Begin. "]);
  expect(await one.page.locator("#others").textContent()).toBe("Also here: Ada");
  // What is written before it moves it along.
  await log(one.page).evaluate((area: HTMLTextAreaElement) => area.setSelectionRange(0, 0));
  await log(one.page).pressSequentially("Now: ");
  await expect.poll(before, { timeout: CLIMB_MS }).toEqual(["Now: Begin. "]);
  const within = await one.page.locator(".surface").evaluate((surface) => {
    const [area, drawn] = [surface.querySelector("textarea"), surface.querySelector(".caret")];
    const [outer, inner] = [area?.getBoundingClientRect(), drawn?.getBoundingClientRect()];
    if (outer === undefined || inner === undefined) return null;
    return inner.left > outer.left && inner.right < outer.right && inner.top > outer.top && inner.bottom < outer.bottom;
  });
  expect(within).toBe(true);
  expect(await violations(one.page)).toEqual([]);
  await two.page.close();
  await expect.poll(() => caret.count(), { timeout: CLIMB_MS }).toBe(0);
  await expect.poll(() => one.page.locator("#others").textContent()).toBe("Nobody else is here");
  expect([...one.found, ...two.found]).toEqual([]);
});

test("who is offline sends nothing, and catches up when back", async () => {
  const context = await device("one");
  const { page } = await openPage(context, 2);
  await page.getByText("Connected to this site").waitFor();
  await context.setOffline(true);
  await page.getByText("This device is offline").waitFor();
  await log(page).press("Control+End");
  await log(page).pressSequentially(" Offline.");
  await reaches(page, "Offline.", "device");
  expect(await page.evaluate(() => globalThis.openclawDemo?.unsynced())).toBeGreaterThan(0);
  await context.setOffline(false);
  await reaches(page, "Offline.", "hub");
});

test("the page reloads with every gateway dead, edits go on, and reach the hub when the site is back", async () => {
  const { page, found } = await openPage(await device("three"), 0);
  await page.evaluate(() => navigator.serviceWorker.ready);
  await page.waitForFunction(() => navigator.serviceWorker.controller !== null);
  await expect.poll(() => page.locator("#quakes tr").count(), { timeout: CLIMB_MS }).toBe(QUAKES);
  // What others wrote comes to a new device a moment later than the quakes; filled before that, it would merge.
  await expect.poll(() => log(page).inputValue(), { timeout: CLIMB_MS }).toContain("Offline.");
  await log(page).fill("Before. ");
  await reaches(page, "Before.", "hub");
  const map = await page.locator("#map circle").count();

  await Promise.all(site.nodes.map((node) => node.kill()));
  await page.reload();
  await page.waitForFunction(() => globalThis.openclawDemo !== undefined);
  expect(await page.locator("h1").textContent()).toBe("california");
  await page.getByText("No gateway answers; trying again").waitFor();
  expect(await log(page).inputValue()).toBe("Before. ");
  await expect.poll(() => page.locator("#quakes tr").count(), { timeout: CLIMB_MS }).toBe(QUAKES);
  await expect.poll(() => page.locator("#map circle").count(), { timeout: CLIMB_MS }).toBe(map);
  // Nor does it need a network.
  await page.context().setOffline(true);
  await page.reload();
  await page.getByText("This device is offline").waitFor();
  await expect.poll(() => log(page).inputValue(), { timeout: CLIMB_MS }).toBe("Before. ");
  await expect.poll(() => page.locator("#quakes tr").count(), { timeout: CLIMB_MS }).toBe(QUAKES);
  await page.context().setOffline(false);
  await page.getByText("No gateway answers; trying again").waitFor();
  await log(page).press("Control+End");
  await log(page).pressSequentially("After.");
  // The list is drawn a moment later than the text: what it says is not yet about the last keys.
  await page.waitForFunction(() => {
    const demo = globalThis.openclawDemo;
    return demo?.text() === "Before. After." && demo.unstored() === 0;
  });
  await reaches(page, "After.", "device");
  // A second reload: what was written with no gateway alive is there, under another page session.
  await page.reload();
  await page.waitForFunction(() => globalThis.openclawDemo !== undefined);
  expect(await log(page).inputValue()).toBe("Before. After.");

  const dashboard = await openDashboard();
  await dashboard.locator("[data-site=california] .state[data-state=down]").waitFor();

  for (const node of site.nodes) node.start();
  await Promise.all(site.nodes.map((node) => node.ready()));
  await reaches(page, "After.", "hub");
  await dashboard.locator("[data-site=california] .state[data-state=up]").waitFor();
  expect(found).toEqual([]);
});

test("the dashboard shows the site: link, leader, members, revision and lag", async () => {
  const page = await openDashboard();
  const found = complaints(page);
  // Roles come by gossip, which the restarts of the tests before may have left behind for some seconds.
  const soon = <T>(look: () => Promise<T>) => expect.poll(look, { timeout: CLIMB_MS });
  const card = page.locator("[data-site=california]");
  await card.getByText("link up").waitFor();
  expect(await page.locator("h1").textContent()).toBe("hub");
  await soon(() => card.locator("tbody tr").count()).toBe(3);
  const fact = (name: string): Promise<string | null> =>
    card
      .locator("dl div", { has: page.getByText(name, { exact: true }) })
      .locator("dd")
      .textContent();
  await soon(() => fact("Leader")).toMatch(/^california-[123]$/);
  await soon(() => fact("Lag")).toBe("0 rev., 0.0 s");
  const status = await (await fetch(`${site.urls[0]}/v1/status`)).json();
  await soon(() => fact("Revision here")).toBe(status.revision.toLocaleString("en"));
  await soon(() => card.locator("tr[data-state=leader]").count()).toBe(1);
  await soon(() => page.locator("#fresh").getAttribute("data-state")).toBe("fresh");
  expect(found).toEqual([]);
});

test("X1: a link that is let go of closes its socket: a browser opens no more than 255", async () => {
  const context = await device("sockets");
  const page = await context.newPage();
  const sockets: WebSocket[] = [];
  page.on("websocket", (socket) => sockets.push(socket));
  await page.goto(site.urls[0] ?? "");
  await page.getByText("Connected to this site").waitFor();
  for (let round = 1; round <= 3; round++) {
    await context.setOffline(true);
    await page.getByText("This device is offline").waitFor();
    await context.setOffline(false);
    await page.getByText("Connected to this site").waitFor();
    await expect.poll(() => sockets.length, { timeout: CLIMB_MS }).toBeGreaterThan(round);
  }
  // A closing handshake needs the network: sockets that were closed while offline are gone soon after.
  const open = (): number => sockets.filter((socket) => !socket.isClosed()).length;
  await expect.poll(open, { timeout: CLIMB_MS }).toBe(1);
});
