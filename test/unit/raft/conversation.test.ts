/** The scripted conversations happen as they are written down. */
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import { converse } from "./conversation.ts";

const FOLDER = fileURLToPath(new URL("conversations/", import.meta.url));
const REWRITE = process.env.REWRITE === "1";

const scripts = readdirSync(FOLDER).filter((name) => name.endsWith(".txt"));

test.each(scripts)("%s", (name) => {
  const script = readFileSync(`${FOLDER}${name}`, "utf8");
  const happened = converse(script);
  if (REWRITE) writeFileSync(`${FOLDER}${name}`, happened);
  else expect(happened).toBe(script);
});

test("there are conversations, and each opens with what it shows and where that is written", () => {
  expect(scripts.length).toBeGreaterThan(20);
  for (const name of scripts) {
    const [opening = ""] = readFileSync(`${FOLDER}${name}`, "utf8").split("\n\n");
    expect(opening, name).toMatch(/^#/);
    expect(opening, name).toMatch(/thesis §|paper §|paper figure|rule R/);
  }
});

test("a difference, an unknown command and a missing expectation are seen", () => {
  expect(converse("add-nodes 1\n----\nsomething else\n")).toBe(
    "add-nodes 1\n----\na is follower in term 0\na goes by {a}\n",
  );
  expect(() => converse("add-nodes 3\ndance\n----\n")).toThrow("dance: unknown command dance");
  expect(() => converse("add-nodes 3\n")).toThrow("no expectation");
  expect(() => converse("add-nodes 3 founders many\n----\n")).toThrow("many is no number");
});
