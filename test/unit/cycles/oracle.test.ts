import { expect, test } from "vitest";
import { changeId, type LedgerEdits, type Look, Oracle, putId } from "../../cycles/oracle.ts";

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
  expect(lost).toEqual([`${put}: not at the site, at the hub`]);
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

const root = changeId("root");
const NONE = ledger({});
/** A look at a device on which everything that was asked for is. */
const look = (part: Partial<Look>): Look => ({
  safe: [],
  databaseLost: false,
  missing: new Set(),
  queued: new Map(),
  where: "on the device at cycle 7",
  ...part,
});
const lostOf = (oracle: Oracle): readonly string[] => oracle.judge(whole, whole).lost;
const MISSED = [`${change}: not on the device at cycle 7`];

test("an edit that is lost on the device, at the site and at the hub is one lost edit", () => {
  const oracle = shown([change, "device"]);
  oracle.look(look({ safe: [change], missing: new Set([change]) }), NONE);
  expect(oracle.judge(NONE, NONE).lost).toEqual([`${change}: not on the device at cycle 7, at the site, at the hub`]);
  expect(oracle.lost).toEqual(1);
});

test.each(["device", "site", "hub"] as const)(
  "S1: a change shown at %s that the document lacks is lost, queued and in the site's ledger or not, while no database was lost",
  (badge) => {
    const oracle = shown([change, badge]);
    const queued = new Map([[change, [root]]]);
    expect(oracle.look(look({ safe: [change], missing: new Set([change, root]), queued }), whole)).toEqual([]);
    expect(lostOf(oracle)).toEqual(MISSED);
    expect(oracle.owed).toEqual(0);
  },
);

test.each(["site", "hub"] as const)(
  "a change shown at %s is owed from the loss of the database until it is back, and not once more",
  (badge) => {
    const oracle = shown([change, "device"], [change, badge]);
    const missed = { safe: [change], missing: new Set([change]) };
    expect(oracle.look(look({ ...missed, databaseLost: true }), NONE)).toEqual([]);
    expect(oracle.look(look(missed), NONE)).toEqual([]);
    expect([oracle.owed, lostOf(oracle)]).toEqual([1, []]);
    oracle.look(look({ safe: [change] }), NONE);
    expect(oracle.owed).toEqual(0);
    oracle.look(look(missed), NONE);
    expect(lostOf(oracle)).toEqual(MISSED);
  },
);

test("an unanswered change is on the device when it is queued and waits for what went with the database", () => {
  const oracle = shown([change, "device"]);
  const waits = look({
    safe: [change],
    missing: new Set([change, root]),
    queued: new Map([[change, [root]]]),
  });
  expect(oracle.look({ ...waits, databaseLost: true }, NONE)).toEqual([]);
  expect(oracle.look(waits, NONE)).toEqual([]);
  expect([oracle.owed, lostOf(oracle)]).toEqual([1, []]);
  // No longer queued: it is at the site, or nowhere.
  expect(oracle.look({ ...waits, queued: new Map() }, NONE)).toEqual([change]);
});

test("an unanswered change that is queued, and missing from a document with all that it depends on, is lost", () => {
  const oracle = shown([change, "device"]);
  const queued = new Map([[change, [root]]]);
  oracle.look(look({ safe: [change], databaseLost: true, missing: new Set([change]), queued }), NONE);
  expect(lostOf(oracle)).toEqual(MISSED);
});

test("an unanswered change that went with the database is the site's ledger's to tell of; one that is in it is owed", () => {
  const oracle = shown([change, "device"]);
  const missed = { safe: [change], missing: new Set([change]) };
  expect(oracle.look(look({ ...missed, databaseLost: true }), NONE)).toEqual([change]);
  // Whoever asked could not be told: it is asked again at the next look.
  expect(oracle.look(look(missed), NONE)).toEqual([change]);
  expect(oracle.look(look(missed), whole)).toEqual([]);
  expect([oracle.owed, lostOf(oracle)]).toEqual([1, []]);
  expect(oracle.look(look(missed), NONE)).toEqual([change]);
  expect(oracle.kept()).toEqual([change]);
  oracle.lose([change], "on the device at cycle 7");
  expect([oracle.owed, oracle.kept()]).toEqual([0, []]);
  oracle.lose([change], "on the device at cycle 8");
  expect(oracle.look(look({ ...missed, databaseLost: true }), NONE)).toEqual([]);
  expect(oracle.owed).toEqual(0);
  expect(lostOf(oracle)).toEqual(MISSED);
});

test("a change that was first shown after the loss of the database is owed if it was queued at it", () => {
  const oracle = shown([change, "made"]);
  const queued = new Map([[change, [root]]]);
  const missing = new Set([change, root]);
  oracle.look(look({ databaseLost: true, missing, queued }), NONE);
  oracle.saw([[change, "device"]]);
  oracle.look(look({ safe: [change], missing, queued }), NONE);
  expect([oracle.owed, lostOf(oracle)]).toEqual([1, []]);
});

test("a put is queued or in the site's ledger, whichever databases were lost", () => {
  const oracle = shown([put, "device"]);
  for (const databaseLost of [false, true]) {
    expect(oracle.look(look({ safe: [put], databaseLost }), NONE)).toEqual([put]);
    expect(oracle.look(look({ safe: [put], databaseLost, queued: new Map([[put, []]]) }), NONE)).toEqual([]);
    expect(oracle.look(look({ safe: [put], databaseLost }), whole)).toEqual([]);
  }
  expect([oracle.owed, lostOf(oracle)]).toEqual([0, []]);
});
