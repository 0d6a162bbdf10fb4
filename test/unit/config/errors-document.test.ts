import { readFileSync } from "node:fs";
import { ERRORS } from "@openclaw/core/error-codes.ts";
import { expect, test } from "vitest";

interface Row {
  readonly code: string;
  readonly status: string | undefined;
  readonly retry: string | undefined;
  readonly meaning: string | undefined;
  readonly next: string | undefined;
}

const rows = readFileSync(new URL("../../../docs/errors.md", import.meta.url), "utf8")
  .split("\n")
  .flatMap((line): Row[] => {
    const [, code, status, retry, meaning, next] = line.split("|").map((cell) => cell.trim());
    const name = /^`([A-Z_]+)`$/.exec(code ?? "")?.[1];
    return name === undefined ? [] : [{ code: name, status, retry, meaning, next }];
  });

test("docs/errors.md has one row for each code, in the order of the table, with its status and whether to retry", () => {
  const documented = rows.map(({ code, status, retry }) => [code, status, retry]);
  const table = Object.entries(ERRORS).map(([code, { status, retryable }]) => [
    code,
    String(status),
    retryable ? "yes" : "no",
  ]);
  expect(documented).toEqual(table);
});

test.each(rows)("$code says what it means and what to do next", ({ meaning, next }) => {
  for (const text of [meaning, next]) expect(text).toMatch(/^.{6,}\.$/s);
});
