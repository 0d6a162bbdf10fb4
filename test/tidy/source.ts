/** The source files of the project as the tidy rules see them: who imports what from where, and who exports what. */
import fs from "node:fs";
import path from "node:path";
import { parseSync } from "vite";

export interface Import {
  /** As written. */
  readonly specifier: string;
  /** Path of the file it names, from the root of the project; null for a package or a built-in module. */
  readonly file: string | null;
  /** Names taken; null for all of them (`* as`, `export *`, a dynamic import, a worker's URL). */
  readonly names: readonly string[] | null;
  /** Nothing of it is left at run time. */
  readonly typeOnly: boolean;
}

export interface Export {
  readonly name: string;
  readonly isType: boolean;
}

export interface SourceFile {
  /** From the root of the project, with slashes. */
  readonly path: string;
  readonly text: string;
  readonly imports: readonly Import[];
  /** Without those passed on from another file: they count as imports. */
  readonly exports: readonly Export[];
  readonly program: unknown;
}

const ROOT: string = path.resolve(import.meta.dirname, "../..");

const SOURCE = /\.(ts|tsx|mjs)$/;
const SKIPPED_FOLDERS = new Set(["node_modules", "dist", ".git", ".openclaw", "data"]);

/** Paths of all files below the root that pass the filter, sorted. */
export function projectFiles(filter: RegExp): readonly string[] {
  const found: string[] = [];
  const walk = (folder: string): void => {
    for (const entry of fs.readdirSync(path.join(ROOT, folder), { withFileTypes: true })) {
      const file = path.posix.join(folder, entry.name);
      if (entry.isDirectory() && !SKIPPED_FOLDERS.has(entry.name)) walk(file);
      else if (entry.isFile() && filter.test(entry.name)) found.push(file);
    }
  };
  walk("");
  return found.sort();
}

export const readText = (file: string): string => fs.readFileSync(path.join(ROOT, file), "utf8");

/** Every source file of the project. */
export const projectSources = (): readonly SourceFile[] =>
  projectFiles(SOURCE).map((file) => parseSource(file, readText(file)));

/** One file. A planted sample goes through here, too. */
export function parseSource(file: string, text: string): SourceFile {
  const { program, module, errors } = parseSync(file, text);
  if (errors.length > 0) throw new Error(`${file} does not parse: ${errors[0]?.message}`);
  const imports: Import[] = [];
  const exports: Export[] = [];
  const imported = (specifier: string, taken: Pick<Import, "names" | "typeOnly">): void => {
    for (const target of targets(file, specifier)) imports.push({ ...target, ...taken });
  };
  for (const statement of module.staticImports) {
    const names = statement.entries.map((entry) =>
      entry.importName.kind === "NamespaceObject" ? null : (entry.importName.name ?? "default"),
    );
    imported(statement.moduleRequest.value, {
      names: names.includes(null) ? null : names.filter((name) => name !== null),
      typeOnly: names.length > 0 && statement.entries.every((entry) => entry.isType),
    });
  }
  for (const entry of module.staticExports.flatMap((statement) => statement.entries)) {
    if (entry.moduleRequest !== null) {
      const name = entry.importName.name;
      imported(entry.moduleRequest.value, {
        names: name === null ? null : [name],
        typeOnly: entry.isType,
      });
    } else {
      exports.push({
        name: entry.exportName.name ?? "default",
        isType: entry.isType || isDeclaredType(text, entry.start),
      });
    }
  }
  for (const { moduleRequest } of module.dynamicImports) {
    const literal = /^["'`](.*)["'`]$/.exec(text.slice(moduleRequest.start, moduleRequest.end))?.[1];
    if (literal !== undefined) imported(literal, { names: null, typeOnly: false });
  }
  walk(program, (node) => {
    const literal = urlOfModule(node);
    if (literal !== null && SOURCE.test(literal)) {
      imported(`./${literal}`, { names: null, typeOnly: false });
    }
  });
  return { path: file, text, imports, exports, program };
}

/** More than one where the part's package.json lets the surroundings choose (`#name`). */
function targets(from: string, specifier: string): readonly Pick<Import, "specifier" | "file">[] {
  const bare = specifier.split("?")[0] ?? specifier;
  const [part = ""] = from.split("/");
  if (bare.startsWith("#")) {
    const { imports } = JSON.parse(readText(`${part}/package.json`));
    return Object.values(imports[bare]).map((file) => ({ specifier, file: path.posix.join(part, String(file)) }));
  }
  if (bare.startsWith(".")) return [{ specifier, file: path.posix.join(path.posix.dirname(from), bare) }];
  const own = /^@openclaw\/([^/]+)(?:\/(.+))?$/.exec(bare);
  if (own !== null) return [{ specifier, file: path.posix.join(own[1] ?? "", own[2] ?? "index.ts") }];
  return [{ specifier, file: null }];
}

/** `export interface X` and `export type X` do not carry the parser's type flag, which is about `export type { X }`. */
const isDeclaredType = (text: string, start: number): boolean =>
  /^(?:export\s+)?(?:declare\s+)?(?:interface|type)\s/.test(text.slice(start, start + 60)) ||
  /export\s+(?:declare\s+)?(?:interface|type)\s+$/.test(text.slice(Math.max(0, start - 60), start));

/** A node of the syntax tree (ESTree, as oxc gives it). */
export interface Node {
  readonly type: string;
  readonly start: number;
  readonly [field: string]: unknown;
}

export const isNode = (value: unknown): value is Node =>
  typeof value === "object" && value !== null && "type" in value && typeof value.type === "string" && "start" in value;

/** Calls back for every node; names of properties, which are nobody's variable, are left out. */
export function walk(value: unknown, visit: (node: Node) => void): void {
  if (Array.isArray(value)) for (const item of value) walk(item, visit);
  if (!isNode(value)) return;
  visit(value);
  for (const [field, child] of Object.entries(value)) {
    const isPropertyName =
      (value.type === "MemberExpression" && field === "property" && value.computed !== true) ||
      (field === "key" && value.computed !== true);
    if (!isPropertyName) walk(child, visit);
  }
}

/** The first argument of `new URL("x.ts", import.meta.url)`: how a worker's or a child's file is named. */
function urlOfModule(node: Node): string | null {
  if (node.type !== "NewExpression" || !isNode(node.callee) || node.callee.name !== "URL") return null;
  const [first, second]: readonly unknown[] = Array.isArray(node.arguments) ? node.arguments : [];
  if (!isNode(first) || typeof first.value !== "string" || first.value.includes(":")) return null;
  return isNode(second) && isNode(second.object) && second.object.type === "MetaProperty" ? first.value : null;
}

/** The package of a specifier: `@scope/name` or `name`, or `node:…`; null for a file of ours. */
export function packageOf(imported: Import): string | null {
  if (imported.file !== null) return null;
  if (imported.specifier.startsWith("node:")) return imported.specifier;
  const parts = imported.specifier.split("/");
  return imported.specifier.startsWith("@") ? parts.slice(0, 2).join("/") : (parts[0] ?? "");
}
