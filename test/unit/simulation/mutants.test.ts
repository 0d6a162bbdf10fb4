import { readFileSync } from "node:fs";
import { stripTypeScriptTypes } from "node:module";
import { describe, expect, test } from "vitest";
import { altered, ROOT } from "../../simulation/mutants/altered.ts";
import { MUTANTS } from "../../simulation/mutants/mutants.ts";

const source = (file: string): string => readFileSync(ROOT + file, "utf8");

describe("every planted bug still fits the code", () => {
  for (const mutant of MUTANTS) {
    test(mutant.name, () => {
      for (const { file } of mutant.edits) {
        const text = altered(mutant, file, source(file));
        expect(text).not.toBe(source(file));
        expect(() => stripTypeScriptTypes(text)).not.toThrow();
      }
    });
  }
});

test("at least eighty, forty of them outside of raft, each under a name of its own", () => {
  const outside = MUTANTS.filter(({ edits }) => edits.every(({ file }) => !file.startsWith("core/raft/")));
  expect(MUTANTS.length).toBeGreaterThanOrEqual(80);
  expect(outside.length).toBeGreaterThanOrEqual(40);
  expect(new Set(MUTANTS.map(({ name }) => name)).size).toBe(MUTANTS.length);
});

test("a mutant whose text is gone says so", () => {
  const gone = { name: "gone", bug: "", edits: [{ file: "core/ids.ts", find: "no such text", replace: "" }] };
  expect(() => altered(gone, "core/ids.ts", source("core/ids.ts"))).toThrow("occurs 0 times");
});
