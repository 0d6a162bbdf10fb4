import { expect, test } from "vitest";
import { parseSite } from "../../../demo/page/sites.ts";

test("a site's pages are links to web pages, and nothing else", () => {
  const urls = ["http://127.0.0.1:8111/", "https://edge.example/", "javascript:alert(1)", "no URL", 7];
  expect(parseSite("sites/alaska", JSON.stringify(urls))).toEqual({
    name: "alaska",
    urls: ["http://127.0.0.1:8111/", "https://edge.example/"],
  });
  expect(parseSite("sites/alaska", "no JSON")).toBeUndefined();
  expect(parseSite("sites/alaska", '{"urls": []}')).toBeUndefined();
});
