/** Somebody types in a page, in Chromium, while others' changes of the same long text arrive from a real gateway. */
import { fileURLToPath } from "node:url";
import * as Automerge from "@automerge/automerge";
import type { Client } from "@openclaw/core/client/client.ts";
import { openClaw } from "@openclaw/edge-runtime/client.ts";
import type { Page } from "playwright";
import { buildTestPage } from "./build-test-page.ts";
import { complaints } from "./chromium.ts";
import { pageAtNode } from "./served-page.ts";
import { traceTasks } from "./task-trace.ts";
import { COLLECTION, DOCUMENT, INSERTED, TEXT } from "./typing-document.ts";

const PAGE = fileURLToPath(new URL("./typing-page", import.meta.url));
/** Prime, so that changes fall all over the text. */
const STRIDE = 7_919;
/** Between two keys, ms. */
const KEY_MS = 10;
const WAIT_MS = 120_000;

export interface Typing {
  readonly seen: ReturnType<typeof globalThis.typingPage.seen>;
  /** CPU of each task of the page's main thread until they showed, ms. */
  readonly taskCpuMs: readonly number[];
  /** Keys pressed. */
  readonly keys: number;
  /** What the page shows at last, and what the one who made the changes does. */
  readonly texts: readonly [string, string];
  readonly complaints: readonly string[];
}

/** @param changes of others, made offline, that come at once */
export async function typeWhileChangesArrive(changes: number): Promise<Typing> {
  const served = await pageAtNode((folder) => buildTestPage(PAGE, folder));
  try {
    const writer = await openClaw({ gateways: served.gateways });
    try {
      const { context } = await served.device();
      return await observe(await context.newPage(), served.node.http, writer, changes);
    } finally {
      await writer.stop();
    }
  } finally {
    await served.stop();
  }
}

async function observe(page: Page, url: string, writer: Client, changes: number): Promise<Typing> {
  const found = complaints(page);
  const handle = await writer.docs.open<{ text: string }>(COLLECTION, DOCUMENT, { initial: { text: TEXT } });
  await Promise.all(handle.heads().map((hash) => handle.settled(hash, "site")));
  await page.goto(url);
  await page.waitForFunction((text) => globalThis.typingPage?.text() === text, TEXT, { timeout: WAIT_MS });
  writer.goOffline();
  for (let i = 0; i < changes; i++) {
    handle.change((doc) => Automerge.splice(doc, ["text"], (i * STRIDE) % TEXT.length, 0, INSERTED));
    // Each a row, and a revision, of its own.
    await new Promise((resolve) => setImmediate(resolve));
  }
  await page.evaluate(() => globalThis.typingPage.begin());
  const traced = await traceTasks(page);
  const area = page.getByLabel("Typed");
  writer.goOnline();
  let keys = 0;
  for (; (await page.evaluate(() => globalThis.typingPage.others())) < changes; keys++)
    await area.pressSequentially(".", { delay: KEY_MS });
  const taskCpuMs = await traced();
  const seen = await page.evaluate(() => globalThis.typingPage.seen());
  const length = TEXT.length + changes * INSERTED.length + keys;
  await page.waitForFunction((whole) => globalThis.typingPage.text().length === whole, length, { timeout: WAIT_MS });
  for (const until = Date.now() + WAIT_MS; handle.doc().text.length < length && Date.now() < until; )
    await new Promise((resolve) => setTimeout(resolve, 50));
  const text = await page.evaluate(() => globalThis.typingPage.text());
  return { seen, taskCpuMs, keys, texts: [text, handle.doc().text], complaints: found };
}
