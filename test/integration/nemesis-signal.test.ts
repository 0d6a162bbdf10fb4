/** Ctrl-C in the middle of a run of the nemesis: nothing of it is left on the machine. */
import { spawn } from "node:child_process";
import fs from "node:fs/promises";
import os from "node:os";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { expect, onTestFinished, test } from "vitest";
import { withoutNamespacesBecause } from "../nemesis/isolation.ts";
import { temporaryFolder } from "./site.ts";

const MAIN = fileURLToPath(new URL("../nemesis/main.ts", import.meta.url));
const TEST_MS = 180_000;

/** Command lines that name the folder: nodes, commands of the operator, the run itself. Linux tells them. */
async function processesOf(folder: string): Promise<readonly string[]> {
  const found: string[] = [];
  for (const pid of await fs.readdir("/proc")) {
    if (!/^\d+$/.test(pid)) continue;
    const commandLine = await fs.readFile(`/proc/${pid}/cmdline`, "utf8").catch(() => ""); // it has ended
    if (commandLine.includes(folder)) found.push(`${pid} ${commandLine.replaceAll("\0", " ")}`);
  }
  return found;
}

/** Ends it by SIGINT once it has said this. */
async function interrupted(said: RegExp, ...args: readonly string[]): Promise<void> {
  const folder = await temporaryFolder();
  const child = spawn(process.execPath, [MAIN, "--minutes", "10", ...args], {
    env: { ...process.env, TMPDIR: folder },
    stdio: ["ignore", "ignore", "pipe"],
  });
  onTestFinished(() => void child.kill("SIGKILL"));
  let told = "";
  child.stderr.setEncoding("utf8").on("data", (text: string) => {
    told += text;
  });
  const exited = new Promise<number | null>((resolve) => child.once("exit", resolve));
  await expect.poll(() => told, { timeout: TEST_MS / 2, interval: 50 }).toMatch(said);
  if (os.platform() === "linux") expect(await processesOf(folder)).not.toEqual([]);
  child.kill("SIGINT");
  // As npm does, which passes on what the terminal has sent already.
  child.kill("SIGINT");
  expect(await exited, told).toBe(130);
  expect(await fs.readdir(folder)).toEqual([]);
  if (os.platform() === "linux") {
    expect(await processesOf(folder)).toEqual([]);
    expect(await fs.readFile("/proc/self/mounts", "utf8")).not.toContain(path.basename(folder));
  }
}

test(
  "Ctrl-C while a member is being replaced: nodes are ended, the folder is removed, the exit code is 130",
  () => interrupted(/kill -9 of nemesis/, "--loopback", "--faults", "replace-member"),
  TEST_MS,
);

const without = await withoutNamespacesBecause();
if (without !== null) process.stderr.write(`one test of nemesis-signal.test.ts is skipped: ${without}\n`);

test.skipIf(without !== null)(
  "Ctrl-C in namespaces of our own, with a disk full and a network parted",
  async () => {
    await interrupted(/ is full.*partition: |partition: .* is full/s, "--faults", "full-disk,partition-all");
    expect(await fs.readdir("/run/netns").catch(() => [])).not.toContain("n1");
  },
  TEST_MS,
);
