/** The demo's page, as a person who types into the shift log has it. */
import type { BrowserContext, Locator, Page } from "playwright";
import { expect } from "vitest";
import { complaints } from "./chromium.ts";

/** Ms for a change to get from a browser to the hub and its rung back, on a busy machine. */
export const CLIMB_MS = 30_000;

/** Resolves when the page's documents are open. `found`: what it complains about from then on. */
export async function openPage(context: BrowserContext, url: string): Promise<{ page: Page; found: string[] }> {
  const page = await context.newPage();
  const found = complaints(page);
  await page.goto(url);
  await page.waitForFunction(() => globalThis.openclawDemo !== undefined);
  return { page, found };
}

export const log = (page: Page): Locator => page.getByLabel("Text of the shift log");

/** Resolves when the latest edit holds this text, and is on that rung. */
export const reaches = (page: Page, text: string, rung: string): Promise<void> =>
  expect
    .poll(() => page.locator("#edits li").first().locator(".rung, .what").allTextContents(), { timeout: CLIMB_MS })
    .toEqual([rung, expect.stringContaining(text)]);
