/** Both file formats: what a line means, and what is refused, by its line. */
import { describe, expect, test } from "vitest";
import { checkHistory } from "../../history/check.ts";
import { HistoryError, type Operation } from "../../history/history.ts";
import { readHistory } from "../../history/history-file.ts";
import { writeKeyValueLog } from "../../history/key-value-log.ts";
import { SeededRandom } from "../../simulation/seeded-random.ts";
import { generatedHistory } from "./generated-history.ts";

function refusal(text: string): string {
  try {
    readHistory(text);
  } catch (error) {
    if (error instanceof HistoryError) return error.message;
    throw error;
  }
  throw new Error("it was read");
}

const INFO = "INFO  jepsen.util - ";
const register = (...lines: readonly string[]): string => lines.map((line) => `${INFO}${line}`).join("\n");

test("an empty file is an empty history", () => {
  expect(readHistory("")).toEqual([]);
  expect(readHistory("\r\n  \n")).toEqual([]);
});

test("a first line of neither format is refused", () => {
  expect(refusal("\nhello\n")).toMatch(/^line 2: neither a register log/);
});

describe("register logs", () => {
  test("tabs, spaces, blank lines, CRLF and a byte order mark are read alike", () => {
    const plain = readHistory(`${INFO}0 :invoke :write 4\n\n${INFO}0 :ok :write 4\n`);
    expect(plain).toEqual([
      {
        process: 0,
        key: "register",
        call: { kind: "put", value: "4" },
        invoked: 1,
        returned: 3,
        outcome: { kind: "ok" },
      },
    ]);
    expect(readHistory(`\uFEFF${INFO}0\t:invoke\t:write\t4\r\n\r\n${INFO}0\t:ok\t:write\t4 \r\n`)).toEqual(plain);
  });

  test("each kind of end", () => {
    const operations = readHistory(
      register(
        "0 :invoke :read nil",
        "1 :invoke :cas [1 2]",
        "2 :invoke :cas [3 4]",
        "3 :invoke :write 007",
        "4 :invoke :read nil",
        "5 :invoke :cas [1 2]",
        "6 :invoke :write 5",
        "0 :ok :read nil",
        "1 :ok :cas [1 2]",
        "2 :fail :cas [3 4]",
        "3 :info :write :timed-out",
        "4 :fail :read :timed-out",
        "5 :info :cas :timed-out",
        "3 :invoke :read nil",
        "3 :ok :read 7",
      ),
    );
    expect(operations.map(({ process, outcome, returned }) => [process, outcome, returned])).toEqual([
      [0, { kind: "saw", value: null }, 8],
      [1, { kind: "ok" }, 9],
      [2, { kind: "differed" }, 10],
      [3, { kind: "unknown" }, null],
      [4, { kind: "failed" }, 12],
      [5, { kind: "unknown" }, null],
      [6, { kind: "unknown" }, null],
      [3, { kind: "saw", value: "7" }, 15],
    ]);
    expect(operations[3]?.call).toEqual({ kind: "put", value: "7" });
  });

  const refused: readonly (readonly [string, RegExp, readonly string[]])[] = [
    ["another word", /^line 1: this is no line of a register log/, ["0 :invoke :delete nil"]],
    ["half a line", /^line 2: this is no line/, ["0 :invoke :read nil", "0 :ok :read"]],
    ["a value that is no number", /^line 1: this is no line/, ["0 :invoke :write x"]],
    ["a cas of one value", /^line 1: this is no line/, ["0 :invoke :cas [1]"]],
    ["a call with another's value", /^line 1: :write takes no \[1 2\]/, ["0 :invoke :write [1 2]"]],
    ["a write of nil", /^line 1: :write takes no nil/, ["0 :invoke :write nil"]],
    ["a return of nothing", /^line 1: process 0 returns, and has nothing open/, ["0 :ok :read 1"]],
    ["a second return", /^line 3: process 0 returns, and/, ["0 :invoke :write 1", "0 :ok :write 1", "0 :ok :write 1"]],
    [
      "a second invocation",
      /^line 2: process 0 invokes get while its put is open/,
      ["0 :invoke :write 1", "0 :invoke :read nil"],
    ],
    ["a return of another call", /^line 2: process 0 returns from :read/, ["0 :invoke :write 1", "0 :ok :read 1"]],
    [
      "a return of another value",
      /^line 2: process 0 returns from :write with another/,
      ["0 :invoke :write 1", "0 :ok :write 2"],
    ],
    [
      "an answer that timed out",
      /^line 2: a register holds a number or nil/,
      ["0 :invoke :read nil", "0 :ok :read :timed-out"],
    ],
    ["a success that timed out", /^line 2: an :ok has a value/, ["0 :invoke :write 1", "0 :ok :write :timed-out"]],
  ];

  test.each(refused)("refused: %s", (_name, message, lines) => {
    expect(refusal(register(...lines))).toMatch(message);
  });

  test("a line of the other format is refused", () => {
    expect(refusal(`${register("0 :invoke :read nil")}\n{:process 0}`)).toMatch(/^line 2: this is no line/);
  });
});

describe("key-value histories", () => {
  const invoke = '{:process 0, :type :invoke, :f :put, :key "k", :value "v"}';

  test("blanks, the order of fields and fields of others do not matter", () => {
    const plain = readHistory(`${invoke}\n{:process 0, :type :ok, :f :put, :key "k", :value "v"}`);
    expect(plain).toEqual([
      { process: 0, key: "k", call: { kind: "put", value: "v" }, invoked: 1, returned: 2, outcome: { kind: "ok" } },
    ]);
    const other =
      '{ :value "v" :key "k",:f :put :type :invoke :process 0 :index 7 :error [:a "b"] }\r\n{:type :ok :process 0 :f :put :key "k" :value "v"}\r\n';
    expect(readHistory(other)).toEqual(plain);
  });

  test("escapes in strings", () => {
    const text = String.raw`{:process 0, :type :invoke, :f :append, :key "a\"b\\", :value "\t\n\u00e9 } {:x 😀"}`;
    expect(readHistory(text)[0]).toMatchObject({ key: 'a"b\\', call: { value: "\t\n\u00e9 } {:x 😀" } });
  });

  test("the empty string is no value", () => {
    const lines = [
      '{:process 0, :type :invoke, :f :get, :key "k", :value nil}',
      '{:process 0, :type :ok, :f :get, :key "k", :value ""}',
    ];
    expect(readHistory(lines.join("\n"))[0]?.outcome).toEqual({ kind: "saw", value: null });
    expect(readHistory('{:process 0, :type :invoke, :f :put, :key "k", :value ""}')[0]?.call).toEqual({
      kind: "delete",
    });
  });

  test("failed and unknown ends, with the value or nil", () => {
    const ends = [':type :fail, :f :cas, :key "k", :value ["a" nil]', ':type :fail, :f :cas, :key "k", :value nil'];
    const outcomes = [...ends, ':type :info, :f :cas, :key "k", :value nil'].map(
      (end) =>
        readHistory(`{:process 0, :type :invoke, :f :cas, :key "k", :value ["a" nil]}\n{:process 0, ${end}}`)[0]
          ?.outcome.kind,
    );
    expect(outcomes).toEqual(["differed", "failed", "unknown"]);
  });

  const refused: readonly (readonly [string, RegExp, string])[] = [
    ["half a map", /^line 2: the map does not end/, '{:process 0, :type :ok, :f :put, :key "k"'],
    ["half a string", /^line 2: this cannot be read: "v/, '{:process 0, :type :ok, :f :put, :key "k", :value "v}'],
    [
      "a field twice",
      /^line 2: :key is there twice/,
      '{:process 0, :type :ok, :f :put, :key "k", :key "k", :value "v"}',
    ],
    ["a field too few", /^line 2: there is no :key/, '{:process 0, :type :ok, :f :put, :value "v"}'],
    ["no value", /^line 2: there is no :value/, '{:process 0, :type :ok, :f :put, :key "k"}'],
    [
      "text after the map",
      /^line 2: there is something after/,
      '{:process 0, :type :ok, :f :put, :key "k", :value "v"} {',
    ],
    [
      "a process that is no number",
      /^line 2: :process is a number/,
      '{:process "0", :type :ok, :f :put, :key "k", :value "v"}',
    ],
    ["another type", /^line 2: :type is :invoke, :ok/, '{:process 0, :type :done, :f :put, :key "k", :value "v"}'],
    [
      "another key",
      /^line 2: process 0 returns from :put on another key/,
      '{:process 0, :type :ok, :f :put, :key "x", :value "v"}',
    ],
    [
      "another value",
      /^line 2: process 0 returns from :put with another value/,
      '{:process 0, :type :ok, :f :put, :key "k", :value "w"}',
    ],
    [
      "another process",
      /^line 2: process 1 returns, and has nothing open/,
      '{:process 1, :type :ok, :f :put, :key "k", :value "v"}',
    ],
    ["an open process", /^line 2: process 0 invokes put while/, invoke],
    [
      "an unknown escape",
      /^line 2: a string has no escape \\q/,
      String.raw`{:process 0, :type :ok, :f :put, :key "k", :value "\q"}`,
    ],
    ["another call", /^line 2: :f is :get, :put/, '{:process 1, :type :invoke, :f :incr, :key "k", :value "v"}'],
    [
      "a put of nil",
      /^line 2: :put takes another :value/,
      '{:process 1, :type :invoke, :f :put, :key "k", :value nil}',
    ],
    [
      "a number that is part of a word",
      /^line 2: this cannot be read: 0x/,
      '{:process 0x, :type :ok, :f :put, :key "k", :value "v"}',
    ],
  ];

  test.each(refused)("refused: %s", (_name, message, line) => {
    expect(refusal(`${invoke}\n${line}`)).toMatch(message);
  });
});

describe("a history that is written", () => {
  const kinds = ["get", "put", "cas", "delete", "append"] as const;

  test("is read again as it was, unknown and failed outcomes included", () => {
    for (let seed = 1; seed <= 20; seed++) {
      const shape = { operations: 40, processes: 4, keys: 2, values: 3, unknown: 0.2, kinds };
      const history = generatedHistory(new SeededRandom(seed), shape).map(
        (operation): Operation =>
          operation.returned !== null && operation.invoked % 7 === 0
            ? { ...operation, outcome: { kind: "failed" } }
            : operation,
      );
      const again = readHistory(writeKeyValueLog(history).join("\n"));
      const timeless = (operations: readonly Operation[]) =>
        operations.map(({ process, key, call, outcome }) => ({ process, key, call, outcome }));
      expect(timeless(again)).toEqual(timeless(history));
      // Moments are other numbers now, in the same order.
      const moments = (operations: readonly Operation[]) =>
        operations
          .flatMap(({ invoked, returned }, i) => [
            { moment: invoked, name: `${i}` },
            ...(returned === null ? [] : [{ moment: returned, name: `${i} returned` }]),
          ])
          .sort((a, b) => a.moment - b.moment)
          .map(({ name }) => name);
      expect(moments(again)).toEqual(moments(history));
      const budget = { now: () => 0, milliseconds: 1, bytes: 100_000_000 };
      expect(checkHistory(again, budget).verdict).toBe(checkHistory(history, budget).verdict);
    }
  });

  test("is refused if the format cannot say it", () => {
    const put: Operation = {
      process: 0,
      key: 'k"\n',
      call: { kind: "put", value: "v" },
      invoked: 1,
      returned: 5,
      outcome: { kind: "ok" },
    };
    expect(writeKeyValueLog([put])[0]).toBe(String.raw`{:process 0, :type :invoke, :f :put, :key "k\"\n", :value "v"}`);
    expect(() => writeKeyValueLog([{ ...put, call: { kind: "put", value: "" } }])).toThrow(HistoryError);
    expect(() => writeKeyValueLog([put, { ...put, invoked: 3, returned: 7 }])).toThrow(/overlaps its own last call/);
  });
});
