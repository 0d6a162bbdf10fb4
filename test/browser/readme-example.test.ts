/** The README's example for an app, as it stands there: built by Vite, served by a gateway, run in Chromium. */
import { execFileSync } from "node:child_process";
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "vite";
import { afterAll, beforeAll, expect, test } from "vitest";
import { Fleet } from "../../demo/fleet.ts";
import { readmeExample } from "../integration/readme.ts";
import { launchChromium } from "./chromium.ts";

const CLIMB_MS = 30_000;
const WORKSPACE = fileURLToPath(new URL("../../browser", import.meta.url));

const TSC = fileURLToPath(new URL("../../node_modules/typescript/bin/tsc", import.meta.url));
const TSCONFIG = JSON.stringify({
  extends: "../tsconfig.json",
  compilerOptions: { types: ["vite/client"], typeRoots: ["../../node_modules"] },
  include: ["app.ts"],
});

let folder: string;
let fleet: Fleet;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "openclaw-readme-"));
  const page = join(folder, "page");
  await mkdir(page);
  fleet = await Fleet.open({
    folder: join(folder, "fleet"),
    page,
    ports: "any",
    fresh: true,
    sites: [{ name: "california", networks: ["ci"] }],
    report: () => {},
  });
  const [gateway = ""] = fleet.site("california").urls;
  // Inside the workspace, where the package's name leads to it.
  const source = await mkdtemp(join(WORKSPACE, "example-"));
  try {
    const example = (await readmeExample("browser")).replace("http://127.0.0.1:8101", gateway);
    await writeFile(join(source, "app.ts"), `${example}\ndocument.title = "all quiet, at the hub";\n`);
    await writeFile(
      join(source, "index.html"),
      `<!doctype html><title>…</title><script type="module" src="./app.ts"></script>`,
    );
    await writeFile(join(source, "tsconfig.json"), TSCONFIG);
    execFileSync(process.execPath, [TSC, "-p", source], { stdio: "inherit" });
    await build({
      root: source,
      configFile: false,
      logLevel: "error",
      build: { outDir: page, target: "es2024", modulePreload: { polyfill: false } },
    });
  } finally {
    await rm(source, { recursive: true, force: true });
  }
  await fleet.start();
});
afterAll(async () => {
  await fleet?.stop();
  await rm(folder, { recursive: true, force: true });
});

test("README: the developer's example reaches the hub", async () => {
  const context = await launchChromium(join(folder, "profile"));
  try {
    const page = await context.newPage();
    const logged: string[] = [];
    const errors: string[] = [];
    page.on("console", (message) => logged.push(message.text()));
    page.on("pageerror", (error) => errors.push(String(error)));
    await page.goto(fleet.site("california").urls[0] ?? "");
    await expect.poll(() => page.title(), { timeout: CLIMB_MS }).toBe("all quiet, at the hub");
    expect(logged).toContain("07:12 all quiet");
    expect(errors).toEqual([]);
  } finally {
    await context.close();
  }
});
