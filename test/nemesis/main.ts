/** `npm run nemesis -- --minutes M`: the command line over one run. */
import fs from "node:fs/promises";
import os from "node:os";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { Command, CommanderError, InvalidArgumentError } from "commander";
import { writeKeyValueLog } from "../history/key-value-log.ts";
import { clustersIn } from "./cluster.ts";
import type { MirrorFigures } from "./hierarchy.ts";
import { exitCodeOf, runInside, SIGNALS, withoutNamespacesBecause } from "./isolation.ts";
import type { Pace } from "./nemesis.ts";
import { plot } from "./plot.ts";
import { type Outcome, run, type TierOutcome } from "./run.ts";
import type { Figures } from "./siege.ts";
import { type SlowFollowerOutcome, slowFollower } from "./slow-follower.ts";

const PACE: Pace = { hold: [2_000, 9_000], peace: [1_000, 5_000] };
/** Exit codes: a promise broken; nothing known, or the run could not be carried out. */
const EXIT = { kept: 0, broken: 1, unknown: 2 } as const;
const LOOPBACK = "--loopback was given";

const HELP = `
Root on Linux gets a network namespace a node, and with it partitions and bad links. Without, nodes share the loopback.
What each fault stands for, and how to read the plot: docs/nemesis.md.

The last line is JSON: {"minutes", "acknowledged", "lost", "linearizable", "hashesAgree", "maxWriteGapMs", "faults",
"withoutEffect"}; with two tiers these are the site's, and "hub" and "mirror" tell of the hub and of what crossed the uplink.
Exit codes: ${EXIT.kept} every promise was kept, ${EXIT.broken} one was broken (nodes' folders and logs are kept), ${EXIT.unknown} unknown,
130 after Ctrl-C: nothing is left but a folder that --out named.

Examples:
  npm run nemesis -- --minutes 10
  npm run nemesis -- --tiers 2 --minutes 10
  npm run nemesis -- --minutes 3 --nodes 5 --faults kill-leader,partition-bridge --seed 42`;

interface Options {
  readonly minutes: number;
  readonly tiers: 1 | 2;
  readonly nodes: number;
  readonly seed?: number;
  readonly faults?: readonly string[];
  readonly out?: string;
  /** One experiment instead of the faults. */
  readonly slowFollower?: true;
  readonly loopback?: true;
  readonly keep?: true;
  /** We are in namespaces of our own already. */
  readonly inside?: true;
}

const say = (text: string): void => void process.stderr.write(`${text}\n`);

async function main(): Promise<number> {
  const command = new Command("nemesis")
    .description(
      "Break a real cluster in every way there is while clients use it, and check that no promise was broken.",
    )
    .option("--minutes <number>", "how long faults go on", positive, 5)
    .option("--tiers <count>", "1: a cluster; 2: a site and its hub, with faults at both and of the uplink", tiers, 1)
    .option("--nodes <count>", "of each tier: 3 or 5 (or any number up to 7)", count, 3)
    .option(
      "--seed <number>",
      "of the schedule of faults and of the clients' choices (default: random, printed)",
      whole,
    )
    .option("--faults <names>", "only these, comma-separated (default: all)", (text) => text.split(","))
    .option("--out <folder>", "for history, plot, logs and nodes' folders (default: a temporary folder, printed)")
    .option("--slow-follower", "instead of the faults: one follower does not read, and the leader's memory is sampled")
    .option("--loopback", "no namespaces, even if they can be had")
    .option("--keep", "keep the nodes' folders when all is well, too")
    .addOption(new Command().createOption("--inside").hideHelp())
    .addHelpText("after", HELP)
    .exitOverride();
  try {
    command.parse(process.argv);
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error;
    return error.exitCode === 0 ? EXIT.kept : EXIT.unknown;
  }
  const options = command.opts<Options>();
  const without =
    options.loopback === true ? LOOPBACK : options.inside === true ? null : await withoutNamespacesBecause();
  if (without === null && options.inside !== true)
    return runInside(fileURLToPath(import.meta.url), [...process.argv.slice(2), "--inside"]);
  return withinReach(options, without);
}

async function withinReach(options: Options, withoutNamespaces: string | null): Promise<number> {
  const ending = new AbortController();
  let signalled: NodeJS.Signals = "SIGINT";
  const end = (): void => ending.abort(new Error("the run was broken off"));
  if (options.inside === true) {
    process.stdin.once("end", end);
    process.stdin.resume();
  }
  // For good: npm passes on a Ctrl-C that the terminal has sent us as well.
  for (const signal of SIGNALS)
    process.on(signal, () => {
      if (!ending.signal.aborted) signalled = signal;
      end();
    });

  const seed = options.seed ?? Math.floor(Math.random() * 2 ** 31);
  const folder = await folderFor(options.out);
  const startedAt = performance.now();
  const report = (text: string): void =>
    say(`${((performance.now() - startedAt) / 1_000).toFixed(1).padStart(7)} s  ${text}`);
  const network = withoutNamespaces === null ? "a network namespace each" : `on loopback: ${withoutNamespaces}`;
  const what = options.tiers === 1 ? `${options.nodes} nodes` : `a site and a hub of ${options.nodes} nodes each`;
  say(`nemesis --seed ${seed}: ${what} (${network}), ${options.minutes} minutes; files in ${folder}`);
  const plan = {
    folder,
    tiers: options.tiers,
    nodes: options.nodes,
    durationMs: options.minutes * 60_000,
    seed,
    pace: PACE,
    withoutNamespaces,
    only: options.faults ?? null,
    report,
    signal: ending.signal,
  };
  try {
    if (options.slowFollower === true) return await concludeSlowFollower(await slowFollower(plan), folder, options);
    return await conclude(await run(plan), folder, options);
  } catch (error) {
    if (!ending.signal.aborted) throw error;
    if (error !== ending.signal.reason) say(`while it was broken off: ${error}`);
    say("broken off: the nodes are stopped");
    if (options.out === undefined) await fs.rm(folder, { recursive: true });
    // Whatever still waits has nobody left to wait for.
    return process.exit(exitCodeOf(signalled));
  } finally {
    if (options.inside === true) process.stdin.destroy();
  }
}

async function conclude(outcome: Outcome, folder: string, { minutes, keep }: Options): Promise<number> {
  const { clusters, mirror, findings, bands, faults, withoutEffect } = outcome;
  for (const [at, { name, operations, observations }] of clusters.entries()) {
    // The first, or only, one's files have the plain names.
    const suffix = at === 0 ? "" : `-${name}`;
    const files = {
      history: path.join(folder, `history${suffix}.edn`),
      plot: path.join(folder, `plot${suffix}.svg`),
    };
    await fs.writeFile(files.history, `${writeKeyValueLog(operations).join("\n")}\n`);
    await fs.writeFile(files.plot, plot(observations.all, bands));
    const codes = [...observations.codes].map(([code, times]) => `${code} ${times}`).join(", ");
    say(`${name}, without success: ${codes === "" ? "nothing" : codes}`);
    say(`plot: ${files.plot}; history: ${files.history}`);
  }
  await leave(findings, folder, keep === true);
  const [first, ...others] = clusters.map(figuresOf);
  const above = Object.fromEntries(others.map((figures, i) => [clusters[i + 1]?.name, figures]));
  const between = mirror === null ? {} : { mirror };
  process.stdout.write(`${JSON.stringify({ minutes, ...first, ...above, ...between, faults, withoutEffect })}\n`);
  if (findings.length === 0) return EXIT.kept;
  const someUnknown = clusters.some(({ linearizable }) => linearizable === "unknown");
  const broken = clusters.some(isBroken) || (mirror !== null && isBrokenMirror(mirror));
  return someUnknown && !broken ? EXIT.unknown : EXIT.broken;
}

const isBroken = ({ linearizable, lost, hashesAgree }: Figures): boolean =>
  linearizable === false || lost > 0 || !hashesAgree;

const isBrokenMirror = ({ up, down, caughtUpMs }: MirrorFigures): boolean =>
  caughtUpMs === null || [up, down].some(({ lost, doubled, altered }) => lost + doubled + altered > 0);

const figuresOf = ({ acknowledged, lost, linearizable, hashesAgree, maxWriteGapMs }: TierOutcome): Figures => ({
  ...{ acknowledged, lost, linearizable, hashesAgree, maxWriteGapMs },
});

async function concludeSlowFollower(
  outcome: SlowFollowerOutcome,
  folder: string,
  { minutes, keep }: Options,
): Promise<number> {
  const { findings, ...figures } = outcome;
  await leave(findings, folder, keep === true);
  process.stdout.write(`${JSON.stringify({ ...figures, stoppedMinutes: minutes })}\n`);
  return findings.length === 0 ? EXIT.kept : EXIT.broken;
}

/** Says what is wrong; the nodes' folders stay then. */
async function leave(findings: readonly string[], folder: string, keep: boolean): Promise<void> {
  for (const finding of findings) say(`FINDING: ${finding}`);
  if (findings.length > 0) say(`nodes' folders and logs are kept in ${folder}`);
  else if (!keep) await fs.rm(clustersIn(folder), { recursive: true });
}

/** @throws Error when there is something in it: what we made is removed afterwards */
async function folderFor(wanted: string | undefined): Promise<string> {
  if (wanted === undefined) return fs.mkdtemp(path.join(os.tmpdir(), "openclaw-nemesis-"));
  const folder = path.resolve(wanted);
  await fs.mkdir(folder, { recursive: true });
  if ((await fs.readdir(folder)).length > 0) throw new Error(`${folder} is not empty; name another folder`);
  return folder;
}

function positive(text: string): number {
  const number = Number(text);
  if (!/^\d{1,5}(\.\d+)?$/.test(text) || number === 0) throw new InvalidArgumentError("a number above 0, please");
  return number;
}

function whole(text: string): number {
  if (!/^\d{1,10}$/.test(text)) throw new InvalidArgumentError("a whole number, please");
  return Number(text);
}

function tiers(text: string): 1 | 2 {
  if (text === "1") return 1;
  if (text === "2") return 2;
  throw new InvalidArgumentError("1 or 2, please");
}

function count(text: string): number {
  const number = whole(text);
  if (number < 3 || number > 7) throw new InvalidArgumentError("3 to 7, please");
  return number;
}

try {
  process.exitCode = await main();
} catch (error) {
  process.exitCode = EXIT.unknown;
  say(error instanceof Error ? (error.stack ?? error.message) : String(error));
}
