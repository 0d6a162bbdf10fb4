/** axe-core on a page as it stands, and whether it fits its window. */
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import type { AxeResults } from "axe-core";
import type { Page } from "playwright";

const SCRIPT = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");

/** Widths of a desktop and of a small phone, px. */
export const VIEWPORTS = [
  { width: 1_280, height: 900 },
  { width: 360, height: 740 },
];

declare global {
  var axe: { run(where: Document): Promise<AxeResults> };
}

/** One line each: the rule, and where it is broken. */
export async function violations(page: Page): Promise<readonly string[]> {
  // Not a script element: the page's policy lets none in.
  await page.evaluate(SCRIPT);
  const { violations: found, passes } = await page.evaluate(() => globalThis.axe.run(document));
  if (passes.length === 0) throw new Error("axe looked at nothing");
  return found.flatMap(({ id, nodes }) =>
    nodes.map(({ target, failureSummary }) => `${id} ${target}: ${failureSummary}`),
  );
}

/** What reaches over the right edge of the window; empty where nothing needs scrolling sideways. */
export function overflowing(page: Page): Promise<readonly string[]> {
  return page.evaluate(() => {
    const width = document.documentElement.clientWidth;
    if (document.documentElement.scrollWidth <= width) return [];
    return [...document.querySelectorAll("body *")]
      .filter((element) => element.getBoundingClientRect().right > width)
      .map((element) => `${element.tagName} ${element.id || element.className}`);
  });
}
