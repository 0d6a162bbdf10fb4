/**
 * `npm run simulate`: runs seeds of the simulated world on every core. Everything but the last line of `--json` goes to
 * standard error. Exit 0: no violation; 1: a violation, with its seed, the shortest schedule found, and a trace.
 */
import { randomInt } from "node:crypto";
import { parseArgs } from "node:util";
import { SingleBar } from "cli-progress";
import { costOf } from "./hierarchy/scale.ts";
import { mutantNamed } from "./mutants/altered.ts";
import { type Catch, hunt, summaryOf } from "./mutants/hunt.ts";
import { MUTANTS } from "./mutants/mutants.ts";
import { shrink } from "./shrink.ts";
import { Summary } from "./summary.ts";
import { type TimedResult, WorkerPool } from "./worker-pool.ts";

const USAGE = `npm run simulate -- [options]

Runs the whole of core (raft, replica, state machine, sync, client) in one process with virtual time, network, disk and
randomness, all from one seed, under faults, and checks what it promised.

  --seed N       runs one seed, and prints its trace; the same every time
  --steps A,B,…  with --seed: takes only these steps of the seed's schedule of faults
  --runs N       runs N seeds (default 100)
  --minutes M    runs seeds for M minutes; with --runs, whichever comes first
  --first N      begins with this seed instead of a random one
  --mutants      plants one bug after the other in the code, and counts the seeds that it takes to catch each;
                 exit 1 if one survives 1,000 seeds
  --only A,B,…   with --mutants: these alone
  --hierarchy    sites and hubs instead of one site: crashes, hub failovers, restores, clones, moves, months offline
  --cycles N     with --hierarchy: runs seeds until so many of these were done
  --sites N      N light sites of one replica at a hub of three, without faults: what each of them costs
  --json         the last line of standard output is one JSON object
  --help         this text`;

const SHRINK_MS = 60_000;
const TRACE_LINES = 80;
const RUNS = 100;
const VIOLATIONS_SHOWN = 10;

const say = (text: string): void => void process.stderr.write(`${text}\n`);

const { values } = parseArgs({
  options: {
    seed: { type: "string" },
    steps: { type: "string" },
    runs: { type: "string" },
    minutes: { type: "string" },
    first: { type: "string" },
    mutants: { type: "boolean" },
    only: { type: "string" },
    hierarchy: { type: "boolean" },
    cycles: { type: "string" },
    sites: { type: "string" },
    json: { type: "boolean" },
    help: { type: "boolean" },
  },
});

const world = values.hierarchy === true ? "hierarchy" : "site";

function number(text: string | undefined, name: string): number | null {
  if (text === undefined) return null;
  const value = Number(text);
  if (text !== "" && Number.isFinite(value) && value >= 0) return value;
  say(`--${name} takes a number, not ${JSON.stringify(text)}\n\n${USAGE}`);
  process.exit(2);
}

async function replay(pool: WorkerPool, seed: number, summary: Summary): Promise<TimedResult> {
  const steps = values.steps === undefined ? {} : { steps: values.steps.split(",").filter(Boolean).map(Number) };
  const result = await pool.run({ seed, world, ...steps, trace: true });
  summary.add(result);
  for (const line of result.trace) say(line);
  say(`seed ${seed}: trace hash ${result.traceHash}, ${result.violations.length} violations`);
  return result;
}

async function explore(pool: WorkerPool, first: number, summary: Summary): Promise<TimedResult | null> {
  const minutes = number(values.minutes, "minutes");
  const cycles = number(values.cycles, "cycles") ?? Number.POSITIVE_INFINITY;
  const bounded = minutes !== null || Number.isFinite(cycles);
  const runs = number(values.runs, "runs") ?? (bounded ? Number.POSITIVE_INFINITY : RUNS);
  const began = performance.now();
  const until = minutes === null ? Number.POSITIVE_INFINITY : began + minutes * 60_000;
  say(`first seed ${first}, on ${pool.size} processes`);
  const total = Number.isFinite(runs) ? runs : Number.isFinite(cycles) ? cycles : Math.ceil((minutes ?? 0) * 60);
  const bar = new SingleBar({
    format: `{bar} {percentage}% {unit}, {seeds} seeds, {rate} seeds/s, {violations} violations`,
    noTTYOutput: true,
    notTTYSchedule: 30_000,
  });
  const shown = (): Record<string, string | number> => ({
    unit: Number.isFinite(runs)
      ? `of ${runs} seeds`
      : Number.isFinite(cycles)
        ? `of ${cycles} cycles`
        : `of ${minutes} min`,
    seeds: summary.seeds,
    rate: (summary.seeds / ((performance.now() - began) / 1_000)).toFixed(1),
    violations: summary.violations,
  });
  bar.start(total, 0, shown());
  let failing: TimedResult | null = null;
  const seeds = (function* () {
    for (let i = 0; i < runs && failing === null && performance.now() < until && summary.cycles < cycles; i++)
      yield { seed: first + i, world } as const;
  })();
  await pool.each(seeds, (result) => {
    summary.add(result);
    if (result.violations.length > 0) failing ??= result;
    const done = Number.isFinite(cycles) ? summary.cycles : (performance.now() - began) / 1_000;
    bar.update(Number.isFinite(runs) ? summary.seeds : done, shown());
  });
  bar.stop();
  return failing;
}

async function report(pool: WorkerPool, failing: TimedResult): Promise<void> {
  say(`seed ${failing.seed} fails: ${failing.violations[0]}`);
  say(`looking for a shorter schedule than its ${failing.steps.length} steps, for at most ${SHRINK_MS / 1_000} s …`);
  const shortest = await shrink(pool, world, failing, SHRINK_MS);
  const steps = shortest.steps.map(({ number: at }) => at);
  const { trace, violations } = await pool.run({ seed: failing.seed, world, steps, trace: true });
  say(trace.slice(-TRACE_LINES).join("\n"));
  for (const violation of violations) say(`violation: ${violation}`);
  say(`the shortest schedule found has ${steps.length} steps:`);
  for (const { number: at, step } of shortest.steps) say(`  ${at}: ${JSON.stringify(step)}`);
  const which = world === "hierarchy" ? "--hierarchy " : "";
  say(`again: npm run simulate -- ${which}--seed ${failing.seed} --steps ${steps.join(",")}`);
}

/** @returns 1 if a planted bug was not caught */
async function huntAll(first: number): Promise<number> {
  const mutants = values.only === undefined ? MUTANTS : values.only.split(",").map(mutantNamed);
  const table: Catch[] = [];
  say(`first seed ${first}, ${mutants.length} mutants`);
  for (const mutant of mutants) {
    const found = await hunt(mutant, first);
    table.push(found);
    const seeds = found.seeds === null ? "not caught" : `${found.seeds}`.padStart(10);
    say(`${seeds}  ${mutant.name}: ${mutant.bug}\n            ${found.violation?.split("\n")[0]?.slice(0, 160) ?? ""}`);
  }
  const summary = summaryOf(first, table);
  say(`${summary.caught} of ${summary.mutants} caught, after ${summary.medianSeeds} seeds at the median`);
  if (values.json === true) process.stdout.write(`${JSON.stringify(summary)}\n`);
  return summary.caught === summary.mutants ? 0 : 1;
}

/** @returns 1 if not everything came to the hub */
async function scale(sites: number, seed: number): Promise<number> {
  say(`${sites} sites at a hub, seed ${seed}`);
  const { violations, ...cost } = await costOf(sites, seed);
  for (const violation of violations.slice(0, VIOLATIONS_SHOWN)) say(`violation: ${violation}`);
  for (const [what, value] of Object.entries(cost.perSite)) say(`${String(value).padStart(10)}  ${what} a site`);
  say(
    `lag: ${cost.lagMs.p50} ms at the median, ${cost.lagMs.p99} ms at the 99th percentile, ${cost.lagMs.max} ms at most`,
  );
  if (values.json === true)
    process.stdout.write(`${JSON.stringify({ seed, violations: violations.length, ...cost })}\n`);
  return violations.length > 0 ? 1 : 0;
}

async function main(): Promise<number> {
  if (values.help === true) {
    process.stdout.write(`${USAGE}\n`);
    return 0;
  }
  const seed = number(values.seed, "seed");
  const first = seed ?? number(values.first, "first") ?? randomInt(1, 2 ** 40);
  if (values.mutants === true) return huntAll(first);
  const sites = number(values.sites, "sites");
  if (sites !== null) return scale(sites, first);
  const pool = new WorkerPool();
  const summary = new Summary(first, world);
  try {
    const failing = seed === null ? await explore(pool, first, summary) : await replay(pool, seed, summary);
    if (failing !== null && failing.violations.length > 0) await report(pool, failing);
    for (const line of summary.lines()) say(line);
    if (values.json === true) process.stdout.write(`${JSON.stringify(summary.json())}\n`);
    return summary.violations > 0 ? 1 : 0;
  } finally {
    pool.stop();
  }
}

process.exitCode = await main();
