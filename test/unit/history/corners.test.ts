/** Histories by hand, each of one corner of the definition, with the verdict that follows from it. */
import { expect, test } from "vitest";
import { checkHistory } from "../../history/check.ts";
import { readHistory } from "../../history/history-file.ts";

/** A register log in short: "0 invoke write 1; 0 ok write 1". */
function verdict(log: string): string {
  const lines = log.split(";").map((event) => {
    const [process, type, f, ...value] = event.trim().split(" ");
    const said = value.join(" ");
    return `INFO  jepsen.util - ${process}\t:${type}\t:${f}\t${said === "lost" ? ":timed-out" : said}`;
  });
  return checkHistory(readHistory(lines.join("\n")), { now: () => 0, milliseconds: 1, bytes: 10_000_000 }).verdict;
}

const YES = "linearizable";
const NO = "not linearizable";

/** Operations that run by themselves, and two that overlap. */
const write = (process: number, value: number): string =>
  `${process} invoke write ${value}; ${process} ok write ${value}`;
const read = (process: number, value: number | "nil"): string =>
  `${process} invoke read nil; ${process} ok read ${value}`;
const cas = (process: number, type: "ok" | "fail", from: number, to: number): string =>
  `${process} invoke cas [${from} ${to}]; ${process} ${type} cas [${from} ${to}]`;
const lost = (process: number, f: "write" | "cas", value: string): string =>
  `${process} invoke ${f} ${value}; ${process} info ${f} lost`;

const corners: readonly (readonly [string, string, readonly string[]])[] = [
  ["a register is nil at first", YES, [read(0, "nil")]],
  ["nothing was written", NO, [read(0, 1)]],
  ["a read sees the last write", YES, [write(0, 1), write(1, 2), read(2, 2)]],
  ["a stale read", NO, [write(0, 1), write(1, 2), read(2, 1)]],
  ["a read that goes back", NO, ["0 invoke write 1", read(1, 1), read(1, "nil"), "0 ok write 1"]],
  ["a write that is lost after its acknowledgement", NO, [write(0, 1), read(1, "nil")]],
  ["of two concurrent writes either may be last", YES, ["0 invoke write 1", write(1, 2), "0 ok write 1", read(2, 1)]],
  ["of two concurrent writes either may be last", YES, ["0 invoke write 1", write(1, 2), "0 ok write 1", read(2, 2)]],
  [
    "but readers agree on which",
    NO,
    ["0 invoke write 1", write(1, 2), "0 ok write 1", read(2, 1), read(2, 2), read(3, 1)],
  ],
  ["a read during a write sees either value", YES, ["0 invoke write 1", read(1, "nil"), read(1, 1), "0 ok write 1"]],
  ["a cas that succeeds", YES, [write(0, 1), cas(1, "ok", 1, 2), read(0, 2)]],
  ["a cas that cannot have succeeded", NO, [write(0, 1), cas(1, "ok", 2, 3)]],
  ["a lost update: two cas from one value", NO, [write(0, 1), cas(1, "ok", 1, 2), cas(2, "ok", 1, 3)]],
  ["a failed cas saw another value", YES, [write(0, 1), cas(1, "fail", 2, 3), read(0, 1)]],
  ["a failed cas from the value that is there", NO, [write(0, 1), cas(1, "fail", 1, 2)]],
  ["a failed cas during a write that makes its from", YES, ["0 invoke write 1", cas(1, "fail", 1, 2), "0 ok write 1"]],
  ["a failed cas changes nothing", NO, [write(0, 1), cas(1, "fail", 2, 3), read(0, 3)]],
  ["a cas from a value to itself is an observation", NO, [write(0, 1), cas(1, "ok", 2, 2)]],
  ["an unknown write that took effect", YES, [write(0, 1), lost(1, "write", "2"), read(0, 2)]],
  ["an unknown write that never did", YES, [write(0, 1), lost(1, "write", "2"), read(0, 1)]],
  [
    "an unknown write that takes effect late",
    YES,
    [lost(1, "write", "2"), write(0, 1), read(0, 1), write(0, 3), read(0, 3), read(0, 2)],
  ],
  [
    "an unknown write takes effect once only",
    NO,
    [lost(1, "write", "2"), read(0, 2), write(0, 1), read(0, 1), read(0, 2)],
  ],
  [
    "two unknown writes of one value take effect twice",
    YES,
    [lost(1, "write", "2"), lost(2, "write", "2"), read(0, 2), write(0, 1), read(0, 1), read(0, 2)],
  ],
  ["an unknown write takes no effect before its invocation", NO, [read(0, 2), lost(1, "write", "2")]],
  ["an unknown cas takes effect if its from is there", YES, [write(0, 1), lost(1, "cas", "[1 2]"), read(0, 2)]],
  ["an unknown cas takes no effect if it is not", NO, [write(0, 3), lost(1, "cas", "[1 2]"), read(0, 2)]],
  [
    "unknown outcomes that build on each other",
    YES,
    [write(0, 1), lost(1, "cas", "[2 3]"), lost(2, "write", "2"), read(0, 1), read(0, 3)],
  ],
  [
    "an unknown write of a value that nobody reads explains a failed cas",
    YES,
    [write(0, 1), lost(1, "write", "9"), cas(0, "fail", 1, 2)],
  ],
  [
    "and only one of them",
    NO,
    [write(0, 1), lost(1, "write", "9"), cas(0, "fail", 1, 2), write(0, 1), cas(0, "fail", 1, 2)],
  ],
  ["a failed write did not happen", NO, ["0 invoke write 1; 0 fail write 1", read(1, 1)]],
  ["a failed read tells nothing", YES, [write(0, 1), "1 invoke read nil; 1 fail read lost", read(0, 1)]],
  ["a read without an answer tells nothing", YES, [write(0, 1), "1 invoke read nil; 1 info read lost", read(0, 1)]],
  ["what is open at the end may have taken effect", YES, ["0 invoke write 1", read(1, 1)]],
  ["what is open at the end may not have", YES, ["0 invoke write 1", read(1, "nil")]],
];

test.each(corners)("%s: %s", (_name, expected, events) => {
  expect(verdict(events.join("; "))).toBe(expected);
});

const store = (lines: readonly string[]): string =>
  checkHistory(readHistory(lines.map((line) => `{${line}}`).join("\n")), {
    now: () => 0,
    milliseconds: 1,
    bytes: 10_000_000,
  }).verdict;
const append = (process: number, value: string, key = "k"): string[] =>
  ["invoke", "ok"].map((type) => `:process ${process}, :type :${type}, :f :append, :key "${key}", :value "${value}"`);
const get = (process: number, value: string, key = "k"): string[] => [
  `:process ${process}, :type :invoke, :f :get, :key "${key}", :value nil`,
  `:process ${process}, :type :ok, :f :get, :key "${key}", :value "${value}"`,
];

test("appends add up, and their order is seen", () => {
  expect(store([...get(0, ""), ...append(0, "a"), ...append(1, "b"), ...get(0, "ab")])).toBe(YES);
  expect(store([...append(0, "a"), ...append(1, "b"), ...get(0, "ba")])).toBe(NO);
  expect(store([...append(0, "a"), ...append(1, "b"), ...get(0, "b")])).toBe(NO);
  const [begin = "", end = ""] = append(0, "a");
  expect(store([begin, ...append(1, "b"), end, ...get(0, "ba")])).toBe(YES);
  expect(store([begin, ...get(1, ""), end, ...get(0, "")])).toBe(NO);
});

test("an append runs once, and an unknown one at most once", () => {
  const unknown = [
    ':process 5, :type :invoke, :f :append, :key "k", :value "b"',
    ':process 5, :type :info, :f :append, :key "k", :value nil',
  ];
  expect(store([...append(0, "a"), ...get(0, "aa")])).toBe(NO);
  expect(store([...append(0, "a"), ...unknown, ...get(0, "a"), ...get(0, "ab")])).toBe(YES);
  expect(store([...append(0, "a"), ...unknown, ...get(0, "abb")])).toBe(NO);
});

test("keys are independent", () => {
  expect(store([...append(0, "a", "x"), ...append(0, "b", "y"), ...get(1, "a", "x"), ...get(1, "b", "y")])).toBe(YES);
  expect(store([...append(0, "a", "x"), ...get(1, "a", "x"), ...append(0, "b", "y"), ...get(1, "", "y")])).toBe(NO);
});
