/**
 * Bundles the `openclaw` program: a file for the main thread's start, one for its node, one for each worker, and what
 * they share. A node that runs from it loads a dozen files instead of a thousand, and strips no types, which Node.js does
 * not do for an installed package anyway. `npm run build` runs it, on the project's own Node.js: bundle.mjs [FOLDER]
 */
import { spawn } from "node:child_process";
import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "vite";

const ROOT = path.dirname(path.dirname(fileURLToPath(import.meta.url)));
/** Emptied first. Below the repository, where the external packages are found. */
const FOLDER = path.resolve(process.argv[2] ?? path.join(ROOT, "edge-runtime", "dist"));

/** Native addons and WebAssembly find their files beside themselves. */
const EXTERNAL = ["better-sqlite3", "@automerge/automerge"];

/** What is run by name: the program, and the workers by those who start them. */
const ENTRIES = {
  program: "cli/openclaw.ts",
  "log-worker": "storage/log-worker.ts",
  "state-worker": "storage/state-worker.ts",
  "base-worker": "storage/base-worker.ts",
  "change-worker": "documents/change-worker.ts",
};

/** Where a worker's file is named: in the bundle all files are beside each other. */
const WORKER = /new URL\("\.\/([a-z-]+-worker)\.ts", import\.meta\.url\)/g;

/** How long a warming node may take to start, ms. */
const WARM_MS_MAX = 60_000;

/**
 * The code cache is beside the bundle, as trusted as the bundle itself; where the folder cannot be written there is none.
 * It is enabled before the program's own code is compiled: hence a start of its own. Workers read the environment.
 */
const START = `#!/usr/bin/env node
import { enableCompileCache } from "node:module";
import { fileURLToPath } from "node:url";

process.env.NODE_COMPILE_CACHE ??= fileURLToPath(new URL("./code-cache", import.meta.url));
enableCompileCache();
await import("./program.js");
`;

async function bundle(folder) {
  fs.rmSync(folder, { recursive: true, force: true });
  await build({
    configFile: false,
    root: ROOT,
    logLevel: "warn",
    publicDir: false,
    plugins: [workers()],
    // Conditions are Node's own: a bundle runs what the checkout runs.
    ssr: { noExternal: true, external: EXTERNAL, target: "node" },
    build: {
      ssr: true,
      outDir: folder,
      emptyOutDir: true,
      target: "node24",
      minify: false,
      rolldownOptions: {
        input: Object.fromEntries(
          Object.entries(ENTRIES).map(([name, file]) => [name, path.join(ROOT, "edge-runtime", file)]),
        ),
        output: {
          entryFileNames: "[name].js",
          chunkFileNames: "[name]-[hash].js",
          // Names stay as they are written, so that a stack trace can be read.
          minify: { compress: false, mangle: false, codegen: { removeWhitespace: true } },
        },
      },
    },
  });
  fs.writeFileSync(path.join(folder, "openclaw.js"), START, { mode: 0o755 });
}

const workers = () => ({
  name: "openclaw-workers",
  transform: (code) => code.replaceAll(WORKER, 'new URL("./$1.js", import.meta.url)'),
});

/** Fills the code cache: a node of its own starts from the bundle, serves and stops. @throws Error when it does not */
async function warm(folder) {
  const home = fs.mkdtempSync(path.join(os.tmpdir(), "openclaw-warm-"));
  try {
    const cluster = path.join(home, "warm");
    const program = path.join(folder, "openclaw.js");
    const free = ["--http-port", "0", "--p2p-port", "0", "--ws-port", "0"];
    const init = ["init", "--cluster", "warm", "--nodes", "1", "--dir", cluster, ...free];
    await ended(spawn(process.execPath, [program, ...init], { stdio: ["ignore", "ignore", "inherit"] }));
    const config = path.join(cluster, "warm-1", "config.yaml");
    const node = spawn(process.execPath, [program, "node", "start", "--config", config], {
      stdio: ["ignore", "pipe", "inherit"],
    });
    const late = setTimeout(() => node.kill("SIGKILL"), WARM_MS_MAX);
    // It says where it listens once it serves. The cache is written when it ends by itself.
    let output = "";
    const read = (chunk) => {
      output += chunk;
      if (!output.includes(" listens at ")) return;
      node.stdout.off("data", read).resume();
      node.kill("SIGTERM");
    };
    node.stdout.on("data", read);
    await ended(node);
    clearTimeout(late);
  } finally {
    fs.rmSync(home, { recursive: true, force: true });
  }
}

async function ended(child) {
  const code = await new Promise((resolve, reject) => {
    child.once("error", reject);
    child.once("exit", resolve);
  });
  if (code !== 0) throw new Error(`the bundled program ended with ${code}`);
}

await bundle(FOLDER);
await warm(FOLDER);
