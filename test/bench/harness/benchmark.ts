/** What every benchmark does around its load: options, both systems side by side, runs by turns, medians, the last line. */
import { parseArgs } from "node:util";
import type { BenchCluster, SystemName } from "./cluster.ts";
import { etcdVersion, startEtcd } from "./etcd.ts";
import { type Figures, leavesOf, medianOf, ratioOf, withFigures } from "./figures.ts";
import { startSite } from "./site.ts";
import { Workbench } from "./workbench.ts";

interface Defaults {
  /** Length of a run; 0 where a run ends by itself. */
  readonly seconds: number;
  readonly runs: number;
  /** Keys that the clusters hold, where a benchmark asks. */
  readonly keys?: number;
}

export class Bench {
  /** Length of a run, ms. */
  readonly durationMs: number;
  readonly keys: number;
  readonly #runs: number;
  readonly #systems: readonly SystemName[];
  readonly workbench: Workbench;
  /** What else stands in the last line. */
  readonly extra: Record<string, number | null> = {};
  readonly #figures: Record<SystemName, Figures> = { ours: {}, etcd: {} };

  constructor(workbench: Workbench, systems: readonly SystemName[], { seconds, runs, keys = 0 }: Defaults) {
    this.workbench = workbench;
    this.#systems = systems;
    this.#runs = runs;
    this.keys = keys;
    this.durationMs = seconds * 1_000;
  }

  /** A fresh cluster of each system. All are there at once; only one is under load at a time. */
  async clusters(): Promise<readonly BenchCluster[]> {
    const started: BenchCluster[] = [];
    for (const system of this.#systems) {
      started.push(await (system === "ours" ? startSite(this.workbench) : startEtcd(this.workbench)));
    }
    return started;
  }

  /** Ends clusters that are no longer needed. */
  async retire(clusters: readonly BenchCluster[]): Promise<void> {
    await Promise.all(clusters.flatMap(({ nodes }) => nodes.map(({ process }) => process.kill())));
  }

  /** Runs `run` for each system by turns, several times, and notes the medians under `path`. */
  async compare<Subject extends { readonly name: SystemName }>(
    path: readonly string[],
    subjects: readonly Subject[],
    run: (subject: Subject) => Promise<Figures>,
  ): Promise<void> {
    const runs = new Map<SystemName, Figures[]>(subjects.map(({ name }) => [name, []]));
    for (let i = 0; i < this.#runs; i++)
      for (const subject of subjects) runs.get(subject.name)?.push(await run(subject));
    for (const [name, figures] of runs) this.note(name, path, medianOf(figures));
  }

  note(name: SystemName, path: readonly string[], figures: Figures): void {
    this.#figures[name] = withFigures(this.#figures[name], path, figures);
    const told = leavesOf(figures).map(([leaf, value]) => `${leaf} ${value ?? "unknown"}`);
    this.say(`${[name, ...path].join(" ")}: ${told.join(", ")}`);
  }

  say(text: string): void {
    process.stderr.write(`${text}\n`);
  }

  results(): Readonly<Record<string, Figures>> {
    const { ours, etcd } = this.#figures;
    return this.#systems.includes("etcd") ? { ours, etcd, ratio: ratioOf(ours, etcd) } : { ours };
  }
}

/** Runs a benchmark as the command line says. `body` may return more for the last line. */
export async function benchmark(
  name: string,
  defaults: Defaults,
  body: (bench: Bench) => Promise<void>,
): Promise<void> {
  const { json, systems, ...sizes } = optionsOf(defaults);
  await Workbench.use(async (workbench) => {
    const bench = new Bench(workbench, systems, sizes);
    await body(bench);
    const results = bench.results();
    process.stdout.write(json ? `${JSON.stringify({ bench: name, ...results, ...bench.extra })}\n` : table(results));
  });
}

function optionsOf(defaults: Defaults): Defaults & { readonly json: boolean; readonly systems: readonly SystemName[] } {
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
  if (values.vs === undefined) return { json: values.json, systems: ["ours"], seconds, runs, keys };
  if (values.vs !== "etcd") refuse("--vs knows etcd only");
  const version = etcdVersion();
  if (version === null)
    refuse("etcd is not installed here. On Debian: apt-get install etcd-server. Without --vs only we are measured.");
  process.stderr.write(`beside ${version}\n`);
  return { json: values.json, systems: ["ours", "etcd"], seconds, runs, keys };
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

function table({ ours = {}, etcd, ratio }: Readonly<Record<string, Figures>>): string {
  const columns = [leavesOf(ours), ...[etcd, ratio].flatMap((one) => (one === undefined ? [] : [leavesOf(one)]))];
  const shown = (value: number | null | undefined): string => String(value ?? "unknown").padStart(10);
  const head = ["ours", "etcd", "ratio"].slice(0, columns.length).map((title) => title.padStart(10));
  const width = Math.max(...leavesOf(ours).map(([name]) => name.length));
  const rows = leavesOf(ours).map(([name], row) => {
    const cells = columns.map((column) => shown(column[row]?.[1]));
    return `${name.padEnd(width)}${cells.join("")}`;
  });
  return `${[" ".repeat(width) + head.join(""), ...rows].join("\n")}\n`;
}
