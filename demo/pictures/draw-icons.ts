/** `npm run icons`: draws the page's PNG icons from its one SVG. Their files are part of the sources. */
import { readFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { chromium } from "playwright";

const PUBLIC = fileURLToPath(new URL("../page/public/", import.meta.url));
const SIZES = [192, 512];

const picture = await readFile(`${PUBLIC}icon.svg`, "utf8");
const ground = /fill="(#\w+)"/.exec(picture)?.[1];
if (ground === undefined) throw new Error("icon.svg has no ground");
// Platforms cut a maskable icon to a circle of 4/5 of its width at least: the claw is inside that, and the ground fills the rest.
const kinds = { icon: "transparent", "icon-maskable": ground };

const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM_PATH ?? "/usr/bin/chromium",
  args: ["--no-sandbox", "--disable-gpu"],
});
try {
  const page = await browser.newPage();
  for (const size of SIZES) {
    await page.setViewportSize({ width: size, height: size });
    for (const [name, fill] of Object.entries(kinds)) {
      await page.setContent(
        `<style>body { margin: 0; background: ${fill} } svg { display: block; width: 100vw }</style>${picture}`,
      );
      await page.screenshot({ path: `${PUBLIC}${name}-${size}.png`, omitBackground: true });
    }
  }
} finally {
  await browser.close();
}
