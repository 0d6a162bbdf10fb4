import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { BrowserLog } from "../../cycles/browser-log.ts";

const BYTES_MAX = 1_000;
let folder = "";

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "openclaw-browser-log-"));
});
afterEach(() => rmSync(folder, { recursive: true }));

const read = (name: string): string => readFileSync(join(folder, name), "utf8");

test("what a browser says is appended to what the one before it said", () => {
  const file = join(folder, "browser.log");
  new BrowserLog(file).line("first");
  new BrowserLog(file).note("second");
  expect(read("browser.log")).toMatch(/^first\n# \d{4}-\S+Z second\n$/);
});

test.each(["one log", "a log a line"])(
  "X1: of more than two files hold the newest is kept, and the file says so: %s",
  (way) => {
    const file = join(folder, "browser.log");
    const log = new BrowserLog(file, BYTES_MAX);
    const lines = Array.from({ length: 200 }, (_, i) => `line ${i} of what it said`);
    for (const line of lines) (way === "one log" ? log : new BrowserLog(file, BYTES_MAX)).line(line);
    expect(readdirSync(folder).sort()).toEqual(["browser.log", "browser.log.1"]);
    for (const name of readdirSync(folder)) expect(statSync(join(folder, name)).size).toBeLessThan(1.2 * BYTES_MAX);
    expect(statSync(`${file}.1`).size).toBeGreaterThanOrEqual(BYTES_MAX);
    const [note, ...newest] = read("browser.log").trimEnd().split("\n");
    expect(note).toMatch(/^# what came before is in .*browser\.log\.1/);
    const before = read("browser.log.1").trimEnd().split("\n").slice(1);
    expect([...before, ...newest]).toEqual(lines.slice(-before.length - newest.length));
  },
);

test("X1: a line is no longer than a file may be", () => {
  new BrowserLog(join(folder, "browser.log"), BYTES_MAX).line("x".repeat(10 * BYTES_MAX));
  expect(read("browser.log")).toHaveLength(BYTES_MAX + 1);
});
