/**
 * What an app with @openclaw/browser weighs: docs/first-app.md, built by Vite, each file gzipped by itself as a server would
 * send it. What is loaded before the first document opens is all that the page and its workers can reach, but for what is
 * loaded beside it, and a document opens without: test/browser/loading.test.ts holds that against Chromium.
 */
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";
import { build, type Plugin, type Rolldown } from "vite";
import { codeExample } from "../integration/readme.ts";

/** 1 KB, as bundlers print it, bytes. */
const KB = 1_000;
/** The most that it may weigh, KB: the product's own promise. */
export const LIMITS = { first: 60, all: 180 };

const BROWSER = fileURLToPath(new URL("../../browser", import.meta.url));
const APP = "virtual:first-app.ts";
/** Loaded for a connection, for what comes over it, for an outbox that is exported, for what is kept a second time, and to say errors in full: imported where that begins, and nowhere else. */
const LOADED_BESIDE =
  /\/browser\/(?:connection\/dialer|tabs\/open-tab-site|worker\/(?:plain-inspection|worker-connection|worker-copy))\.ts$|\/core\/(?:error-texts|client\/(?:online|outbox-transfer))\.ts$/;

export interface WeighedFile {
  readonly name: string;
  /** KB, gzipped. */
  readonly gz: number;
  readonly when: "first" | "later" | "wasm";
  /** Paths of what it is made of. */
  readonly modules: readonly string[];
}

export interface Weight {
  readonly files: readonly WeighedFile[];
  /** KB, gzipped: what is loaded before the first document opens, and all but WebAssembly. */
  readonly first: number;
  readonly all: number;
  /** KB of each package's modules, gzipped one by one: more than together, and good for comparing. Heaviest first. */
  readonly packages: readonly (readonly [name: string, gz: number])[];
}

/** @param outDir where the built files are left, for who wants to load them; nowhere unless given */
export async function weigh(outDir?: string): Promise<Weight> {
  const example = await codeExample("docs/first-app.md", "first-app");
  const chunks = new Map<string, Rolldown.OutputChunk>();
  const wasm = new Map<string, number>();
  // The bundles of workers are made apart, and are mere assets of the page's.
  const collect: Plugin = {
    name: "openclaw-weigh",
    generateBundle(_options, bundle) {
      for (const output of Object.values(bundle)) {
        if (output.type === "chunk") chunks.set(output.fileName, output);
        else if (output.fileName.endsWith(".wasm")) wasm.set(output.fileName, gz(output.source));
      }
    },
  };
  const app: Plugin = {
    name: "openclaw-first-app",
    resolveId: (id) => (id === APP ? id : null),
    load: (id) => (id === APP ? { code: example, moduleType: "ts" } : null),
  };
  await build({
    root: BROWSER,
    configFile: false,
    logLevel: "error",
    build: {
      ...(outDir === undefined ? { write: false } : { outDir }),
      target: "es2024",
      modulePreload: false,
      rolldownOptions: { input: APP },
    },
    worker: { format: "es", plugins: () => [collect] },
    plugins: [app, collect],
  });
  return weightOf(chunks, wasm);
}

function weightOf(chunks: ReadonlyMap<string, Rolldown.OutputChunk>, wasm: ReadonlyMap<string, number>): Weight {
  const first = firstOf(chunks);
  const code = [...chunks.values()].map(
    ({ fileName, code, modules }): WeighedFile => ({
      name: fileName,
      gz: gz(code),
      when: first.has(fileName) ? "first" : "later",
      modules: Object.keys(modules),
    }),
  );
  const files = [...code, ...[...wasm].map(([name, gz]): WeighedFile => ({ name, gz, when: "wasm", modules: [] }))];
  const sum = (list: readonly WeighedFile[]): number => list.reduce((total, file) => total + file.gz, 0);
  return {
    files: files.toSorted((a, b) => b.gz - a.gz),
    first: sum(code.filter(({ when }) => when === "first")),
    all: sum(code),
    packages: packagesOf([...chunks.values()]),
  };
}

/** Files that are reached from a page's or a worker's first one, and not for a connection alone. */
function firstOf(chunks: ReadonlyMap<string, Rolldown.OutputChunk>): ReadonlySet<string> {
  const found = new Set<string>();
  const reach = (name: string): void => {
    const chunk = chunks.get(name);
    if (chunk === undefined || found.has(name)) return;
    found.add(name);
    for (const next of chunk.imports) reach(next);
    for (const next of chunk.dynamicImports) {
      if (!LOADED_BESIDE.test(chunks.get(next)?.facadeModuleId ?? "")) reach(next);
    }
  };
  for (const { fileName, isEntry } of chunks.values()) if (isEntry) reach(fileName);
  return found;
}

function packagesOf(chunks: readonly Rolldown.OutputChunk[]): Weight["packages"] {
  const sums = new Map<string, number>();
  for (const { modules } of chunks) {
    for (const [id, { code }] of Object.entries(modules)) {
      const name =
        /.*\/node_modules\/((?:@[^/]+\/)?[^/]+)/.exec(id)?.[1] ?? /\/(core|browser)\//.exec(id)?.[1] ?? "the app";
      sums.set(name, (sums.get(name) ?? 0) + gz(code ?? ""));
    }
  }
  return [...sums].sort(([, a], [, b]) => b - a);
}

const gz = (content: string | Uint8Array): number =>
  content.length === 0 ? 0 : gzipSync(content, { level: 9 }).length / KB;
