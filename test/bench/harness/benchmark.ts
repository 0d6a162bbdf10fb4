/** What every benchmark does around its load: options, both systems side by side, runs by turns, medians, the last line. */
import { parseArgs } from "node:util";
import type { BenchCluster, Measured, Rival, RivalName } from "./cluster.ts";
import { ETCD, startEtcd } from "./etcd.ts";
import { type Figures, leavesOf, medianOf, ratioOf, withFigures } from "./figures.ts";
import { startSite } from "./site.ts";
import { Workbench } from "./workbench.ts";

interface Defaults {
  /** Length of a run; 0 where a run ends by itself. */
  readonly seconds: number;
  readonly runs: number;
  /** Keys that the clusters hold, where a benchmark asks. */
  readonly keys?: number;
  /** etcd, unless the benchmark says otherwise. */
  readonly rival?: Rival;
}

/** Sizes as the command line says. */
interface Sizes {
  readonly seconds: number;
  readonly runs: number;
  readonly keys: number;
}

export class Bench {
  /** Length of a run, ms. */
  readonly durationMs: number;
  readonly keys: number;
  readonly #runs: number;
  /** Null: only we are measured. */
  readonly rival: RivalName | null;
  readonly workbench: Workbench;
  /** What else stands in the last line. */
  readonly extra: Record<string, number | null> = {};
  /** In the order in which they were first noted. */
  readonly #figures = new Map<Measured, Figures>();

  constructor(workbench: Workbench, rival: RivalName | null, { seconds, runs, keys }: Sizes) {
    this.workbench = workbench;
    this.rival = rival;
    this.#runs = runs;
    this.keys = keys;
    this.durationMs = seconds * 1_000;
  }

  /** A fresh cluster of each system. All are there at once; only one is under load at a time. */
  async clusters(): Promise<readonly BenchCluster[]> {
    const ours = await startSite(this.workbench);
    return this.rival === "etcd" ? [ours, await startEtcd(this.workbench)] : [ours];
  }

  /** Ends clusters that are no longer needed. */
  async retire(clusters: readonly BenchCluster[]): Promise<void> {
    await Promise.all(clusters.flatMap(({ nodes }) => nodes.map(({ process }) => process.kill())));
  }

  /** Runs `run` for each system by turns, several times, and notes the medians under `path`. */
  async compare<Subject extends { readonly name: Measured }>(
    path: readonly string[],
    subjects: readonly Subject[],
    run: (subject: Subject) => Promise<Figures>,
  ): Promise<void> {
    const runs = new Map<Measured, Figures[]>(subjects.map(({ name }) => [name, []]));
    for (let i = 0; i < this.#runs; i++)
      for (const subject of subjects) runs.get(subject.name)?.push(await run(subject));
    for (const [name, figures] of runs) this.note(name, path, medianOf(figures));
  }

  note(name: Measured, path: readonly string[], figures: Figures): void {
    this.#figures.set(name, withFigures(this.#figures.get(name) ?? {}, path, figures));
    const told = leavesOf(figures).map(([leaf, value]) => `${leaf} ${value ?? "unknown"}`);
    this.say(`${[name, ...path].join(" ")}: ${told.join(", ")}`);
  }

  say(text: string): void {
    process.stderr.write(`${text}\n`);
  }

  results(): Readonly<Record<string, Figures>> {
    const all = Object.fromEntries(this.#figures);
    const theirs = this.rival === null ? undefined : all[this.rival];
    return theirs === undefined ? all : { ...all, ratio: ratioOf(all.ours ?? {}, theirs) };
  }
}

/** Runs a benchmark as the command line says. `body` may return more for the last line. */
export async function benchmark(
  name: string,
  defaults: Defaults,
  body: (bench: Bench) => Promise<void>,
): Promise<void> {
  const { json, rival, ...sizes } = optionsOf(defaults);
  await Workbench.use(async (workbench) => {
    const bench = new Bench(workbench, rival, sizes);
    await body(bench);
    const results = bench.results();
    process.stdout.write(json ? `${JSON.stringify({ bench: name, ...results, ...bench.extra })}\n` : table(results));
  });
}

function optionsOf(defaults: Defaults): Sizes & { readonly json: boolean; readonly rival: RivalName | null } {
  const refuse = (why: string): never => {
    process.stderr.write(`${why}\n`);
    process.exit(2);
  };
  const { values } = parsed(refuse);
  const positive = (option: string, text: string | undefined, otherwise: number): number => {
    if (text === undefined) return otherwise;
    const value = Number(text);
    return value > 0 && Number.isFinite(value) ? value : refuse(`--${option} takes a number above 0`);
  };
  const seconds = positive("seconds", values.seconds, defaults.seconds);
  const runs = Math.ceil(positive("runs", values.runs, defaults.runs));
  const keys = Math.ceil(positive("keys", values.keys, defaults.keys ?? 0));
  const asked = { json: values.json, seconds, runs, keys };
  if (values.vs === undefined) return { ...asked, rival: null };
  const rival = defaults.rival ?? ETCD;
  if (values.vs !== rival.name) refuse(`--vs knows ${rival.name} only`);
  const version = rival.version();
  if (version === null)
    refuse(`${rival.name} is not installed here. On Debian: ${rival.install}. Without --vs only we are measured.`);
  process.stderr.write(`beside ${version}\n`);
  return { ...asked, rival: rival.name };
}

function parsed(refuse: (why: string) => never) {
  try {
    return parseArgs({
      options: {
        json: { type: "boolean", default: false },
        vs: { type: "string" },
        seconds: { type: "string" },
        runs: { type: "string" },
        keys: { type: "string" },
      },
    });
  } catch (error) {
    return refuse(error instanceof Error ? error.message : String(error));
  }
}

function table(results: Readonly<Record<string, Figures>>): string {
  const columns = Object.values(results).map((figures) => leavesOf(figures));
  const shown = (value: number | null | undefined): string => String(value ?? "unknown").padStart(12);
  const head = Object.keys(results).map((title) => title.padStart(12));
  const names = columns[0] ?? [];
  const width = Math.max(...names.map(([name]) => name.length));
  const rows = names.map(([name], row) => {
    const cells = columns.map((column) => shown(column[row]?.[1]));
    return `${name.padEnd(width)}${cells.join("")}`;
  });
  return `${[" ".repeat(width) + head.join(""), ...rows].join("\n")}\n`;
}
