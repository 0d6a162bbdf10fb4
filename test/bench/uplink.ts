/** From a site to its hub: a backlog drained, both busy, one event at a time, and caught up after a cut of ten seconds. */
import { setTimeout as sleep } from "node:timers/promises";
import { type Bench, benchmark } from "./harness/benchmark.ts";
import type { Figures } from "./harness/figures.ts";
import { percentiles } from "./harness/load.ts";
import { NATS, startNatsPair } from "./harness/uplink-nats.ts";
import { startOurPair } from "./harness/uplink-ours.ts";
import { arrived, freshValue, type UplinkPair, writeEvents } from "./harness/uplink-pair.ts";

/** How long a site is left alone before it counts as idle, ms. */
const IDLE_MS = 5_000;
/** Events that wait at the site when the cable is put in. */
const BACKLOG = 50_000;
/** Of them, those that have arrived before the clock starts: what comes before is reconnecting, which `catchUp` counts. */
const FIRST = 2_000;
const CUT_MS = 10_000;
const CUT_EVENTS = 20_000;
const WRITERS = 256;
/** A rate counts as held by both tiers while the hub lacks no more than that. */
const BEHIND_MAX = 5_000;
const WARM_UP_MS = 2_000;
const SINGLE_EVENTS = 200;
const SINGLE_WARM_UP = 20;
/** Between two events that go alone, ms. */
const PAUSE_MS = 20;

class Load {
  readonly #pair: UplinkPair;
  #events = 0;
  #heard: (event: number) => void = () => undefined;
  #watching = false;

  constructor(pair: UplinkPair) {
    this.#pair = pair;
  }

  get name(): UplinkPair["name"] {
    return this.#pair.name;
  }

  async run(bench: Bench): Promise<Figures> {
    const backlog = await this.#backlog();
    const livePerSec = await this.#live(bench.durationMs);
    const idleLagMs = await this.#single();
    const catchUpSeconds = await this.#catchUp();
    return { backlogPerSec: backlog.perSec, livePerSec, idleLagMs, catchUpSeconds, bytesPerEvent: backlog.bytes };
  }

  async close(): Promise<void> {
    await this.#pair.writer.close();
    await this.#pair.close();
  }

  async #write(count: number): Promise<void> {
    this.#events += await writeEvents(this.#pair, this.#events, WRITERS, (written) => written < count);
  }

  async #backlog(): Promise<{ readonly perSec: number; readonly bytes: number }> {
    const { cable } = this.#pair;
    await cable.cut();
    const before = await this.#pair.atHub();
    await this.#write(BACKLOG);
    // The site is to be idle: what it does of its past when nothing is written (K9) is not to be measured.
    await sleep(IDLE_MS);
    const bytes = cable.bytes;
    await cable.mend();
    const from = await arrived(this.#pair, before + FIRST);
    const to = await arrived(this.#pair, this.#events);
    return { perSec: (to.count - from.count) / ((to.at - from.at) / 1_000), bytes: (cable.bytes - bytes) / BACKLOG };
  }

  /** As fast as both go: writers wait while the hub is too far behind. */
  async #live(durationMs: number): Promise<number> {
    let there = await this.#pair.atHub();
    let counting: { readonly at: number; readonly count: number } | null = null;
    let perSec = 0;
    let over = false;
    const started = performance.now();
    const looking = (async () => {
      while (!over) {
        there = await this.#pair.atHub();
        const at = performance.now();
        if (counting === null && at - started >= WARM_UP_MS) counting = { at, count: there };
        if (counting !== null && at - counting.at >= durationMs) {
          perSec = (there - counting.count) / ((at - counting.at) / 1_000);
          over = true;
        }
        await sleep(PAUSE_MS);
      }
    })();
    const first = this.#events;
    this.#events += await writeEvents(this.#pair, first, WRITERS, async (written) => {
      while (!over && first + written - there > BEHIND_MAX) await sleep(1);
      return !over;
    });
    await looking;
    await arrived(this.#pair, this.#events);
    return perSec;
  }

  /** From when it is written at the site until somebody who watches the hub hears of it. */
  async #single(): Promise<Figures> {
    if (!this.#watching) {
      await this.#pair.watch((event) => this.#heard(event));
      this.#watching = true;
    }
    const lags: number[] = [];
    for (let i = 0; i < SINGLE_WARM_UP + SINGLE_EVENTS; i++) {
      await sleep(PAUSE_MS);
      const event = this.#events++;
      const started = performance.now();
      const heard = new Promise<number>((resolve) => {
        this.#heard = (which) => {
          if (which === event) resolve(performance.now() - started);
        };
      });
      await this.#pair.writer.write(event, freshValue());
      const lag = await heard;
      if (i >= SINGLE_WARM_UP) lags.push(lag);
    }
    const { p50Ms, p99Ms } = percentiles(lags);
    return { p50: p50Ms, p99: p99Ms };
  }

  /** From when the cable is put in again, reconnecting included. */
  async #catchUp(): Promise<number> {
    await this.#pair.cable.cut();
    const until = performance.now() + CUT_MS;
    await this.#write(CUT_EVENTS);
    await sleep(Math.max(0, until - performance.now()));
    const started = performance.now();
    await this.#pair.cable.mend();
    const { at } = await arrived(this.#pair, this.#events);
    return (at - started) / 1_000;
  }
}

await benchmark("uplink", { seconds: 5, runs: 3, rivals: [NATS] }, async (bench) => {
  const loads = [
    new Load(await startOurPair(bench.workbench, true)),
    new Load(await startOurPair(bench.workbench, false)),
    ...(bench.beside("nats") ? [new Load(await startNatsPair(bench.workbench))] : []),
  ];
  await bench.compare([], loads, (load) => load.run(bench));
  for (const load of loads) await load.close();
});
