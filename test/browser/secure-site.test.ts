/** A gateway with a certificate: the page comes over https, and its worker dials wss. */
import { createHash, X509Certificate } from "node:crypto";
import { readFile } from "node:fs/promises";
import { afterAll, beforeAll, expect, test } from "vitest";
import { buildPage } from "../../demo/build-page.ts";
import { CERTIFICATES, gatewaysOf } from "../integration/over-tls.ts";
import { complaints } from "./chromium.ts";
import { type PageAtNode, pageAtNode } from "./served-page.ts";

/** Ms for an edit to be at the site, on a busy machine. */
const SITE_MS = 30_000;

let served: PageAtNode;

beforeAll(async () => {
  served = await pageAtNode(buildPage, {
    tls: { certificate: `${CERTIFICATES}gateway.crt`, key: `${CERTIFICATES}gateway.key` },
  });
});
afterAll(() => served?.stop());

/** For Chromium: that one key is trusted, and no other. */
async function trust(certificate: string): Promise<string> {
  const { publicKey } = new X509Certificate(await readFile(certificate));
  const key = publicKey.export({ type: "spki", format: "der" });
  return `--ignore-certificate-errors-spki-list=${createHash("sha256").update(key).digest("base64")}`;
}

test("D7: the page comes over https, its worker dials wss, and an edit reaches the site", async () => {
  const { node } = served;
  expect(node.http).toMatch(/^https:/);
  expect(await gatewaysOf(node.http)).toMatch(/"\/ip4\/127\.0\.0\.1\/tcp\/\d+\/tls\/ws\/p2p\/12D3/);
  const { context } = await served.device("allow", [await trust(`${CERTIFICATES}gateway.crt`)]);
  const page = await context.newPage();
  const found = complaints(page);
  await page.goto(node.http);
  await page.waitForFunction(() => globalThis.openclawDemo !== undefined);
  await page.getByLabel("Text of the shift log").pressSequentially("Over TLS.");
  const rung = () => page.locator("#edits .rung").first().textContent();
  await expect.poll(rung, { timeout: SITE_MS }).toBe("site");
  expect(found).toEqual([]);
});
