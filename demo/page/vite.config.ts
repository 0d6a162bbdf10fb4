import { readdirSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { defineConfig } from "vite";
import { precache } from "./precache.ts";

const root = fileURLToPath(new URL(".", import.meta.url));
const publicDir = `${root}public`;
const publicFiles = new Map(readdirSync(publicDir).map((name) => [`/${name}`, readFileSync(`${publicDir}/${name}`)]));

export default defineConfig({
  root,
  publicDir,
  resolve: {
    // One Automerge, without its WebAssembly inlined: openClaw() loads that beside the rest.
    alias: [{ find: /^@automerge\/automerge$/, replacement: "@automerge/automerge/slim" }],
  },
  build: {
    target: "es2024",
    outDir: "dist",
    emptyOutDir: true,
    // A small file as data: would need a wider content security policy.
    assetsInlineLimit: 0,
    chunkSizeWarningLimit: 1_500,
    modulePreload: { polyfill: false },
    rolldownOptions: {
      input: { page: `${root}index.html`, "service-worker": `${root}service-worker.ts` },
      output: {
        entryFileNames: (chunk) => (chunk.name === "service-worker" ? "service-worker.js" : "assets/[name]-[hash].js"),
      },
    },
  },
  // So that libp2p is a chunk of its own, which is loaded when it is needed.
  worker: { format: "es" },
  plugins: [precache(publicFiles)],
});
