/** `npm run check-history`: what it prints, and with which code it ends. */
import { execFile } from "node:child_process";
import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import { afterAll, expect, test } from "vitest";
import { checkHistoryCommand } from "../../history/command.ts";

const folder = fs.mkdtempSync(path.join(os.tmpdir(), "openclaw-history-"));
afterAll(() => fs.rmSync(folder, { recursive: true }));

function file(name: string, ...lines: readonly string[]): string {
  const at = path.join(folder, name);
  fs.writeFileSync(at, lines.map((line) => `${line}\n`).join(""));
  return at;
}

const event = (text: string): string => `INFO  jepsen.util - ${text}`;
const write = ["0 :invoke :write 1", "0 :ok :write 1"].map(event);
const good = file("good.log", ...write, event("1\t:invoke\t:read\tnil"), event("1\t:ok\t:read\t1"));
const bad = file("bad.log", ...write, event("1 :invoke :read nil"), event("1 :ok :read nil"));
const empty = file("empty.log");
const broken = file("broken.log", ...write, "0 :ok");
const store = file(
  "store.edn",
  '{:process 0, :type :invoke, :f :append, :key "k", :value "x"}',
  '{:process 0, :type :ok, :f :append, :key "k", :value "x"}',
  '{:process 0, :type :invoke, :f :get, :key "k", :value nil}',
  '{:process 0, :type :ok, :f :get, :key "k", :value "x"}',
);

function run(...args: readonly string[]) {
  const out: string[] = [];
  const err: string[] = [];
  let now = 0;
  const code = checkHistoryCommand(args, {
    print: (line) => out.push(line),
    warn: (line) => err.push(line),
    now: () => now++,
  });
  return { code, out, err };
}

test("one line a file, and the code of the worst", () => {
  expect(run(good, store, empty)).toEqual({
    code: 0,
    out: [good, store, empty].map((name) => `${name}: linearizable`),
    err: [],
  });
  expect(run(good, bad, store)).toEqual({
    code: 1,
    out: [`${good}: linearizable`, `${bad}: not linearizable`, `${store}: linearizable`],
    err: [],
  });
});

test("a file that holds no history: an error with file and line, code 2, and the others are checked", () => {
  const { code, out, err } = run(broken, bad);
  expect([code, out]).toEqual([2, [`${bad}: not linearizable`]]);
  expect(err).toEqual([`${broken}: line 3: this is no line of a register log: 0 :ok`]);
  const missing = run(path.join(folder, "missing.log"));
  expect([missing.code, missing.out]).toEqual([2, []]);
  expect(missing.err.join()).toContain("missing.log: ENOENT");
});

test("a budget that is used up: unknown, code 2", () => {
  // The clock of this test moves by a millisecond at every look.
  expect(run("--time", "0.001", bad, good)).toEqual({ code: 2, out: [`${bad}: unknown`, `${good}: unknown`], err: [] });
  expect(run("--memory", "0.001", bad).out).toEqual([`${bad}: unknown`]);
  expect(run("--memory", "0.001", "--explain", bad).out[1]).toContain("the budget of memory is used up");
});

test("--explain says what has no place", () => {
  const { out } = run("--explain", bad);
  expect(out).toEqual([
    `${bad}: not linearizable`,
    '  key "register", 2 operations: no order has a place for',
    "    process 1: get → nil (invoked at line 3, returned at line 4)",
    "  What had returned before has one; its last 1 of 1 are",
    '    process 0: put "1" (invoked at line 1, returned at line 2)',
  ]);
});

test("--json: one object a file", () => {
  const { code, out } = run("--json", "--explain", bad, broken, good);
  const [first, second, third] = out.map((line) => JSON.parse(line));
  expect(code).toBe(2);
  expect(first).toMatchObject({ file: bad, verdict: "not linearizable", operations: 2, unknownOutcomes: 0 });
  expect(first.reasons.length).toBeGreaterThan(1);
  expect(second).toEqual({ file: broken, error: `${broken}: line 3: this is no line of a register log: 0 :ok` });
  expect(third).toMatchObject({ verdict: "linearizable", reasons: [] });
});

test("help ends with 0, wrong usage with 2", () => {
  const help = run("--help");
  expect([help.code, help.err]).toEqual([0, []]);
  for (const word of ["--time", "--memory", "--json", "--explain", ":info", "jepsen.util"]) {
    expect(help.out.join()).toContain(word);
  }
  for (const args of [
    [],
    ["--nonsense", good],
    ["--time", "soon", good],
    ["--time", "0", good],
    ["--memory", "-1", good],
  ]) {
    const { code, out, err } = run(...args);
    expect([code, out]).toEqual([2, []]);
    expect(err.join()).toMatch(/error/);
  }
});

test("npm's script passes arguments, output and code on, from the folder of its caller", async () => {
  const script = path.resolve(import.meta.dirname, "../../../scripts/check-history.mjs");
  const ended = await new Promise((resolve) => {
    const env = { ...process.env, INIT_CWD: folder };
    execFile(process.execPath, [script, "good.log", "bad.log"], { env }, (error, stdout, stderr) =>
      resolve({ code: error === null ? 0 : error.code, stdout, stderr }),
    );
  });
  expect(ended).toEqual({ code: 1, stdout: "good.log: linearizable\nbad.log: not linearizable\n", stderr: "" });
});
