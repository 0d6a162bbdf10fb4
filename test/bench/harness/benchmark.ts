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
  /** Whom `--vs` knows; etcd, unless the benchmark says otherwise. */
  readonly rivals?: readonly Rival[];
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
  readonly #rivals: readonly RivalName[];
  readonly workbench: Workbench;
  /** What else stands in the last line. */
  readonly extra: Record<string, number | null> = {};
  /** In the order in which they were first noted. */
  readonly #figures = new Map<Measured, Figures>();

  /** @param rivals those that were asked for; none: only we are measured */
  constructor(workbench: Workbench, rivals: readonly RivalName[], { seconds, runs, keys }: Sizes) {
    this.workbench = workbench;
    this.#rivals = rivals;
    this.#runs = runs;
    this.keys = keys;
    this.durationMs = seconds * 1_000;
  }

  /** Whether that one is measured, too. */
  beside(rival: RivalName): boolean {
    return this.#rivals.includes(rival);
  }

  /** A fresh cluster of each system. All are there at once; only one is under load at a time. */
  async clusters(): Promise<readonly BenchCluster[]> {
    const ours = await startSite(this.workbench);
    return this.beside("etcd") ? [ours, await startEtcd(this.workbench)] : [ours];
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
    const told = leavesOf(figures).map(([leaf, value]) => `${leaf} ${value ?? "-"}`);
    this.say(`${[name, ...path].join(" ")}: ${told.join(", ")}`);
  }

  say(text: string): void {
    process.stderr.write(`${text}\n`);
  }

  results(): Readonly<Record<string, Figures>> {
    return Object.fromEntries(this.#figures);
  }

  /** Ours divided by each rival's. */
  ratios(): Readonly<Record<string, Figures>> {
    const ours = this.#figures.get("ours") ?? {};
    return Object.fromEntries(
      this.#rivals.flatMap((name) => {
        const theirs = this.#figures.get(name);
        return theirs === undefined ? [] : [[name, ratioOf(ours, theirs)]];
      }),
    );
  }
}

/** Runs a benchmark as the command line says. `body` may return more for the last line. */
export async function benchmark(
  name: string,
  defaults: Defaults,
  body: (bench: Bench) => Promise<void>,
): Promise<void> {
  const known = defaults.rivals ?? [ETCD];
  const { json, rivals, ...sizes } = optionsOf(defaults, known);
  await Workbench.use(async (workbench) => {
    const bench = new Bench(workbench, rivals, sizes);
    await body(bench);
    process.stdout.write(json ? `${JSON.stringify(line(name, bench, known))}\n` : table(bench));
  });
}

/** A benchmark that knows several rivals has a ratio to each by its name, however many were asked for. */
function line(name: string, bench: Bench, known: readonly Rival[]): object {
  const ratios = bench.ratios();
  const [only] = Object.values(ratios);
  const ratio = only === undefined ? {} : { ratio: known.length > 1 ? ratios : only };
  return { bench: name, ...bench.results(), ...ratio, ...bench.extra };
}

interface Options extends Sizes {
  readonly json: boolean;
  readonly rivals: readonly RivalName[];
}

function optionsOf(defaults: Defaults, known: readonly Rival[]): Options {
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
  const rivals = [...new Set(values.vs?.split(","))].map((asked) => {
    const rival = known.find(({ name }) => name === asked);
    if (rival === undefined) return refuse(`--vs knows ${known.map(({ name }) => name).join(", ")} only`);
    const version = rival.version();
    if (version === null)
      return refuse(`${asked} is not installed here (${rival.install}). Without --vs only we are measured.`);
    process.stderr.write(`beside ${version}\n`);
    return rival.name;
  });
  return { json: values.json, seconds, runs, keys, rivals };
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

function table(bench: Bench): string {
  const ratios = Object.entries(bench.ratios()).map(([rival, ratio]) => [`ours/${rival}`, ratio] as const);
  const columns = [...Object.entries(bench.results()), ...ratios].map(([title, figures]) => {
    const cells = leavesOf(figures).map(([, value]) => String(value ?? "-"));
    const width = Math.max(title.length, 10, ...cells.map(({ length }) => length)) + 2;
    return [title, ...cells].map((cell) => cell.padStart(width));
  });
  const names = ["", ...leavesOf(bench.results().ours ?? {}).map(([name]) => name)];
  const width = Math.max(...names.map(({ length }) => length));
  return names.map((name, row) => `${name.padEnd(width)}${columns.map((column) => column[row]).join("")}\n`).join("");
}
