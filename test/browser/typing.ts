/** Somebody types in a page, in Chromium, while others' changes of the same long text arrive from a real gateway. */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import * as Automerge from "@automerge/automerge";
import type { Client } from "@openclaw/core/client/client.ts";
import { openClaw } from "@openclaw/edge-runtime/client.ts";
import { loadConfig } from "@openclaw/edge-runtime/config.ts";
import { initCluster } from "@openclaw/edge-runtime/init.ts";
import { startNode } from "@openclaw/edge-runtime/node.ts";
import type { Page } from "playwright";
import { freePorts } from "../../demo/ports.ts";
import { buildTestPage } from "./build-test-page.ts";
import { complaints, launchChromium } from "./chromium.ts";
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
  const folder = await mkdtemp(join(tmpdir(), "openclaw-typing-"));
  const undo: (() => Promise<unknown>)[] = [() => rm(folder, { recursive: true, force: true })];
  try {
    const [http = 0, p2p = 0, ws = 0] = await freePorts([null, null, null]);
    const dist = join(folder, "page");
    await buildTestPage(PAGE, dist);
    const { nodes } = await initCluster({
      directory: join(folder, "shop"),
      cluster: "shop",
      nodes: 1,
      host: "127.0.0.1",
      httpPorts: [http],
      p2pPorts: [p2p],
      wsPorts: [ws],
      page: dist,
      logLevel: "silent",
    });
    const [made] = nodes;
    if (made === undefined) throw new Error("one node was laid out");
    const node = await startNode(await loadConfig(made.config));
    undo.push(() => node.stop());
    const writer = await openClaw({ gateways: [...made.addresses] });
    undo.push(() => writer.stop());
    const context = await launchChromium(join(folder, "profile"));
    undo.push(() => context.close());
    return await observe(await context.newPage(), node.http, writer, changes);
  } finally {
    for (const step of undo.reverse()) await step();
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
