/** package.json files: every dependency pinned, and explained in docs/dependencies.md. */
import { expect, test } from "vitest";
import { projectFiles, readText } from "./source.ts";

interface Dependency {
  readonly user: string;
  readonly name: string;
  readonly version: string;
}

const ROOT_NAME = "the root";

function dependencies(): readonly Dependency[] {
  return projectFiles(/^package\.json$/).flatMap((file) => {
    const manifest = JSON.parse(readText(file));
    const user = file === "package.json" ? ROOT_NAME : file.slice(0, -"/package.json".length);
    const fields = ["dependencies", "devDependencies", "optionalDependencies", "peerDependencies"];
    return fields.flatMap((field) =>
      Object.entries(manifest[field] ?? {}).map(([name, version]) => ({ user, name, version: String(version) })),
    );
  });
}

/** Rows of the tables: "name used by user". */
function documented(markdown: string): readonly string[] {
  return [...markdown.matchAll(/^\| `([^`]+)` \| ([^|]+) \| [^|]{10,} \|$/gm)].flatMap((row) =>
    (row[2] ?? "").split(",").map((user) => `${row[1]} used by ${user.trim()}`),
  );
}

const unpinned = (list: readonly Dependency[]): readonly string[] =>
  list
    .filter(({ version }) => !/^(?:npm:@?[\w./-]+@)?\d+\.\d+\.\d+$/.test(version))
    .map(({ user, name, version }) => `${user}: ${name} ${version}`);

test("every dependency is pinned exactly", () => {
  expect(unpinned(dependencies())).toEqual([]);
  const planted = ["^1.2.3", "latest", "1.2", "npm:@a/b@^1.0.0"].map((version) => ({
    user: "core",
    name: "x",
    version,
  }));
  expect(unpinned(planted)).toHaveLength(4);
  expect(unpinned([{ user: "core", name: "x", version: "npm:@a/b@1.0.0" }])).toEqual([]);
});

test("docs/dependencies.md lists exactly the direct dependencies, each with a reason", () => {
  const expected = dependencies()
    .filter(({ name }) => !name.startsWith("@openclaw/"))
    .map(({ user, name }) => `${name} used by ${user}`)
    .sort();
  expect([...documented(readText("docs/dependencies.md"))].sort()).toEqual(expected);
  expect(documented("| `a` | core | |\n| `b` | core, hub | because of this |")).toEqual([
    "b used by core",
    "b used by hub",
  ]);
});

test("no install script is needed: .npmrc turns them off", () => {
  expect(readText(".npmrc").split("\n")).toContain("ignore-scripts=true");
});
