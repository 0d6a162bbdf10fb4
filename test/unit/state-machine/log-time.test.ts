/** T1 at the state machine: log time is the sum of the stamps, however entries are batched. */
import { index, term } from "@openclaw/core/ids.ts";
import type { Entry } from "@openclaw/core/raft/message.ts";
import { encodeCommands } from "@openclaw/core/state-machine/command-codec.ts";
import { expect, test } from "vitest";
import { header, hexed, OneCluster, put } from "./one-cluster.ts";

const entryOf = (at: number, stamp: number, kind: Entry["kind"], data = new Uint8Array(0)): Entry => ({
  term: term(1),
  index: index(at),
  kind,
  stamp,
  data,
});
const puts = encodeCommands([
  { header: header(1), ...put("a", "1") },
  { header: header(2), ...put("b", "2") },
]);
const stamp = encodeCommands([{ header: header(3), kind: "stamp" }]);

const ENTRIES = [
  entryOf(1, 0, "noop"),
  entryOf(2, 40, "commands", puts),
  entryOf(3, 0, "noop"),
  entryOf(4, 2, "commands", stamp),
  entryOf(5, 5, "commands", new Uint8Array([1, 2, 3])),
];

test("T1, R9: the stamps of all entries add up, in one run or in many, and with no-ops and what cannot be read", () => {
  const whole = new OneCluster("shop");
  const one = new OneCluster("shop");
  const together = whole.apply(ENTRIES);
  const apart = ENTRIES.flatMap((entry) => one.apply([entry]));
  expect(together).toEqual(apart);
  expect(whole.position.logTime).toBe(47);
  expect(hexed(one.view.rows())).toEqual(hexed(whole.view.rows()));
});

test("T1, L1: a stamp says what log time it is, takes no revision and leaves no record", () => {
  const cluster = new OneCluster("shop");
  const results = cluster.apply(ENTRIES.slice(0, 4));
  expect(results.at(-1)).toEqual({ kind: "stamped", logTime: 42 });
  expect(cluster.position.revision).toBe(2);
  expect(cluster.records).toHaveLength(2);
});

test("T1: log time is in the state's hash, and a run without any changes nothing", () => {
  const [early, late] = [new OneCluster("shop"), new OneCluster("shop")];
  early.apply([entryOf(1, 1, "noop")]);
  late.apply([entryOf(1, 2, "noop")]);
  expect(hexed(early.query({ kind: "stateHash" }).hash)).not.toBe(hexed(late.query({ kind: "stateHash" }).hash));
  const before = hexed(late.view.rows());
  late.apply([entryOf(2, 0, "noop")]);
  expect(hexed(late.view.rows())).toEqual(before);
});

test("T1: wall time decides nothing: commands from before 1970 and from the year 9999 move log time by their stamps", () => {
  const cluster = new OneCluster("shop");
  for (const [at, time] of [-1e12, 253_370_764_800_000].entries()) {
    const data = encodeCommands([{ header: { ...header(at), time }, ...put("k", `${at}`) }]);
    cluster.apply([entryOf(at + 1, 3, "commands", data)]);
  }
  expect(cluster.position.logTime).toBe(6);
  expect(cluster.records.map(({ time }) => time)).toEqual([-1e12, 253_370_764_800_000]);
});
