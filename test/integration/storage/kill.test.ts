/** R5–R7: a process killed at any moment between its writes to log and state goes on as if it had not been. */
import { spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { expect, onTestFinished, test } from "vitest";

const LIFE: string = fileURLToPath(new URL("./node-life.ts", import.meta.url));

function temporaryFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), "openclaw-kill-"));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

interface Life {
  readonly base: number;
  readonly applied: number;
  readonly last: number;
  readonly acknowledged: number;
  readonly hash: string | null;
}

/** Runs until entry `count`, or until it is killed right after it said that it acknowledged `killAt`. */
async function live(folder: string, count: number, killAt: number | null): Promise<Life> {
  const child = spawn(process.execPath, [LIFE, folder, String(count), String(killAt ?? "")], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  const ended = new Promise<void>((resolve) => void child.once("exit", () => resolve()));
  let [base, applied, last, acknowledged] = [Number.NaN, Number.NaN, Number.NaN, 0];
  let hash: string | null = null;
  for await (const line of createInterface({ input: child.stdout })) {
    const [word, ...fields] = line.split(" ");
    if (word === "opened") [base = 0, applied = 0, last = 0] = fields.map(Number);
    if (word === "ack") acknowledged = Number(fields[0]);
    if (word === "hash") hash = fields[0] ?? null;
  }
  await ended;
  return { base, applied, last, acknowledged, hash };
}

test("R5–R7: killed again and again, it loses nothing that it acknowledged and ends with the same state", async () => {
  const folder = temporaryFolder();
  let acknowledged = 0;
  // Around the checkpoint and the cut at every 40th entry, and in between.
  for (const killAt of [1, 39, 40, 41, 79, 80, 81, 150, 200, 233]) {
    const life = await live(folder, 1_000, killAt);
    expect(life.last).toBeGreaterThanOrEqual(acknowledged);
    expect(life.applied).toBeLessThanOrEqual(life.last);
    // R7: what the log no longer has, the state has.
    expect(life.base).toBeLessThanOrEqual(life.applied);
    expect(life.hash).toBe(null);
    acknowledged = life.acknowledged;
  }
  const end = await live(folder, 300, null);
  expect(end.last).toBeGreaterThanOrEqual(acknowledged);
  expect(end.acknowledged).toBe(300);
  const undisturbed = await live(temporaryFolder(), 300, null);
  expect(end.hash).toMatch(/^[0-9a-f]{64}$/);
  expect(end.hash).toBe(undisturbed.hash);
});
