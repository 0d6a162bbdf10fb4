/** What an app loads: the limits, and that what a connection needs is not among what a document waits for. */
import { beforeAll, expect, test } from "vitest";
import { codeExample } from "../../integration/readme.ts";
import { LIMITS, type Weight, weigh } from "../../size/weigh.ts";

let weight: Weight;
beforeAll(async () => {
  weight = await weigh();
}, 120_000);

test.each(["first", "all"] as const)("%s: within the limit", (which) => {
  expect(weight[which]).toBeLessThanOrEqual(LIMITS[which]);
});

test("what is weighed is built as docs/first-app.md says", async () => {
  expect(await codeExample("docs/first-app.md", "first-app-vite")).toContain('worker: { format: "es" }');
});

test("libp2p is not among what is loaded before the first document opens; Automerge and its WebAssembly are apart", () => {
  const modules = (when: "first" | "later") =>
    weight.files.filter((file) => file.when === when).flatMap((file) => file.modules);
  const isLibp2p = (module: string): boolean => /\/node_modules\/(?:@libp2p\/|libp2p\/)/.test(module);
  expect(modules("first").filter(isLibp2p)).toEqual([]);
  expect(modules("later").some(isLibp2p)).toBe(true);
  const holdsAutomerge = weight.files.filter((file) =>
    file.modules.some((module) => module.includes("automerge_wasm.js")),
  );
  expect(holdsAutomerge.map(({ when }) => when)).toEqual(["first"]);
  expect(holdsAutomerge.some((file) => file.modules.some((module) => module.endsWith("/browser/index.ts")))).toBe(
    false,
  );
  expect(weight.files.filter(({ when }) => when === "wasm")).toHaveLength(1);
});
