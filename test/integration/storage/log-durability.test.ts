/** R4: what a disk that is watched, failing or full sees of the log. */
import { execFileSync, spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { expect, onTestFinished, test } from "vitest";

const APPENDER: string = fileURLToPath(new URL("./appender.ts", import.meta.url));

const works = (command: string, ...args: readonly string[]): boolean => spawnSync(command, args).status === 0;
const HAS_STRACE = works("strace", "-f", "-e", "trace=fsync", "true");

function temporaryFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), "openclaw-durability-"));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

/** Runs the appender under a command that ends in its own arguments; its lines. */
function run(command: readonly string[], folder: string, count: number, bytes = 300): readonly string[] {
  const [program = "", ...args] = [...command, process.execPath, APPENDER, folder, String(count), String(bytes)];
  return execFileSync(program, args, { encoding: "utf8" }).trim().split("\n");
}

const numbers = (lines: readonly string[], word: string): readonly number[] =>
  lines.filter((line) => line.startsWith(`${word} `)).map((line) => Number(line.split(" ")[1]));

const failures = (lines: readonly string[]): readonly string[] =>
  lines.filter((line) => line.startsWith("failed")).map((line) => line.split(" ")[2] ?? "");

/** What was acknowledged is there, and nothing that was never asked for. */
function expectKept(folder: string, lines: readonly string[]): void {
  const acknowledged = Math.max(0, ...numbers(lines, "ack"));
  const [opened = Number.NaN] = numbers(run([], folder, 0), "opened");
  expect(opened).toBeGreaterThanOrEqual(acknowledged);
  expect(opened).toBeLessThanOrEqual(Math.max(...numbers(lines, "ask")));
}

test.skipIf(!HAS_STRACE)(
  "R4: a sync of the segment ends between every append and its acknowledgement (needs strace)",
  () => {
    const folder = temporaryFolder();
    const trace = join(folder, "trace");
    const strace = ["strace", "-f", "-y", "-s", "32", "-e", "trace=fsync,fdatasync,write", "-o", trace];
    const lines = run(strace, join(folder, "data"), 20);
    expect(numbers(lines, "ack")).toHaveLength(20);
    // A worker's fsync that another thread's call interrupts in the trace ends in a "resumed" line of its own thread.
    const started = new Map<string, boolean>();
    let synced = 0;
    const perAppend: number[] = [];
    for (const line of readFileSync(trace, "utf8").split("\n")) {
      const [thread = ""] = line.split(" ");
      if (/ (?:fsync|fdatasync)\(/.test(line)) {
        const ofSegment = line.includes(".segment>");
        if (line.includes("<unfinished")) started.set(thread, ofSegment);
        else if (ofSegment && line.endsWith("= 0")) synced++;
      } else if (/<\.\.\. (?:fsync|fdatasync) resumed>/.test(line)) {
        if (started.get(thread) === true && line.endsWith("= 0")) synced++;
        started.delete(thread);
      } else if (line.includes('"ask ')) {
        synced = 0;
      } else if (line.includes('"ack ')) {
        perAppend.push(synced);
      }
    }
    expect(perAppend).toHaveLength(20);
    expect(Math.min(...perAppend)).toBeGreaterThanOrEqual(1);
  },
);

test.skipIf(!HAS_STRACE).each(["fdatasync", "pwrite64"])(
  "R4, pitfall 26: after a %s that failed nothing is acknowledged any more (needs strace)",
  (call) => {
    const folder = temporaryFolder();
    const inject = ["-e", `trace=${call}`, "-e", `inject=${call}:error=EIO:when=8+`];
    const strace = ["strace", "-f", "-P", join(folder, "log-0000000000000001.segment"), ...inject, "-o", "/dev/null"];
    const lines = run(strace, folder, 100);
    expect(numbers(lines, "ack").length).toBeGreaterThan(0);
    expect(numbers(lines, "ack").length).toBeLessThan(10);
    expect(failures(lines)).toEqual(["STORAGE_FAILED", "STORAGE_FAILED", "STORAGE_FAILED"]);
    expectKept(folder, lines);
  },
);

const small = mkdtempSync(join(tmpdir(), "openclaw-small-disk-"));
const MOUNTS: boolean = works("mount", "-t", "tmpfs", "-o", "size=9m", "tmpfs", small);
if (MOUNTS) execFileSync("umount", [small]);
rmSync(small, { recursive: true });

test.skipIf(!MOUNTS)(
  "pitfall 30: a full disk refuses with STORAGE_FULL and keeps what it acknowledged (needs root)",
  () => {
    const disk = temporaryFolder();
    execFileSync("mount", ["-t", "tmpfs", "-o", "size=9m", "tmpfs", disk]);
    onTestFinished(() => void execFileSync("umount", [disk]));
    const folder = join(disk, "data");
    // Two segments fit, and the log would need a third.
    const lines = run([], folder, 1_000, 12_000);
    expect(numbers(lines, "ack").length).toBeGreaterThan(10);
    expect(failures(lines)).toEqual(["STORAGE_FULL", "STORAGE_FULL", "STORAGE_FULL"]);
    execFileSync("mount", ["-o", "remount,size=20m", disk]);
    expectKept(folder, lines);
    const [again = 0] = numbers(run([], folder, 0), "opened");
    expect(numbers(run([], folder, again + 5), "ack")).toHaveLength(5);
  },
);
