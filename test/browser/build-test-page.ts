/** Builds a page that a test drives: an index.html and what it loads. */
import { build } from "vite";

/** @param root folder of the index.html. @returns `outDir` */
export async function buildTestPage(root: string, outDir: string): Promise<string> {
  await build({
    root,
    configFile: false,
    logLevel: "error",
    resolve: { alias: [{ find: /^@automerge\/automerge$/, replacement: "@automerge/automerge/slim" }] },
    build: { outDir, emptyOutDir: true, target: "es2024", modulePreload: { polyfill: false } },
  });
  return outDir;
}
