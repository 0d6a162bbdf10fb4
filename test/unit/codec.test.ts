import { decode, encode } from "@openclaw/core/codec.ts";
import { expect, test } from "vitest";

test("no native code decodes: its tables are shared, and cleared each time another thread loads it", () => {
  expect(decode(encode(["a text", new Uint8Array(300), "another"]))).toMatchObject(["a text", {}, "another"]);
  const report: unknown = process.report.getReport();
  const loaded = typeof report === "object" && report !== null && "sharedObjects" in report ? report.sharedObjects : [];
  expect(loaded).toContainEqual(expect.stringContaining("libc"));
  expect(loaded).not.toContainEqual(expect.stringContaining("msgpackr"));
});
