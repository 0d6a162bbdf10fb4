/** What must not be in any text of the project: notes to oneself, a machine's own paths, a registry's host. */
import { expect, test } from "vitest";
import { projectFiles, readText } from "./source.ts";

interface Text {
  readonly path: string;
  readonly text: string;
}

/** Put together here, so that this file does not offend itself. */
const LEFTOVER = new RegExp(
  `\\b(?:${["TO", "FIX", "X"].map((start, i) => start + ["DO", "ME", "XX"][i]).join("|")})\\b`,
);

/** Where people's and machines' own files are; a path in a pattern or a URL is not meant. */
const MACHINE_PATH = /(?:^|[\s"'`(=:])(?:\/(?:home|root|Users|work|mnt|workspace)\/[\w.-]+|[A-Z]:\\\\?Users\\)/;

const REGISTRY = /"resolved":\s*"(?:https?|git)|\/\/registry\./;

function linesThatMatch(texts: readonly Text[], pattern: RegExp): readonly string[] {
  return texts.flatMap(({ path, text }) =>
    text.split("\n").flatMap((line, i) => (pattern.test(line) ? [`${path}:${i + 1} ${line.trim().slice(0, 80)}`] : [])),
  );
}

const texts = projectFiles(/\.(ts|tsx|mjs|js|json|md|html|css|ya?ml|sh)$|^run$|^\.npmrc$/).map((path) => ({
  path,
  text: readText(path),
}));

test("no leftover notes", () => {
  expect(linesThatMatch(texts, LEFTOVER)).toEqual([]);
  const planted = { path: "core/a.ts", text: `const a = 1;\n// ${"TO"}DO: later\nconst TODOS = 2;` };
  expect(linesThatMatch([planted], LEFTOVER)).toEqual([`core/a.ts:2 // ${"TO"}DO: later`]);
});

test("no paths of somebody's machine", () => {
  expect(linesThatMatch(texts, MACHINE_PATH)).toEqual([]);
  const home = ["", "home", "ada", "project"].join("/");
  const planted = { path: "core/a.ts", text: `const file = "${home}";\nconst url = "https://example.org${home}";` };
  expect(linesThatMatch([planted], MACHINE_PATH)).toEqual([`core/a.ts:1 const file = "${home}";`]);
});

test("no registry in the lock file or anywhere else", () => {
  expect(linesThatMatch(texts, REGISTRY)).toEqual([]);
  const line = `"${"resolved"}": "https://${"registry"}.example.org/a/-/a-1.0.0.tgz",`;
  expect(linesThatMatch([{ path: "package-lock.json", text: line }], REGISTRY)).toEqual([
    `package-lock.json:1 ${line.slice(0, 80)}`,
  ]);
  expect(texts.some(({ path }) => path === "package-lock.json")).toBe(true);
});
