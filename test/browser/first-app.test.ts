/**
 * docs/first-app.md, as a newcomer does it: the packages packed, installed into a fresh Vite app, the page's example pasted,
 * type-checked, run by the development server and built; against a real site, in Chromium.
 */

import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdir, mkdtemp, readdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { BrowserContext, Page } from "playwright";
import { afterAll, beforeAll, expect, test } from "vitest";
import { Fleet } from "../../demo/fleet.ts";
import { freePorts } from "../../demo/ports.ts";
import { codeExample } from "../integration/readme.ts";
import { complaints, launchChromium } from "./chromium.ts";

const CLIMB_MS = 60_000;
const PAGE = "docs/first-app.md";

/** Types that were lost on the way would be `any`, and nothing would be wrong with this. */
const MISTYPED = `import { openClaw } from "@openclaw/browser";
const app = await openClaw({ gateways: [], automergeWasm: "" });
// @ts-expect-error: a link is in no such state
export const link: "sideways" = app.status().link;
`;

let folder: string;
let app: string;
let fleet: Fleet;
let context: BrowserContext;
let server: ChildProcess | undefined;

const PACK = fileURLToPath(new URL("../../scripts/pack.mjs", import.meta.url));
const VITE = "node_modules/vite/bin/vite.js";
const TSC = "node_modules/typescript/bin/tsc";

/** A program of the app's own. */
const run = (...args: string[]) => execFileSync(process.execPath, args, { cwd: app, stdio: "inherit" });

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "openclaw-first-app-"));
  app = join(folder, "app");
  await mkdir(join(app, "src"), { recursive: true });
  fleet = await Fleet.open({
    folder: join(folder, "fleet"),
    page: join(app, "dist"),
    ports: "any",
    fresh: true,
    sites: [{ name: "california", networks: ["ci"] }],
    report: () => {},
  });
  const [gateway = ""] = fleet.site("california").urls;
  const packed = execFileSync(process.execPath, [PACK, join(folder, "packages")], { encoding: "utf8" });
  await freshApp(packed.trim().split("\n"));
  await writeFile(join(app, "src/main.ts"), await codeExample(PAGE, "first-app"));
  const config = (await codeExample(PAGE, "first-app-vite")).replace("http://127.0.0.1:8111", gateway);
  await writeFile(join(app, "vite.config.ts"), config);
  execFileSync(
    "npm",
    ["install", "--prefer-offline", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"],
    {
      cwd: app,
      stdio: "inherit",
    },
  );
  context = await launchChromium(join(folder, "profile"));
  await fleet.start();
});
afterAll(async () => {
  await context?.close();
  if (server?.kill() === true) await once(server, "exit");
  await fleet?.stop();
  await rm(folder, { recursive: true, force: true });
});

/** What `npm create vite` makes, as far as it matters here, with our tarballs in the place of the registry's packages. */
async function freshApp(tarballs: readonly string[]): Promise<void> {
  const [core = "", browser = ""] = tarballs;
  const manifest = {
    name: "tasks",
    private: true,
    type: "module",
    dependencies: { "@openclaw/browser": `file:${browser}`, "@automerge/automerge": "3.5.0" },
    devDependencies: { typescript: "7.0.2", vite: "8.3.8" },
    overrides: { "@openclaw/core": `file:${core}` },
  };
  await writeFile(join(app, "package.json"), JSON.stringify(manifest));
  await writeFile(
    join(app, "index.html"),
    '<!doctype html><html lang="en"><title>Tasks</title><link rel="icon" href="data:,"><body><script type="module" src="/src/main.ts"></script></body></html>',
  );
  const compilerOptions = {
    ...{ target: "ES2024", module: "ESNext", moduleResolution: "bundler", lib: ["ES2024", "DOM", "DOM.Iterable"] },
    ...{ types: ["vite/client"], strict: true, noEmit: true, verbatimModuleSyntax: true, skipLibCheck: true },
  };
  await writeFile(join(app, "tsconfig.json"), JSON.stringify({ compilerOptions, include: ["src"] }));
}

async function addTask(page: Page, text: string): Promise<void> {
  await page.getByLabel("New task").fill(text);
  await page.getByRole("button", { name: "Add" }).click();
}
const says = (page: Page) => expect.poll(() => page.getByRole("status").textContent(), { timeout: CLIMB_MS });

test("what is installed has JavaScript and declarations, and no sources of ours", async () => {
  for (const name of ["core", "browser"]) {
    const files = await readdir(join(app, "node_modules/@openclaw", name), { recursive: true });
    expect(files.filter((file) => file.endsWith(".ts") && !file.endsWith(".d.ts"))).toEqual([]);
    expect(files.length).toBeGreaterThan(10);
  }
  await writeFile(join(app, "src/mistyped.ts"), MISTYPED);
  run(TSC, "-p", ".");
});

test("the example runs in Vite's development server, and its edit reaches the hub", async () => {
  const [port = 0] = await freePorts([null]);
  server = spawn(process.execPath, [VITE, "--port", String(port), "--strictPort", "--host", "127.0.0.1"], {
    cwd: app,
    stdio: "ignore",
  });
  const url = `http://127.0.0.1:${port}/`;
  await expect
    .poll(
      () =>
        fetch(url).then(
          (response) => response.ok,
          () => false,
        ),
      { timeout: CLIMB_MS },
    )
    .toBe(true);
  const page = await context.newPage();
  await page.goto(url);
  await addTask(page, "Feed the cat");
  await page.getByLabel("Feed the cat").check();
  await says(page).toBe("online; all my edits are at the hub");
  await page.close();
});

test("built by Vite and served by a gateway it shows the same, and works with every gateway dead", async () => {
  run(VITE, "build", "--logLevel", "warn");
  const page = await context.newPage();
  const found = complaints(page);
  await page.goto(fleet.site("california").urls[1] ?? "");
  const cat = page.getByLabel("Feed the cat");
  await expect.poll(() => cat.isChecked(), { timeout: CLIMB_MS }).toBe(true);
  await Promise.all(fleet.site("california").nodes.map((node) => node.kill()));
  await addTask(page, "Water the plants");
  await says(page).toMatch(/^connecting; [1-9]\d* not yet at the hub$/);
  await expect.poll(() => page.getByRole("listitem").allTextContents()).toEqual([" Feed the cat", " Water the plants"]);
  expect(found).toEqual([]);
});

test("it is under 60 lines", async () => {
  expect((await codeExample(PAGE, "first-app")).trimEnd().split("\n").length).toBeLessThan(60);
});
