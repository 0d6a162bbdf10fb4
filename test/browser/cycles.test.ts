/** A bounded part of `npm run cycles` (docs/cycles.md). */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { run } from "../cycles/run.ts";

const CYCLES = 15;
/** Its first cycles have every kind of end and every kind of trouble; the database is lost while the device is offline. */
const SEED = 11;

test("S1: what was shown as safe is there after every kill, and reaches the hub once (D4)", async () => {
  const folder = await mkdtemp(join(tmpdir(), "openclaw-cycles-"));
  try {
    const said: string[] = [];
    const { signal } = new AbortController();
    const report = (text: string): void => void said.push(text);
    const outcome = await run({ folder, cycles: CYCLES, seed: SEED, report, signal });
    expect(outcome).toMatchObject({
      cycles: CYCLES,
      lost: [],
      doubled: [],
      falselyAtHub: [],
      spoilt: [],
      complaints: [],
    });
    // It would prove nothing if nobody had seen a badge.
    expect(outcome.edits.device).toBeGreaterThan(CYCLES);
    expect(outcome.edits.hub).toBeGreaterThan(0);
    expect(Object.values(outcome.faults)).not.toContain(0);
    expect(outcome.databasesLost).toBeGreaterThan(0);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
});
