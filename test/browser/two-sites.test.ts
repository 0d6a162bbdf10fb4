/** Two sites of three gateways below one hub, and four tabs, two a site: each tab at a gateway of its own. */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { BrowserContext, Page } from "playwright";
import { afterAll, beforeAll, expect, test } from "vitest";
import { buildPage } from "../../demo/build-page.ts";
import { Fleet } from "../../demo/fleet.ts";
import { launchChromium } from "./chromium.ts";
import { CLIMB_MS, log, openPage, reaches } from "./demo-page.ts";

let folder: string;
let fleet: Fleet;
const contexts: BrowserContext[] = [];

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "openclaw-two-sites-"));
  fleet = await Fleet.open({
    folder: join(folder, "fleet"),
    page: await buildPage(),
    ports: "any",
    fresh: true,
    sites: [
      { name: "california", networks: ["ci", "nc"] },
      { name: "alaska", networks: ["ak"] },
    ],
    report: () => {},
  });
  await fleet.start();
});
afterAll(async () => {
  for (const context of contexts) await context.close();
  await fleet?.stop();
  await rm(folder, { recursive: true, force: true });
});

/** A device of its own at a gateway of a site. */
async function tab(site: string, gateway: number): Promise<{ context: BrowserContext; page: Page; found: string[] }> {
  const context = await launchChromium(join(folder, `${site}-${gateway}`));
  contexts.push(context);
  return { context, ...(await openPage(context, fleet.site(site).urls[gateway] ?? "")) };
}

const shows = (page: Page, text: string): Promise<void> =>
  expect.poll(() => log(page).inputValue(), { timeout: CLIMB_MS }).toBe(text);

test("what is typed at one site shows at the other, with one offline and the other's gateway killed meanwhile", async () => {
  const [california, neighbour] = [await tab("california", 0), await tab("california", 1)];
  const [alaska, other] = [await tab("alaska", 0), await tab("alaska", 1)];
  const pages = [california, neighbour, alaska, other].map(({ page }) => page);
  await log(california.page).fill("From the south. ");
  await reaches(california.page, "From the south.", "hub");
  for (const page of pages) await shows(page, "From the south. ");

  await alaska.context.setOffline(true);
  await alaska.page.getByText("This device is offline").waitFor();
  await log(alaska.page).press("Control+End");
  await log(alaska.page).pressSequentially("From the north.");
  await reaches(alaska.page, "From the north.", "device");
  // The gateway that served a page that goes on typing dies: another one of its site takes over.
  const [served] = fleet.site("california").nodes;
  await served?.kill();
  await log(california.page).press("Control+Home");
  await log(california.page).pressSequentially("Now: ");
  await reaches(california.page, "Now:", "hub");
  await shows(other.page, "Now: From the south. ");
  expect(await log(alaska.page).inputValue()).toBe("From the south. From the north.");

  await alaska.context.setOffline(false);
  await reaches(alaska.page, "From the north.", "hub");
  for (const page of pages) await shows(page, "Now: From the south. From the north.");
  expect([california, neighbour, alaska, other].flatMap(({ found }) => found)).toEqual([]);
});
