/** DESIGN §2: who may import whom. */
import { expect, test } from "vitest";
import { packageOf, parseSource, projectSources, readText, type SourceFile } from "./source.ts";

/** The parts of the project and the parts each may import, besides itself. */
const PARTS: Readonly<Record<string, readonly string[]>> = {
  core: [],
  "edge-runtime": ["core"],
  hub: ["core", "edge-runtime"],
  browser: ["core"],
  // The page is an app in a browser: a server must never get into it.
  "demo/page": ["core", "browser"],
  demo: ["core", "edge-runtime", "hub", "browser"],
  test: ["core", "edge-runtime", "hub", "browser", "demo", "demo/page", "scripts"],
  scripts: [],
};

/** R9, DESIGN §2: what core may use of the outside. */
const CORE_PACKAGES = ["@automerge/automerge", "@noble/hashes", "fflate"];

/** Runs in Node when the page is built, and is no part of it. */
const PAGE_BUILD = /^demo\/page\/(vite\.config|precache)\.ts$/;

function partOf(file: string): string {
  if (file.startsWith("demo/page/")) return PAGE_BUILD.test(file) ? "demo" : "demo/page";
  return file.split("/")[0] ?? "";
}

function wrongDirections(sources: readonly SourceFile[]): readonly string[] {
  const offences: string[] = [];
  for (const source of sources) {
    const from = partOf(source.path);
    for (const { file } of source.imports) {
      if (file === null || !source.path.includes("/")) continue;
      const to = partOf(file);
      if (to !== from && PARTS[from]?.includes(to) !== true) offences.push(`${source.path} imports ${file}`);
    }
  }
  return offences;
}

function undeclaredPackages(
  sources: readonly SourceFile[],
  declared: (part: string) => readonly string[],
): readonly string[] {
  const offences: string[] = [];
  for (const source of sources) {
    const part = partOf(source.path);
    for (const imported of source.imports) {
      const name = packageOf(imported);
      if (name === null) continue;
      const allowed = name.startsWith("node:")
        ? !["core", "browser", "demo/page"].includes(part)
        : declared(part).includes(name);
      if (!allowed) offences.push(`${source.path} imports ${name}`);
    }
  }
  return offences;
}

/** Names in a part's package.json. Tests use what they test with, and what is tested; scripts and the root its tools. */
function declaredPackages(part: string): readonly string[] {
  if (part === "core") return CORE_PACKAGES;
  const tools = Object.keys(JSON.parse(readText("package.json")).devDependencies);
  const of = (workspace: string): readonly string[] => {
    const { dependencies, peerDependencies } = JSON.parse(readText(`${workspace}/package.json`));
    return Object.keys({ ...dependencies, ...peerDependencies });
  };
  if (part === "test") {
    const compared = Object.keys(JSON.parse(readText("test/package.json")).devDependencies);
    return [...tools, ...compared, ...["core", "edge-runtime", "hub", "browser", "demo", "test"].flatMap(of)];
  }
  return Object.hasOwn(PARTS, part) && part !== "scripts" ? of(part.split("/")[0] ?? "") : tools;
}

/** Every cycle of imports, as the files it runs through, each cycle once. */
function cycles(sources: readonly SourceFile[]): readonly string[] {
  const byPath = new Map(sources.map((source) => [source.path, source]));
  const finished = new Set<string>();
  const trail: string[] = [];
  const found: string[] = [];
  const visit = (file: string): void => {
    const source = byPath.get(file);
    if (source === undefined || finished.has(file)) return;
    const start = trail.indexOf(file);
    if (start >= 0) {
      found.push([...trail.slice(start), file].join(" → "));
      return;
    }
    trail.push(file);
    for (const imported of source.imports) if (imported.file !== null) visit(imported.file);
    trail.pop();
    finished.add(file);
  };
  for (const source of sources) visit(source.path);
  return found;
}

/** Files that reach a package at run time from `start` on, each with the way there. */
function reaches(sources: readonly SourceFile[], start: RegExp, name: string): readonly string[] {
  const byPath = new Map(sources.map((source) => [source.path, source]));
  const found: string[] = [];
  const seen = new Set<string>();
  const visit = (source: SourceFile, way: readonly string[]): void => {
    if (seen.has(source.path)) return;
    seen.add(source.path);
    for (const imported of source.imports) {
      if (packageOf(imported) === name) found.push([...way, source.path, name].join(" → "));
      const next = imported.file === null || imported.typeOnly ? undefined : byPath.get(imported.file);
      if (next !== undefined) visit(next, [...way, source.path]);
    }
  };
  for (const source of sources) if (start.test(source.path)) visit(source, []);
  return found;
}

const missingFiles = (sources: readonly SourceFile[]): readonly string[] => {
  const known = new Set(sources.map((source) => source.path));
  return sources.flatMap((source) =>
    source.imports
      .filter(({ file }) => file !== null && /\.(ts|tsx|mjs)$/.test(file) && !known.has(file))
      .map(({ file }) => `${source.path} imports ${file}, which is not there`),
  );
};

const sources = projectSources();

test("DESIGN §2: imports between parts have one direction", () => {
  expect(wrongDirections(sources)).toEqual([]);
});

test("DESIGN §2: the direction rule sees an offender", () => {
  const planted = [
    parseSource("core/a.ts", 'import { x } from "@openclaw/edge-runtime/b.ts"; x();'),
    parseSource("browser/a.ts", 'import type { X } from "../edge-runtime/b.ts"; export type Y = X;'),
    parseSource("edge-runtime/a.ts", 'export { x } from "@openclaw/hub";'),
    parseSource("demo/page/a.ts", 'await import("@openclaw/edge-runtime/b.ts");'),
    parseSource("hub/fine.ts", 'import { x } from "@openclaw/edge-runtime/b.ts"; x();'),
  ];
  expect(wrongDirections(planted)).toEqual([
    "core/a.ts imports edge-runtime/b.ts",
    "browser/a.ts imports edge-runtime/b.ts",
    "edge-runtime/a.ts imports hub/index.ts",
    "demo/page/a.ts imports edge-runtime/b.ts",
  ]);
});

test("DESIGN §2: a package is imported only where it is declared; core has four; core and browser have no node:", () => {
  expect(undeclaredPackages(sources, declaredPackages)).toEqual([]);
});

test("DESIGN §2: the package rule sees an offender", () => {
  const planted = [
    parseSource("core/a.ts", 'import fs from "node:fs"; import { z } from "zod"; fs.z = z;'),
    parseSource("browser/a.ts", 'import { Worker } from "node:worker_threads"; new Worker("");'),
    parseSource("core/b.ts", 'import { sha256 } from "@noble/hashes/sha2.js"; sha256();'),
  ];
  expect(undeclaredPackages(planted, declaredPackages)).toEqual([
    "core/a.ts imports node:fs",
    "core/a.ts imports zod",
    "browser/a.ts imports node:worker_threads",
  ]);
});

test("no file imports itself by way of others", () => {
  expect(cycles(sources)).toEqual([]);
});

test("the cycle rule sees an offender", () => {
  const planted = [
    parseSource("core/a.ts", 'import "./b.ts";'),
    parseSource("core/b.ts", 'import type { C } from "./c.ts"; export type B = C;'),
    parseSource("core/c.ts", 'export type { A } from "@openclaw/core/a.ts";'),
  ];
  expect(cycles(planted)).toEqual(["core/a.ts → core/b.ts → core/c.ts → core/a.ts"]);
});

test("R9: apply never reaches Automerge", () => {
  expect(reaches(sources, /^core\/(state-machine|ledger|raft)\//, "@automerge/automerge")).toEqual([]);
});

test("R9: the Automerge rule sees an offender, also at second hand", () => {
  const planted = [
    parseSource("core/state-machine/apply.ts", 'import { merge } from "../client/docs.ts"; merge();'),
    parseSource("core/client/docs.ts", 'import * as A from "@automerge/automerge"; export const merge = A.merge;'),
    parseSource(
      "core/state-machine/types.ts",
      'import type { merge } from "../client/more.ts"; export type M = typeof merge;',
    ),
    parseSource("core/client/more.ts", 'export { merge } from "@automerge/automerge";'),
  ];
  expect(reaches(planted, /^core\/state-machine\//, "@automerge/automerge")).toEqual([
    "core/state-machine/apply.ts → core/client/docs.ts → @automerge/automerge",
  ]);
});

test("every import names a file that is there", () => {
  expect(missingFiles(sources)).toEqual([]);
  expect(missingFiles([parseSource("core/a.ts", 'import "./gone.ts";')])).toEqual([
    "core/a.ts imports core/gone.ts, which is not there",
  ]);
});
