import { typed } from "@openclaw/demo/check/typing.ts";
import { parseOptions } from "@openclaw/demo/options.ts";
import { sitesFor } from "@openclaw/demo/sites.ts";
import { expect, test } from "vitest";

test("1,000 transactions of the own trace by default, all of another one", () => {
  expect(parseOptions(["--check"]).transactions).toBe(1_000);
  expect(parseOptions(["--check", "--trace", "f.json"]).transactions).toBeNull();
  expect(parseOptions(["--check", "--transactions", "all"]).transactions).toBeNull();
  expect(parseOptions(["--check", "--trace", "f.json", "--transactions", "20"]).transactions).toBe(20);
});

test("a wrong option is refused in words", () => {
  expect(() => parseOptions(["--chekc"])).toThrow(/--help/);
  expect(() => parseOptions(["--speed", "fast"])).toThrow(/--speed takes a number/);
  expect(() => sitesFor(["ci"])).toThrow(/no site yet/);
  expect(sitesFor(["nn", "nn"]).map(({ name }) => name)).toEqual(["california", "alaska", "nevada"]);
});

test("a run names parents by hash where they were played before, by place where they are in the run", () => {
  const transactions = [
    { agent: 0, parents: [], patches: [] },
    { agent: 1, parents: [0], patches: [] },
    { agent: 1, parents: [1, 0], patches: [] },
  ];
  expect(typed([1, 2], transactions, ["aa"]).map(({ parents }) => parents)).toEqual([["aa"], [0, "aa"]]);
  expect(() => typed([2], transactions, ["aa"])).toThrow(/transaction 1 was not played/);
});
