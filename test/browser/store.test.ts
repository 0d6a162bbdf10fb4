import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { Page } from "playwright";
import { build } from "vite";
import { afterAll, beforeAll, expect, test } from "vitest";
import { launchChromium } from "./chromium.ts";
import { type StaticServer, serveFolder } from "./static-server.ts";

interface StoreTest {
  write(from: number, count: number): Promise<void>;
  read(): Promise<{ seqs: number[]; next: number; mirror: number[][] }>;
}
declare const storeTest: StoreTest;

let folder: string;
let server: StaticServer;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "openclaw-store-"));
  await build({
    configFile: false,
    logLevel: "warn",
    publicDir: false,
    build: {
      target: "es2024",
      outDir: join(folder, "page"),
      emptyOutDir: true,
      lib: {
        entry: fileURLToPath(new URL("store-page.ts", import.meta.url)),
        formats: ["es"],
        fileName: () => "store.js",
      },
    },
  });
  await writeFile(join(folder, "page/index.html"), `<!doctype html><script type="module" src="/store.js"></script>`);
  server = await serveFolder(join(folder, "page"));
});

afterAll(async () => {
  await server.stop();
  await rm(folder, { recursive: true, force: true });
});

async function openPage(context: Awaited<ReturnType<typeof launchChromium>>): Promise<Page> {
  const page = await context.newPage();
  await page.goto(server.url);
  await page.waitForFunction(() => "storeTest" in globalThis);
  return page;
}

test("S1: what was written in Chromium is there after the browser was killed", async () => {
  const profile = join(folder, "profile");
  const first = await launchChromium(profile);
  const page = await openPage(first);
  await page.evaluate(() => storeTest.write(1, 20));
  const closed = first.waitForEvent("close");
  // Not a closing: the process is gone before it can flush anything. That the disk has it is `strict`'s own promise.
  const session = await page.context().newCDPSession(page);
  await session.send("Browser.crash" as never).catch(() => undefined);
  await closed;

  const second = await launchChromium(profile);
  try {
    const again = await openPage(second);
    const found = await again.evaluate(() => storeTest.read());
    expect(found.seqs).toEqual(Array.from({ length: 20 }, (_, i) => i + 1));
    expect(found.next).toBe(21);
    expect(found.mirror).toEqual(Array.from({ length: 20 }, (_, i) => [0xff, i + 1]));
  } finally {
    await second.close();
  }
});
