/** Recording a history, and what the checker refuses of one that was put together by hand. */
import { expect, test } from "vitest";
import { checkHistory } from "../../history/check.ts";
import { HistoryError, type Operation } from "../../history/history.ts";
import { Recorder } from "../../history/recorder.ts";
import { findViolation } from "../../history/violation.ts";

const budget = { now: () => 0, milliseconds: 1, bytes: 10_000_000 };

test("moments follow each other, and what is open is of unknown outcome", () => {
  const recorder = new Recorder();
  recorder.invoke(1, "k", { kind: "put", value: "a" });
  recorder.invoke(2, "k", { kind: "get" });
  recorder.complete(2, { kind: "saw", value: "a" });
  recorder.invoke(2, "k", { kind: "cas", from: "a", to: "b" });
  recorder.complete(2, { kind: "unknown" });
  recorder.invoke(2, "k", { kind: "delete" });
  expect(recorder.open(2)?.call.kind).toBe("delete");
  expect(
    recorder.operations().map(({ process, invoked, returned, outcome }) => [process, invoked, returned, outcome.kind]),
  ).toEqual([
    [1, 1, null, "unknown"],
    [2, 2, 3, "saw"],
    [2, 4, null, "unknown"],
    [2, 5, null, "unknown"],
  ]);
  expect(checkHistory(recorder.operations(), budget).verdict).toBe("linearizable");
});

test("a process does one thing at a time and ends it as it can end", () => {
  const recorder = new Recorder();
  recorder.invoke(1, "k", { kind: "get" });
  expect(() => recorder.invoke(1, "k", { kind: "get" })).toThrow(HistoryError);
  expect(() => recorder.complete(2, { kind: "ok" })).toThrow(HistoryError);
  expect(() => recorder.complete(1, { kind: "ok" })).toThrow(/a get cannot end with "ok"/);
  recorder.complete(1, { kind: "failed" });
  expect(() => recorder.complete(1, { kind: "failed" })).toThrow(HistoryError);
});

const put: Operation = {
  process: 0,
  key: "k",
  call: { kind: "put", value: "1" },
  invoked: 1,
  returned: 2,
  outcome: { kind: "ok" },
};

test("an operation that contradicts itself is refused", () => {
  expect(() => checkHistory([{ ...put, returned: 1 }], budget)).toThrow(HistoryError);
  expect(() => checkHistory([{ ...put, returned: null }], budget)).toThrow(HistoryError);
  expect(() => checkHistory([{ ...put, outcome: { kind: "unknown" } }], budget)).toThrow(HistoryError);
  expect(() => checkHistory([{ ...put, outcome: { kind: "differed" } }], budget)).toThrow(HistoryError);
  expect(() => checkHistory([{ ...put, invoked: Number.NaN }], budget)).toThrow(HistoryError);
});

test("equal moments are concurrent", () => {
  const get: Operation = { ...put, process: 1, call: { kind: "get" }, outcome: { kind: "saw", value: null } };
  expect(checkHistory([put, { ...get, invoked: 2, returned: 3 }], budget).verdict).toBe("linearizable");
  expect(checkHistory([put, { ...get, invoked: 2.5, returned: 3 }], budget).verdict).toBe("not linearizable");
});

test("a violation: the longest beginning that has an order, and the return that has no place in it", () => {
  const recorder = new Recorder();
  const run = (process: number, call: Operation["call"], outcome: Operation["outcome"]): void => {
    recorder.invoke(process, "k", call);
    recorder.complete(process, outcome);
  };
  run(0, { kind: "put", value: "a" }, { kind: "ok" });
  recorder.invoke(7, "k", { kind: "put", value: "late" });
  run(1, { kind: "put", value: "b" }, { kind: "ok" });
  run(2, { kind: "get" }, { kind: "saw", value: "b" });
  run(3, { kind: "get" }, { kind: "saw", value: "a" });
  run(4, { kind: "put", value: "c" }, { kind: "ok" });
  run(5, { kind: "get" }, { kind: "saw", value: "nobody wrote it" });
  const violation = findViolation(recorder.operations(), budget);
  expect(violation?.blocked).toMatchObject({ process: 3, outcome: { value: "a" } });
  expect(violation?.order.map(({ process }) => process)).toEqual([0, 1, 2]);
  expect(violation?.open.map(({ process }) => process)).toEqual([7]);
});
