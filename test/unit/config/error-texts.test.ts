/** What an error says of itself: at once in Node, and in a browser in full once the texts are loaded. */
import { ERRORS, type ErrorCode } from "@openclaw/core/error-codes.ts";
import { ERROR_TEXTS } from "@openclaw/core/error-texts.ts";
import { OpenClawError } from "@openclaw/core/errors.ts";
import { expect, test, vi } from "vitest";

const LOADED = "@openclaw/core/error-texts.ts";
const codes = Object.keys(ERRORS) as ErrorCode[];

test("in Node an error has its text from the start", () => {
  const error = new OpenClawError("FORK", "revision 7");
  expect(error.message).toBe(`${ERROR_TEXTS.FORK} (revision 7)`);
});

test("in a browser an error says its code until the texts are loaded, and what failed is loaded at the next call", async () => {
  const { loadErrorTexts, textOf } = await import("@openclaw/core/error-texts-beside.ts");
  vi.doMock(LOADED, () => {
    throw new Error("no network");
  });
  await expect(loadErrorTexts()).rejects.toThrow();
  expect(textOf("WRONG_CLUSTER")).toBe("wrong cluster");
  vi.doUnmock(LOADED);
  await loadErrorTexts();
  expect(codes.map(textOf)).toEqual(codes.map((code) => ERROR_TEXTS[code]));
});
