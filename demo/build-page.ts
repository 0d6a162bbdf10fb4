/** Builds the page that each gateway serves, if its sources changed since the last build. */
import { createHash } from "node:crypto";
import { existsSync } from "node:fs";
import { mkdir, readdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import { join, relative } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "vite";

const ROOT = fileURLToPath(new URL("..", import.meta.url));
const PAGE = join(ROOT, "demo/page");
const DIST = join(PAGE, "dist");
/** Whatever the page is made of. */
const SOURCES = ["demo/page", "browser", "core", "package-lock.json"];

/** The folder to serve at `/`. Safe to call from several processes at once: each builds aside and swaps it in whole. */
export async function buildPage(): Promise<string> {
  const stamp = await hashSources();
  if (await isCurrent(stamp)) return DIST;
  const aside = join(PAGE, `.build-${process.pid}.tmp`);
  const replaced = `${aside}-old.tmp`;
  try {
    await build({ configFile: join(PAGE, "vite.config.ts"), logLevel: "warn", build: { outDir: aside } });
    await writeFile(join(aside, ".stamp"), stamp);
    await mkdir(DIST, { recursive: true });
    await rename(DIST, replaced);
    await rename(aside, DIST);
  } catch (error) {
    // Another process may have swapped its own, equal build in between our two steps.
    if (!(await isCurrent(stamp))) throw error;
  } finally {
    await rm(aside, { recursive: true, force: true });
    await rm(replaced, { recursive: true, force: true });
  }
  return DIST;
}

async function isCurrent(stamp: string): Promise<boolean> {
  const file = join(DIST, ".stamp");
  return existsSync(file) && (await readFile(file, "utf8")) === stamp;
}

async function hashSources(): Promise<string> {
  const hash = createHash("sha256");
  for (const source of SOURCES) {
    for (const file of await filesOf(join(ROOT, source))) {
      hash
        .update(`${relative(ROOT, file)}\0`)
        .update(await readFile(file))
        .update("\0");
    }
  }
  return hash.digest("hex");
}

async function filesOf(path: string): Promise<string[]> {
  const entries = await readdir(path, { withFileTypes: true }).catch((error: NodeJS.ErrnoException) => {
    if (error.code === "ENOTDIR") return null;
    throw error;
  });
  if (entries === null) return [path];
  const files: string[] = [];
  for (const entry of entries.sort((a, b) => (a.name < b.name ? -1 : 1))) {
    if (entry.name === "dist" || entry.name === "node_modules" || entry.name.endsWith(".tmp")) continue;
    if (entry.isDirectory()) files.push(...(await filesOf(join(path, entry.name))));
    else files.push(join(path, entry.name));
  }
  return files;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) console.log(await buildPage());
