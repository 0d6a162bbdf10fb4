/** Nothing lies about: every file and every export has a user, and no file grows without end. */
import { expect, test } from "vitest";
import { parseSource, projectFiles, projectSources, readText, type SourceFile } from "./source.ts";

const LINES_MAX = 400;

/** Files that are run or loaded by name: by npm, by a tool, by another process. */
function entries(): ReadonlySet<string> {
  const found = new Set([
    "vitest.config.ts",
    "demo/main.ts",
    "demo/build-page.ts",
    "scripts/bundle.mjs",
    "test/bench/harness/docs-automerge-server.ts",
    "test/bench/harness/docs-client-main.ts",
    "test/history/check-history.ts",
    "test/cycles/main.ts",
    "test/fleet/main.ts",
    "test/fleet/sites.ts",
    "test/nemesis/main.ts",
    "test/size/main.ts",
  ]);
  for (const file of projectFiles(/^package\.json$/)) {
    const { exports, bin, scripts } = JSON.parse(readText(file));
    const folder = file.slice(0, -"package.json".length);
    for (const target of [...Object.values(exports ?? {}), ...Object.values(bin ?? {})]) {
      if (typeof target === "string" && !target.includes("*")) found.add(`${folder}${target.replace(/^\.\//, "")}`);
    }
    for (const command of Object.values(scripts ?? {})) found.add(`${folder}${String(command).split(" ").at(-1)}`);
  }
  for (const page of projectFiles(/\.html$/)) {
    const folder = page.slice(0, page.lastIndexOf("/"));
    for (const match of readText(page).matchAll(/<script[^>]*\ssrc="\/?(?:\.\/)?([^"]+\.tsx?)"/g))
      found.add(`${folder}/${match[1]}`);
  }
  return found;
}

const ENTRIES = [
  /\.test\.ts$/,
  /\.d\.ts$/,
  /(^|\/)vite\.config\.ts$/,
  /(^|\/)service-worker\.ts$/,
  /^test\/bench\/[^/]+\.ts$/,
  /^test\/integration\/faults\//,
  /^test\/simulation\/simulate\.ts$/,
  /^test\/simulation\/mutants\/plant\.ts$/,
];

const isEntry = (file: string): boolean => ENTRIES.some((pattern) => pattern.test(file));

function unusedFiles(sources: readonly SourceFile[], named: ReadonlySet<string>): readonly string[] {
  const used = new Set(sources.flatMap((source) => source.imports.map(({ file }) => file)));
  return sources.map(({ path }) => path).filter((path) => !used.has(path) && !named.has(path) && !isEntry(path));
}

/**
 * Exports that nobody imports. A type that its own file uses as well is let pass: it is part of what the file's other
 * exports look like, and whoever calls them may want to name it.
 */
function unusedExports(sources: readonly SourceFile[], named: ReadonlySet<string>): readonly string[] {
  const used = new Set<string>();
  for (const source of sources) {
    for (const { file, names } of source.imports) for (const name of names ?? ["*"]) used.add(`${file} ${name}`);
  }
  const offences: string[] = [];
  for (const source of sources) {
    if (named.has(source.path) || isEntry(source.path) || used.has(`${source.path} *`)) continue;
    for (const { name, isType } of source.exports) {
      if (used.has(`${source.path} ${name}`)) continue;
      const mentions = source.text.match(new RegExp(`\\b${name}\\b`, "g"))?.length ?? 0;
      if (!isType || mentions < 2) offences.push(`${source.path} exports ${name}, which nobody imports`);
    }
  }
  return offences;
}

const longFiles = (sources: readonly SourceFile[]): readonly string[] =>
  sources
    .map(({ path, text }) => ({ path, lines: text.trimEnd().split("\n").length }))
    .filter(({ lines }) => lines > LINES_MAX)
    .map(({ path, lines }) => `${path} has ${lines} lines`);

const sources = projectSources();

test("every file is imported or is an entry", () => {
  expect(unusedFiles(sources, entries())).toEqual([]);
});

test("every export is imported", () => {
  expect(unusedExports(sources, entries())).toEqual([]);
});

test("no file is over 400 lines", () => {
  expect(longFiles(sources)).toEqual([]);
});

test("the rules about unused and long files see an offender", () => {
  const planted = [
    parseSource(
      "core/a.ts",
      `import { used } from "./b.ts";
       export * from "./d.ts";
       new Worker(new URL("./c.ts", import.meta.url));
       used();`,
    ),
    parseSource(
      "core/b.ts",
      `export const used = 1; export const unused = 2; export type Alone = 1;
       export interface Options { a: 1 } export function take(o: Options) { return o; }`,
    ),
    parseSource("core/c.ts", `export const inWorker = 1;${"\n//".repeat(LINES_MAX)}`),
    parseSource("core/d.ts", "export const passedOn = 1;"),
  ];
  const named = new Set<string>();
  expect(unusedFiles(planted, named)).toEqual(["core/a.ts"]);
  expect(unusedFiles(planted, new Set(["core/a.ts"]))).toEqual([]);
  expect(unusedExports(planted, named)).toEqual([
    "core/b.ts exports unused, which nobody imports",
    "core/b.ts exports Alone, which nobody imports",
    "core/b.ts exports take, which nobody imports",
  ]);
  expect(longFiles(planted)).toEqual(["core/c.ts has 401 lines"]);
});
