/** The unattended check itself: it passes on a sound fleet, and it can fail. Small inputs; `npm start -- --check` takes large ones. */
import { spawn } from "node:child_process";
import fs from "node:fs/promises";
import os from "node:os";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, expect, test } from "vitest";
import { z } from "zod";

const ROOT = fileURLToPath(new URL("../..", import.meta.url));
const QUAKES_EACH = 40;
const TRANSACTIONS = "60";

let folder: string;
let quakes: string;

beforeAll(async () => {
  folder = await fs.mkdtemp(path.join(os.tmpdir(), "openclaw-check-test-"));
  quakes = path.join(folder, "quakes.json");
  const week = z
    .looseObject({ features: z.array(z.looseObject({ properties: z.looseObject({ net: z.string() }) })) })
    .parse(JSON.parse(await fs.readFile(path.join(ROOT, "test/data/earthquakes.json"), "utf8")));
  const features = ["ci", "ak"].flatMap((net) =>
    week.features.filter(({ properties }) => properties.net === net).slice(0, QUAKES_EACH),
  );
  await fs.writeFile(quakes, JSON.stringify({ ...week, features }));
});
afterAll(() => fs.rm(folder, { recursive: true, force: true }));

/** Runs it as a person would; the last line of what it prints is its verdict. */
async function check(
  ...args: string[]
): Promise<{ exitCode: number | null; verdict: Record<string, unknown>; output: string }> {
  const main = path.join(ROOT, "demo", "main.ts");
  const child = spawn(process.execPath, [main, "--check", "--quakes", quakes, "--transactions", TRANSACTIONS, ...args]);
  let output = "";
  let errors = "";
  child.stdout.setEncoding("utf8").on("data", (text: string) => {
    output += text;
  });
  child.stderr.setEncoding("utf8").on("data", (text: string) => {
    errors += text;
  });
  const exitCode = await new Promise<number | null>((resolve) => child.once("close", resolve));
  const verdict = z.record(z.string(), z.unknown()).parse(JSON.parse(output.trim().split("\n").at(-1) ?? ""));
  return { exitCode, verdict, output: errors };
}

test("the check passes on a sound fleet: nothing lost, doubled or reordered, and everybody holds the same", async () => {
  const { exitCode, verdict, output } = await check();
  expect(verdict, output).toMatchObject({
    ok: true,
    putsAcknowledged: 4 * QUAKES_EACH,
    lost: 0,
    duplicated: 0,
    outOfOrder: 0,
    documentEqualsReference: true,
    stateHashesAgree: true,
    ledgerHashesAgree: true,
  });
  for (const field of ["longestWriteGapMs", "uplinkCatchUpSeconds", "documentConvergedSeconds", "wallSeconds"]) {
    expect(verdict[field]).toBeTypeOf("number");
  }
  expect(exitCode).toBe(0);
});

test("D6: the check fails when one value is altered in one replica's database", async () => {
  const { exitCode, verdict, output } = await check(
    "--before-verify",
    path.join(ROOT, "test/integration/faults/alter-one-value.ts"),
  );
  expect(verdict, output).toMatchObject({ ok: false, stateHashesAgree: false, ledgerHashesAgree: true });
  expect(exitCode).toBe(1);
});
