/** `npm run cycles -- --cycles N`: the command line over one run. */
import fs from "node:fs/promises";
import os from "node:os";
import path from "node:path";
import { Command, InvalidArgumentError } from "commander";
import { type Outcome, run } from "./run.ts";

/** Exit codes: a promise broken; the run could not be carried out, or was broken off. */
const EXIT = { kept: 0, broken: 1, unknown: 2 } as const;
/** Of each kind. */
const FINDINGS_SHOWN = 20;

const HELP = `
A real fleet (a site of three gateways, a hub) and a real Chromium: a page edits, is killed in the midst of it, and is
opened again on the same profile. What was ever shown as safe must be there, and in the end at the hub, each once.
What each fault is: docs/cycles.md.

The last line is JSON: {"cycles", "seed", "lost", "doubled", "falselyAtHub", "spoilt", "edits", "faults", "databasesLost",
"complaints", "seconds"}. All findings are in the folder's findings.json; the folder is kept if there are any, or a database was lost.
Exit codes: ${EXIT.kept} nothing was lost, ${EXIT.broken} something was, ${EXIT.unknown} the run could not be carried out.`;

const say = (text: string): void => void process.stderr.write(`${text}\n`);

async function main(): Promise<number> {
  const options = new Command("cycles")
    .description("Kill and reload a page in the midst of its edits, again and again, and see that nothing is lost.")
    .option("--cycles <count>", "how many", whole, 100)
    .option("--seed <number>", "of edits, faults and moments (default: random, printed)", whole)
    .option("--keep", "keep the folder when all is well, too")
    .addHelpText("after", HELP)
    .parse()
    .opts<{ readonly cycles: number; readonly seed?: number; readonly keep?: true }>();
  const seed = options.seed ?? Math.floor(Math.random() * 2 ** 31);
  const folder = await fs.mkdtemp(path.join(os.tmpdir(), "openclaw-cycles-"));
  const ending = new AbortController();
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const)
    process.on(signal, () => ending.abort(new Error("the run was broken off")));
  const began = performance.now();
  const report = (text: string): void =>
    say(`${((performance.now() - began) / 1_000).toFixed(1).padStart(7)} s  ${text}`);
  say(`cycles --seed ${seed}: ${options.cycles} of them; files in ${folder}`);
  const outcome = await run({ folder, cycles: options.cycles, seed, report, signal: ending.signal });
  await fs.writeFile(path.join(folder, "findings.json"), `${JSON.stringify({ seed, ...outcome }, null, 2)}\n`);
  const broken = tell(outcome);
  const { lost, doubled, falselyAtHub, spoilt, complaints, losses, ...figures } = outcome;
  const counts = [lost, doubled, falselyAtHub, spoilt, complaints].map(({ length }) => length);
  const [lostOnes, doubledOnes, false_, spoiltOnes, thrown] = counts;
  process.stdout.write(
    `${JSON.stringify({ seed, ...figures, lost: lostOnes, doubled: doubledOnes, falselyAtHub: false_, spoilt: spoiltOnes, complaints: thrown })}\n`,
  );
  if (broken || losses.length > 0) say(`files are kept in ${folder}`);
  else if (options.keep !== true) await fs.rm(folder, { recursive: true });
  return broken ? EXIT.broken : EXIT.kept;
}

/** Says what is wrong. True if something is. */
function tell({ lost, doubled, falselyAtHub, spoilt, complaints }: Outcome): boolean {
  const findings = { lost, doubled, falselyAtHub, spoilt, complaints };
  for (const [kind, found] of Object.entries(findings)) {
    for (const one of found.slice(0, FINDINGS_SHOWN)) say(`FINDING: ${kind}: ${one}`);
    if (found.length > FINDINGS_SHOWN) say(`FINDING: ${kind}: and ${found.length - FINDINGS_SHOWN} more`);
  }
  return Object.values(findings).some((found) => found.length > 0);
}

function whole(text: string): number {
  if (!/^\d{1,10}$/.test(text)) throw new InvalidArgumentError("a whole number, please");
  return Number(text);
}

try {
  process.exitCode = await main();
} catch (error) {
  process.exitCode = EXIT.unknown;
  say(error instanceof Error ? (error.stack ?? error.message) : String(error));
}
