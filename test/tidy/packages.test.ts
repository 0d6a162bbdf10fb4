/** package.json files: every dependency pinned, or a peer that is pinned for our own tests, and explained in docs/dependencies.md. */
import { expect, test } from "vitest";
import { projectFiles, readText } from "./source.ts";

interface Dependency {
  readonly user: string;
  readonly name: string;
  readonly version: string;
}

const ROOT_NAME = "the root";

/** Installed by us. What an app brings, a peer, is a range of its versions. */
const PINNED = ["dependencies", "devDependencies", "optionalDependencies"];

function dependencies(fields: readonly string[]): readonly Dependency[] {
  return projectFiles(/^package\.json$/).flatMap((file) => {
    const manifest = JSON.parse(readText(file));
    const user = file === "package.json" ? ROOT_NAME : file.slice(0, -"/package.json".length);
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

/** Peers that our own tests run with no pinned version of. */
const untried = (peers: readonly Dependency[], pinned: readonly Dependency[]): readonly string[] =>
  peers
    .filter(
      ({ user, name, version }) =>
        !pinned.some(
          (own) => own.user === user && own.name === name && `^${own.version.split(".")[0]}.0.0` === version,
        ),
    )
    .map(({ user, name, version }) => `${user}: ${name} ${version}`);

test("a peer is one major version, of which the same package.json pins one to try it with", () => {
  expect(untried(dependencies(["peerDependencies"]), dependencies(["devDependencies"]))).toEqual([]);
  const pinned = [{ user: "core", name: "x", version: "2.3.4" }];
  const peer = (user: string, version: string): Dependency => ({ user, name: "x", version });
  expect(untried([peer("core", "^2.0.0")], pinned)).toEqual([]);
  expect(untried([peer("core", "^1.0.0"), peer("core", "2.3.4"), peer("hub", "^2.0.0")], pinned)).toHaveLength(3);
});

test("every dependency is pinned exactly", () => {
  expect(unpinned(dependencies(PINNED))).toEqual([]);
  const planted = ["^1.2.3", "latest", "1.2", "npm:@a/b@^1.0.0"].map((version) => ({
    user: "core",
    name: "x",
    version,
  }));
  expect(unpinned(planted)).toHaveLength(4);
  expect(unpinned([{ user: "core", name: "x", version: "npm:@a/b@1.0.0" }])).toEqual([]);
});

test("docs/dependencies.md lists exactly the direct dependencies, each with a reason", () => {
  const expected = dependencies(PINNED)
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
