/** Documents: from an edit to another client, through one gateway and across two, a merge, and many documents at once. */
import { setTimeout as sleep } from "node:timers/promises";
import { type Bench, benchmark } from "./harness/benchmark.ts";
import { DocsClient } from "./harness/docs-client.ts";
import { startOurDocs } from "./harness/docs-ours.ts";
import { AUTOMERGE_REPO, startAutomergeRepo, startYjs, YJS } from "./harness/docs-rivals.ts";
import type { DocsSystem } from "./harness/docs-system.ts";
import type { Figures } from "./harness/figures.ts";
import { percentiles } from "./harness/load.ts";
import type { Workbench } from "./harness/workbench.ts";

const WARM_UP_EDITS = 30;
/** One after another, each when the one before is seen. */
const EDITS = 300;
const ALONE_EDITS = 50;
/** Between two edits that go alone, ms: automerge-repo sends at most every 100. */
const ALONE_PAUSE_MS = 250;
const OFFLINE_EDITS = 1_000;
const DOCUMENTS = 100;
const CHANGES = 100;
/** What a server does with changes after everybody has seen them counts, ms. */
const SETTLE_MS = 1_000;

/** Two clients that have the same documents open. */
class Pair {
  readonly writer: DocsClient;
  readonly reader: DocsClient;
  /** That each document has. */
  #edits = 0;

  private constructor(writer: DocsClient, reader: DocsClient) {
    this.writer = writer;
    this.reader = reader;
  }

  static async use<T>(
    open: (gateway: string) => DocsClient,
    [writing, reading]: readonly [string, string],
    documents: number,
    body: (pair: Pair) => Promise<T>,
  ): Promise<T> {
    const pair = new Pair(open(writing), open(reading));
    try {
      await pair.reader.open(await pair.writer.create(documents));
      await pair.seen(0);
      return await body(pair);
    } finally {
      await Promise.all([pair.writer.close(), pair.reader.close()]);
    }
  }

  /** Resolves with the moment at which both have so many more edits of every document. */
  async seen(more: number): Promise<number> {
    this.#edits += more;
    return Math.max(...(await Promise.all([this.writer.until(this.#edits), this.reader.until(this.#edits)])));
  }

  /** One edit after another: how long each took until the reader saw it, ms. */
  async lags(count: number, pauseMs: number): Promise<readonly number[]> {
    const lags: number[] = [];
    for (let i = 0; i < count; i++) {
      if (pauseMs > 0) await sleep(pauseMs);
      this.#edits++;
      const [seen, made] = await Promise.all([this.reader.until(this.#edits), this.writer.edit(1)]);
      lags.push(seen - made);
    }
    return lags;
  }
}

class Load {
  readonly #workbench: Workbench;
  readonly #system: DocsSystem;

  constructor(workbench: Workbench, system: DocsSystem) {
    this.#workbench = workbench;
    this.#system = system;
  }

  get name(): DocsSystem["name"] {
    return this.#system.name;
  }

  async run(): Promise<Figures> {
    const { gateway, others } = this.#system;
    const near = await this.#near(gateway);
    const across = others === null ? null : await this.#pair(others, 1, (pair) => this.#backToBack(pair));
    const mergeMs = await this.#merge();
    const many = await this.#many(gateway);
    return {
      visibleMs: near.visibleMs,
      visibleAloneMs: near.visibleAloneMs,
      visibleAcrossMs: across?.p50 ?? null,
      siteRungMs: near.siteRungMs,
      mergeMs,
      ...many,
    };
  }

  #near(gateway: string) {
    return this.#pair([gateway, gateway], 1, async (pair) => {
      const { p50, p99 } = await this.#backToBack(pair);
      const rungs = await pair.writer.rungs();
      const alone = percentiles(await pair.lags(ALONE_EDITS, ALONE_PAUSE_MS));
      const siteRungMs = rungs.length === 0 ? null : percentiles(rungs).p50Ms;
      return { visibleMs: { p50, p99 }, visibleAloneMs: alone.p50Ms, siteRungMs };
    });
  }

  async #backToBack(pair: Pair): Promise<{ readonly p50: number; readonly p99: number }> {
    await pair.lags(WARM_UP_EDITS, 0);
    await pair.writer.rungs();
    const { p50Ms, p99Ms } = percentiles(await pair.lags(EDITS, 0));
    return { p50: p50Ms, p99: p99Ms };
  }

  /** Both edit one document offline; from when they are told to connect until both have everything. */
  #merge(): Promise<number> {
    const { cabled, cable } = this.#system;
    return this.#pair([cabled, cabled], 1, async (pair) => {
      const both = [pair.writer, pair.reader] as const;
      await Promise.all(both.map((client) => client.offline()));
      await cable.cut();
      await Promise.all(both.map((client) => client.edit(OFFLINE_EDITS)));
      await cable.mend();
      const started = await Promise.all(both.map((client) => client.online()));
      return (await pair.seen(2 * OFFLINE_EDITS)) - Math.min(...started);
    });
  }

  #many(gateway: string): Promise<Figures> {
    return this.#pair([gateway, gateway], DOCUMENTS, async (pair) => {
      await sleep(SETTLE_MS);
      const before = await this.#system.cpuMs();
      const [seen, started] = await Promise.all([pair.seen(CHANGES), pair.writer.edit(CHANGES)]);
      await sleep(SETTLE_MS);
      const after = await this.#system.cpuMs();
      const changes = DOCUMENTS * CHANGES;
      return {
        changesPerSec: changes / ((seen - started) / 1_000),
        serverCpuMsPerChange: before === null || after === null ? null : (after - before) / changes,
      };
    });
  }

  #pair<T>(gateways: readonly [string, string], documents: number, body: (pair: Pair) => Promise<T>): Promise<T> {
    const { name, folder } = this.#system;
    const open = (gateway: string) => new DocsClient(this.#workbench, name, gateway, folder);
    return Pair.use(open, gateways, documents, body);
  }
}

async function systems(bench: Bench): Promise<readonly DocsSystem[]> {
  return [
    await startOurDocs(bench.workbench),
    ...(bench.beside("automerge-repo") ? [await startAutomergeRepo(bench.workbench)] : []),
    ...(bench.beside("yjs") ? [await startYjs(bench.workbench)] : []),
  ];
}

await benchmark("docs", { seconds: 0, runs: 3, rivals: [AUTOMERGE_REPO, YJS] }, async (bench) => {
  const loads = (await systems(bench)).map((system) => new Load(bench.workbench, system));
  await bench.compare([], loads, (load) => load.run());
});
