/** `npm run screenshots`: the page over a real fleet, wide and at 360 px, light and dark, into docs/images. */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { type Browser, chromium, type Page } from "playwright";
import { buildPage } from "../build-page.ts";
import { Fleet } from "../fleet.ts";
import { loadQuakes } from "../quakes.ts";
import { SiteClient } from "../site-client.ts";
import { publishSites } from "../site-directory.ts";
import { sitesFor } from "../sites.ts";

const ROOT = fileURLToPath(new URL("../..", import.meta.url));
const SIZES = { desktop: { width: 1_180, height: 860 }, "360": { width: 360, height: 780 } };
const QUAKES = 150;
/** Ms for an edit to get to the hub and its rung back. */
const CLIMB_MS = 60_000;
/** A pause after which the page takes what is typed for another edit, ms. */
const PAUSE_MS = 3_500;
const LOOK_MS = 50;

const folder = await mkdtemp(join(tmpdir(), "openclaw-pictures-"));
const fleet = await Fleet.open({
  folder: join(folder, "fleet"),
  page: await buildPage(),
  ports: "preferred",
  fresh: true,
  sites: sitesFor([]),
  report: (text) => console.log(text),
});
const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM_PATH ?? "/usr/bin/chromium",
  args: ["--no-sandbox", "--disable-gpu"],
});
try {
  await fleet.start();
  await publishSites(fleet);
  await putQuakes();
  await typed(await opened(browser, "alaska", "desktop"), "21:40  Aftershocks west of Homer, all small.\n");
  for (const size of ["desktop", "360"] as const) await photograph(size);
} finally {
  await browser.close();
  await fleet.stop();
  await rm(folder, { recursive: true, force: true });
}

async function putQuakes(): Promise<void> {
  const client = new SiteClient(fleet.site("california").urls);
  const quakes = await loadQuakes(`${ROOT}test/data/earthquakes.json`);
  const first = quakes.filter(({ network, revises }) => network === "ci" && !revises).slice(0, QUAKES);
  for (const { key, value } of first) await client.put(key, value, 0);
}

async function opened(from: Browser, site: string, size: keyof typeof SIZES): Promise<Page> {
  const context = await from.newContext({ viewport: SIZES[size], reducedMotion: "reduce", deviceScaleFactor: 1 });
  const page = await context.newPage();
  await page.goto(fleet.site(site).urls[0] ?? "");
  await page.getByText("Connected to this site").waitFor();
  return page;
}

/** Resolves when the hub has it. */
async function typed(page: Page, text: string): Promise<void> {
  const area = page.getByLabel("Text of the shift log");
  await area.press("Control+End");
  await area.pressSequentially(text);
  await page.getByText("All my changes are safe at the hub").first().waitFor({ timeout: CLIMB_MS });
  await page.waitForTimeout(PAUSE_MS);
}

/** A device at a site whose uplink is down, with somebody else in the log. */
async function photograph(size: keyof typeof SIZES): Promise<void> {
  const page = await opened(browser, "california", size);
  await page.locator("#quakes tr").nth(99).waitFor();
  const area = page.getByLabel("Text of the shift log");
  while (!(await area.inputValue()).includes("Homer")) await page.waitForTimeout(LOOK_MS);
  if (size === "desktop") {
    await typed(page, "22:05  Station CLC is back; its battery was changed.\n");
    await typed(page, "22:31  Pump 2 is loud. Asked for an inspection.\n");
  } else {
    await typed(page, "\n22:58  Inspection of pump 2 is due at 06:00.\n");
  }
  const other = await opened(browser, "california", size);
  await other.getByLabel("My name").fill("Ada");
  await other.getByLabel("Text of the shift log").click();
  await other.keyboard.press("Control+Home");
  await other.keyboard.press("End");
  await page.locator(".caret[data-name=Ada]").waitFor();

  await Promise.all(fleet.hub.nodes.map((node) => node.kill()));
  await area.press("Control+End");
  await area.pressSequentially("23:12  The uplink is down. Writing on.");
  await page.locator("#unsafe-list li:only-child", { hasText: "Writing on." }).locator("[data-rung=site]").waitFor();
  for (const theme of ["light", "dark"]) {
    await page.getByLabel("Theme").selectOption(theme);
    await page.evaluate("scrollTo(0, 0)");
    await page.screenshot({ path: `${ROOT}docs/images/page-${size}-${theme}.png` });
  }
  await page.context().close();
  await other.context().close();
  for (const node of fleet.hub.nodes) node.start();
  await Promise.all(fleet.hub.nodes.map((node) => node.ready()));
}
