/** The example of docs/react.md is example.tsx: type-checked with all the rest, rendered by example.test.ts, and here by a server. */
import { readFile } from "node:fs/promises";
import { OpenClawProvider } from "@openclaw/browser/react";
import { createElement } from "react";
import { renderToString } from "react-dom/server";
import { expect, test } from "vitest";
import { codeExample } from "../../integration/readme.ts";
import { Shop } from "./example.tsx";

test("docs/react.md shows what the tests run", async () => {
  const source = await readFile(new URL("example.tsx", import.meta.url), "utf8");
  expect(await codeExample("docs/react.md", "react")).toBe(source);
  expect(renderToString(createElement(OpenClawProvider, { client: null }, createElement(Shop)))).toBe("<p>Opening</p>");
});
