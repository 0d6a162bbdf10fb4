import { expect, test } from "vitest";
import { changeId, type LedgerEdits, Oracle, putId } from "../../cycles/oracle.ts";

const [change, put] = [changeId("a1"), putId("cycles/1")];
const ledger = (
  times: Readonly<Record<string, number>>,
  values: Readonly<Record<string, string>> = {},
): LedgerEdits => ({
  times: new Map(Object.entries(times)),
  values: new Map(Object.entries(values)),
});
const whole = ledger({ [change]: 1, [put]: 1 }, { [put]: "v" });
const NOTHING = { lost: [], doubled: [], falselyAtHub: [], spoilt: [] };

function shown(...badges: readonly (readonly [string, "made" | "device" | "site" | "hub" | "refused"])[]): Oracle {
  const oracle = new Oracle();
  oracle.puts("cycles/1", "v");
  oracle.saw(badges);
  return oracle;
}

test("S1: what was shown as device, and reached site and hub once, is as promised", () => {
  expect(shown([change, "device"], [put, "hub"]).judge(whole, whole)).toEqual(NOTHING);
});

test("S1: an edit that was shown as device and is nowhere is lost; one that was only made is not", () => {
  const oracle = shown([change, "made"], [put, "made"], [put, "device"]);
  const { lost } = oracle.judge(ledger({}), ledger({}));
  expect(lost).toEqual([`${put} at the site`, `${put} at the hub`]);
});

test("an edit twice in a ledger is doubled", () => {
  const twice = ledger({ [change]: 2, [put]: 1 }, { [put]: "v" });
  expect(shown().judge(twice, whole).doubled).toEqual([`${change} 2 times at the site`]);
});

test("an edit that was shown at the hub, and is at the site only, was falsely shown", () => {
  const { falselyAtHub } = shown([change, "hub"]).judge(whole, ledger({}));
  expect(falselyAtHub).toEqual([change]);
});

test("a refusal, and another value than was put, are told", () => {
  const other = ledger({ [put]: 1 }, { [put]: "w" });
  const { spoilt } = shown([change, "refused"], [put, "device"]).judge(other, whole);
  expect(spoilt).toEqual([`${change} was refused`, `${put} at the site is "w"`]);
});

test("who waits for a badge hears of the next edit that wears it first, not of one that wore it before", async () => {
  const oracle = shown([change, "device"]);
  let heard = false;
  const waiting = oracle.next("device").then(() => {
    heard = true;
  });
  oracle.saw([[change, "device"]]);
  await Promise.resolve();
  expect(heard).toBe(false);
  oracle.saw([[put, "device"]]);
  await waiting;
  expect(oracle.counts()).toEqual({ made: 0, device: 2, site: 0, hub: 0, refused: 0 });
});
