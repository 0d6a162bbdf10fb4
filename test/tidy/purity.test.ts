/** DESIGN §2, R9: core reads no clock and no random source, and waits for nothing but its ports. */
import { expect, test } from "vitest";
import { isNode, type Node, parseSource, projectSources, type SourceFile, walk } from "./source.ts";

/** Globals of time, chance and surroundings. What core needs of them comes through core/ports.ts. */
const FORBIDDEN = new Set([
  ...["Date", "performance", "setTimeout", "setInterval", "setImmediate", "queueMicrotask", "requestIdleCallback"],
  ...["crypto", "process", "globalThis", "window", "navigator", "fetch", "console", "Intl", "Temporal"],
]);

/** Methods whose answer depends on the machine's locale (pitfall 22) or on chance. */
const FORBIDDEN_MEMBERS = new Set([
  "Math.random",
  "*.localeCompare",
  "*.toLocaleString",
  "*.toLocaleLowerCase",
  "*.toLocaleUpperCase",
]);

function impurities(sources: readonly SourceFile[]): readonly string[] {
  const offences: string[] = [];
  for (const source of sources) {
    if (!source.path.startsWith("core/")) continue;
    walk(source.program, (node) => {
      const name = freeName(node);
      if (name === null) return;
      const line = source.text.slice(0, node.start).split("\n").length;
      offences.push(`${source.path}:${line} uses ${name}`);
    });
  }
  return offences;
}

function freeName(node: Node): string | null {
  if (node.type === "Identifier" && typeof node.name === "string" && FORBIDDEN.has(node.name)) return node.name;
  if (node.type === "MemberExpression" && isNode(node.object) && isNode(node.property)) {
    const member = String(node.property.name ?? node.property.value);
    if (FORBIDDEN_MEMBERS.has(`${String(node.object.name)}.${member}`)) return `${String(node.object.name)}.${member}`;
    if (FORBIDDEN_MEMBERS.has(`*.${member}`)) return member;
  }
  return null;
}

test("R9: core uses no clock, chance, locale or surroundings", () => {
  expect(impurities(projectSources())).toEqual([]);
});

test("R9: the purity rule sees an offender", () => {
  const planted = parseSource(
    "core/a.ts",
    `// Date.now() in a comment is fine
     export const name = "performance";
     export const when = Date.now();
     export const luck = Math.random() + Math["random"]();
     setTimeout(() => crypto.getRandomValues(new Uint8Array(1)), 1);
     export const order = (a: string, b: string) => a.localeCompare(b);
     export const fine = { Date: 1, process: 2 }.process;`,
  );
  expect(impurities([planted])).toEqual([
    "core/a.ts:3 uses Date",
    "core/a.ts:4 uses Math.random",
    "core/a.ts:4 uses Math.random",
    "core/a.ts:5 uses setTimeout",
    "core/a.ts:5 uses crypto",
    "core/a.ts:6 uses localeCompare",
  ]);
});
