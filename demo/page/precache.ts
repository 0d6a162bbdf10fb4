/** A Vite plugin: tells the service worker which files the build made, and a version that changes with any of them. */
import { createHash } from "node:crypto";
import type { Plugin } from "vite";

const WORKER = "service-worker.js";

/** @param publicFiles paths that Vite copies as they are, with their contents */
export function precache(publicFiles: ReadonlyMap<string, Uint8Array>): Plugin {
  return {
    name: "openclaw-precache",
    apply: "build",
    enforce: "post",
    generateBundle: {
      order: "post",
      handler(_options, bundle) {
        const hash = createHash("sha256");
        const files = new Map<string, string | Uint8Array>(publicFiles);
        for (const [name, output] of Object.entries(bundle)) {
          if (name === WORKER || name.endsWith(".map")) continue;
          files.set(`/${name}`, output.type === "chunk" ? output.code : output.source);
        }
        const paths = [...files.keys()].sort();
        if (!paths.includes("/index.html"))
          this.error("the page's index.html is not in the bundle yet: plugin order changed");
        for (const path of paths)
          hash
            .update(`${path}\0`)
            .update(files.get(path) ?? "")
            .update("\0");
        const worker = bundle[WORKER];
        if (worker?.type !== "chunk") this.error("the service worker is not in the bundle");
        const head = `const PRECACHE_FILES=${JSON.stringify(paths)},PRECACHE_VERSION="${hash.digest("hex").slice(0, 16)}";\n`;
        worker.code = head + worker.code;
      },
    },
  };
}
