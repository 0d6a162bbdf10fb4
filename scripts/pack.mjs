/**
 * `npm run pack [-- FOLDER]`: the packages of an app for browsers, as they are published: compiled by tsc to JavaScript and
 * declarations, each a .tgz in the folder (dist/packages, unless named).
 */
import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import { runQuietly } from "./child.mjs";
import { CannotGoOn, install, npmCommand, ROOT, script } from "./install.mjs";

/** Each before those that depend on it. */
const PACKAGES = ["core", "browser"];
/** Files that a page starts by their URL. */
const WORKERS = { browser: "worker/worker.ts" };

/** @returns {Promise<string[]>} paths of the tarballs. @throws CannotGoOn */
async function pack(node, folder) {
  fs.mkdirSync(folder, { recursive: true });
  const work = fs.mkdtempSync(path.join(os.tmpdir(), "openclaw-pack-"));
  try {
    const tarballs = [];
    for (const name of PACKAGES) tarballs.push(await packOne(node, name, path.join(work, name), folder));
    return tarballs;
  } finally {
    fs.rmSync(work, { recursive: true, force: true });
  }
}

async function packOne(node, name, work, folder) {
  const tsc = path.join(ROOT, "node_modules", "typescript", "bin", "tsc");
  const emit = ["--noEmit", "false", "--rewriteRelativeImportExtensions", "--declaration", "--rootDir", ROOT];
  await step(`Compiling ${name}`, node, [tsc, "-p", name, ...emit, "--outDir", work]);
  // What it imports of other workspaces is compiled beside it, and is in their own packages.
  const built = path.join(work, name);
  for (const file of fs.readdirSync(built, { recursive: true })) {
    if (file.endsWith(".js")) nameCompiledWorkers(path.join(built, file));
  }
  const worker = WORKERS[name];
  if (worker !== undefined) {
    const output = path.join(built, path.dirname(worker));
    fs.rmSync(path.join(output, "worker.js"));
    const input = path.join(ROOT, name, worker);
    await step(`Bundling the worker of ${name}`, node, ["--input-type=module", "-e", BUNDLE, input, output]);
  }
  const manifest = publishedManifest(JSON.parse(fs.readFileSync(path.join(ROOT, name, "package.json"), "utf8")));
  fs.writeFileSync(path.join(built, "package.json"), `${JSON.stringify(manifest, null, 2)}\n`);
  fs.copyFileSync(path.join(ROOT, "LICENSE"), path.join(built, "LICENSE"));
  const [command, ...args] = npmCommand();
  await step(`Packing ${name}`, command, [...args, "pack", built, "--pack-destination", folder, "--loglevel=error"]);
  return path.join(folder, `${manifest.name.slice(1).replace("/", "-")}-${manifest.version}.tgz`);
}

/**
 * A worker with all that it needs: a development server serves what a worker imports of packages as it is, and some of what
 * libp2p needs is CommonJS. What only a connection needs is a file of its own.
 */
const BUNDLE = `
import { build } from "vite";
const [input, outDir] = process.argv.slice(1);
const lib = { entry: input, formats: ["es"], fileName: () => "worker.js" };
const rolldownOptions = { output: { chunkFileNames: "worker-[name].js" } };
await build({
  configFile: false,
  logLevel: "warn",
  publicDir: false,
  define: { "process.env.NODE_ENV": '"production"' },
  build: { outDir, emptyOutDir: false, target: "es2024", minify: false, lib, rolldownOptions },
});
`;

async function step(title, command, args) {
  if (!(await runQuietly(title, command, args, () => "", { cwd: ROOT })))
    throw new CannotGoOn("The packages could not be made; the output is above.");
}

/** A worker's file is named in a URL, which tsc leaves as it is. */
function nameCompiledWorkers(file) {
  const text = fs.readFileSync(file, "utf8");
  const renamed = text.replaceAll(/(new URL\("\.[^"]+)\.ts(", import\.meta\.url\))/g, "$1.js$2");
  if (renamed !== text) fs.writeFileSync(file, renamed);
}

/** The same entries, of what was compiled. Workspaces import each other's files by names that end in `.ts`. */
function publishedManifest({ exports, imports = {}, devDependencies: _, ...rest }) {
  const compiled = Object.entries(exports).map(([entry, file]) => {
    const [from, to] = entry.endsWith("*") ? [`${entry}.ts`, `${file}.ts`] : [entry, file];
    return [from, { types: to.replace(/\.ts$/, ".d.ts"), default: to.replace(/\.ts$/, ".js") }];
  });
  const chosen = Object.entries(imports).map(([name, files]) => [
    name,
    Object.fromEntries(Object.entries(files).map(([condition, file]) => [condition, file.replace(/\.ts$/, ".js")])),
  ]);
  return { ...rest, exports: Object.fromEntries(compiled), imports: Object.fromEntries(chosen) };
}

await script(async () => {
  const folder = path.resolve(process.argv[2] ?? path.join(ROOT, "dist", "packages"));
  for (const tarball of await pack(await install(), folder)) process.stdout.write(`${tarball}\n`);
  return 0;
});
