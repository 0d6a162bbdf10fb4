import type { Page } from "playwright";
import { expect, test } from "vitest";
import { complaints } from "./chromium.ts";
import { deadSitePage } from "./dead-site-page.ts";

/** Ms for the page to show what it knows, on a busy machine. */
const DRAWN_MS = 30_000;

const at = deadSitePage();

async function openPage(): Promise<{ page: Page; found: string[] }> {
  const page = await at.context.newPage();
  const found = complaints(page);
  await page.goto(at.server.url);
  await page.waitForFunction(() => globalThis.openclawDemo !== undefined);
  return { page, found };
}

test("S1: typing with no gateway alive is safe on the device, and says so", async () => {
  const { page, found } = await openPage();
  await page.getByLabel("Text of the shift log").pressSequentially("Pump 2 is loud.");
  // What the page says is drawn a moment later than the text.
  const says = (what: string) => expect.poll(() => page.locator(what).first().textContent(), { timeout: DRAWN_MS });
  await says("#edits .what").toBe("+ Pump 2 is loud.");
  await says("#edits .rung").toBe("device");
  await says("#unsafe").toMatch(/^\d+ changes not yet safe at the hub$/);
  await says("#link").toBe("No gateway answers; trying again");
  expect(found).toEqual([]);
});

test("the page reloads with every gateway dead, with its text and what is not yet safe", async () => {
  const { page, found } = await openPage();
  await page.evaluate(() => navigator.serviceWorker.ready);
  await page.waitForFunction(() => navigator.serviceWorker.controller !== null);
  const area = page.getByLabel("Text of the shift log");
  await area.pressSequentially("Before. ");
  // The list of edits is drawn a moment later than the text: what it says is not yet about the last keys.
  await page.waitForFunction(() => {
    const demo = globalThis.openclawDemo;
    return demo?.text() === "Before. " && demo.unstored() === 0;
  });
  await expect
    .poll(async () => new Set(await page.locator("#edits .rung").allTextContents()), { timeout: DRAWN_MS })
    .toEqual(new Set(["device"]));
  const before = await page.evaluate(() => globalThis.openclawDemo?.changeHashes());
  await at.server.stop();
  await page.reload();
  await page.waitForFunction(() => globalThis.openclawDemo !== undefined);
  expect(await area.inputValue()).toBe("Before. ");
  expect(await page.evaluate(() => globalThis.openclawDemo?.changeHashes())).toEqual(before);
  expect(await page.evaluate(() => globalThis.openclawDemo?.unsynced())).toBeGreaterThan(0);
  await area.press("End");
  await area.pressSequentially("After.");
  const text = () => page.evaluate(() => globalThis.openclawDemo?.text());
  await expect.poll(text, { timeout: DRAWN_MS }).toBe("Before. After.");
  expect(found).toEqual([]);
});

test("a run of transactions is applied at its parents' heads, one change each", async () => {
  const { page } = await openPage();
  const { hashes, text, changes } = await page.evaluate(async () => {
    const demo = globalThis.openclawDemo;
    if (demo === undefined) throw new Error("no page");
    const first = await demo.playRun([{ patches: [[0, 0, "ac"]], parents: [] }]);
    const beside = await demo.playRun([
      { patches: [[1, 0, "b"]], parents: first },
      // Does not see the b.
      {
        patches: [
          [2, 0, "d"],
          [3, 0, "e"],
        ],
        parents: first,
      },
    ]);
    const [merged] = await demo.playRun([{ patches: [[0, 1, "A"]], parents: beside }]);
    return { hashes: [...first, ...beside, merged], text: demo.text(), changes: demo.changeHashes() };
  });
  expect(text).toBe("Abcde");
  expect(new Set(hashes).size).toBe(4);
  // The first is the empty text itself.
  expect(changes).toHaveLength(5);
});
