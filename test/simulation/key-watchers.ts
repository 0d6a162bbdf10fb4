/**
 * Watches on keys, several on one stream at one member (edge-runtime/api/watch-lanes.ts), as etcd's clients have them: of
 * ranges, filtered, of the past and of what is to come; a reader that is slow; and, whenever the stream breaks, all of
 * them taken up again at another member, each behind what it was told.
 */
import { isDeepStrictEqual } from "node:util";
import { OpenClawError } from "@openclaw/core/errors.ts";
import type { KeyEvent, LedgerRecord } from "@openclaw/core/ledger/record.ts";
import { type Before, PreviousRows } from "@openclaw/edge-runtime/api/previous-rows.ts";
import { type LanesSink, type LaneWatch, WatchLanes } from "@openclaw/edge-runtime/api/watch-lanes.ts";
import {
  type Selection,
  selectedEvents,
  type WatchedRecord,
  type WatchFilter,
} from "@openclaw/edge-runtime/api/watch-selection.ts";
import { covers, type Event, type Keys } from "../model/etcd.ts";
import { eventOf, selectorOf, text } from "../model/translation.ts";
import { KeyWatch } from "./checkers/key-watch.ts";
import type { MemoryMember } from "./memory-cluster.ts";
import type { SeededRandom } from "./seeded-random.ts";
import type { SimulatedCluster } from "./simulated-cluster.ts";
import { ANYBODY } from "./tier.ts";
import type { VirtualClock } from "./virtual-clock.ts";

const RETRY_MS = 50;
/** A stream is cut off now and then, ms. */
const CONNECTED_MS_MAX = 12_000;
const SLOW_MS_MAX = 400;
/** So few that a stream meets its bound. */
const PENDING_MAX = 3;
/** Of what a watch is told, so much is asked for with what was there before. */
const PREVIOUS = 0.05;
/** How far ahead of everything a watch begins. */
const FUTURE = 20;

const RANGES: readonly Keys[] = [
  { key: "\0", end: "\0" },
  { key: "k", end: "l" },
  { key: "la", end: "lb" },
  { key: "l", end: "" },
  { key: "lease", end: "leasf" },
];
const FILTERS: readonly (readonly WatchFilter[])[] = [[], [], ["noput"], ["nodelete"]];

interface Watch {
  readonly check: KeyWatch;
  readonly selection: Selection;
}

export class KeyWatchers {
  readonly #site: SimulatedCluster;
  readonly #clock: VirtualClock;
  readonly #random: SeededRandom;
  readonly #watches: readonly Watch[];
  #stream: { readonly member: MemoryMember; readonly abort: AbortController } | null = null;
  #ended = false;

  constructor(site: SimulatedCluster, clock: VirtualClock, random: SeededRandom) {
    this.#site = site;
    this.#clock = clock;
    this.#random = random;
    this.#watches = RANGES.map((keys) => this.#watch(keys, random.pick(FILTERS)));
    this.#connect();
  }

  /** The stream ends with its member. */
  lost(member: MemoryMember): void {
    if (this.#stream?.member === member) this.#stream.abort.abort();
  }

  /** Everybody was told everything. */
  told(at: number): boolean {
    return this.#watches.every(({ check }) => check.told >= at);
  }

  end(): void {
    this.#ended = true;
    this.#stream?.abort.abort();
  }

  #watch(keys: Keys, filters: readonly WatchFilter[]): Watch {
    const { checks } = this.#site;
    const name = `watch of ${JSON.stringify(keys)} ${filters.join()}`;
    const selects = ({ type, key }: Event): boolean =>
      covers(keys, key) && !filters.includes(type === "put" ? "noput" : "nodelete");
    const from = this.#random.chance(0.2) ? this.#random.below(FUTURE, 2) : 1;
    const check = new KeyWatch({ name, selects }, from, checks.serial, (fault) => this.#site.violation(fault));
    const selection = {
      keys: selectorOf(keys),
      origin: null,
      filters,
      principal: { ...ANYBODY, mayAdminister: false },
    };
    return { check, selection };
  }

  #connect(): void {
    if (this.#ended) return;
    const member = this.#random.pick(this.#site.group);
    if (!member.ready || member.failure !== null) {
      this.#clock.after(RETRY_MS, () => this.#connect());
      return;
    }
    const abort = new AbortController();
    this.#stream = { member, abort };
    const cancel = this.#clock.after(this.#random.below(CONNECTED_MS_MAX, 500), () => abort.abort());
    // What a dead member was asked is never answered.
    const aborted = new Promise<void>((resolve) => abort.signal.addEventListener("abort", () => resolve()));
    Promise.race([aborted, this.#serve(member, abort.signal)])
      .catch((error: unknown) => {
        if (error instanceof OpenClawError && ["STOPPED", "UNAVAILABLE", "DIVERGED"].includes(error.code)) return;
        this.#site.violation(`a stream of watches: ${error instanceof Error ? error.stack : String(error)}`);
      })
      .finally(() => {
        cancel();
        abort.abort();
        this.#clock.after(RETRY_MS, () => this.#connect());
      });
  }

  #serve(member: MemoryMember, signal: AbortSignal): Promise<void> {
    const alive = (): boolean => !signal.aborted && !member.clock.ended;
    const sink = new Reader({
      alive,
      watches: this.#watches,
      taken: () => this.#pause(),
      told: (record, events) => {
        if (this.#random.chance(PREVIOUS)) this.#look(member, record, events);
      },
    });
    const lanes = new WatchLanes(member.replica, sink, signal);
    const running = lanes.run();
    for (const watch of this.#watches) {
      // Some are taken up when the stream has run for a while.
      const add = (): void => {
        if (alive()) lanes.add(sink.lane(watch));
      };
      if (this.#random.chance(0.7)) add();
      else this.#clock.after(this.#random.below(1_000), add);
    }
    return running;
  }

  /** What was under the keys before, as a watch may ask for it. */
  #look(member: MemoryMember, record: LedgerRecord, events: readonly KeyEvent[]): void {
    const { serial } = this.#site.checks;
    new PreviousRows(member.replica).before(record, events).then(
      (told) => {
        const rows = serial.at(record.revision - 1)?.rows;
        for (const [i, { key }] of events.entries()) {
          const { create, mod, version, lease } = rows?.get(text(key)) ?? NO_ROW;
          const expected = { create, mod, version, lease };
          const previous = told[i]?.previous;
          const seen = previous === null ? NO_ROW : previous === undefined ? null : numbersOf(previous);
          if (!isDeepStrictEqual(seen, expected))
            this.#site.violation(
              `before ${record.revision} ${text(key)} was ${JSON.stringify(expected)}, a watch is told ${JSON.stringify(seen)}`,
            );
        }
      },
      (error: unknown) => {
        if (!(error instanceof OpenClawError) || !error.retryable) this.#site.violation(String(error));
      },
    );
  }

  #pause(): Promise<void> {
    if (!this.#random.chance(0.1)) return Promise.resolve();
    return new Promise((resolve) => void this.#clock.after(this.#random.below(SLOW_MS_MAX), resolve));
  }
}

const NO_ROW = { create: 0, mod: 0, version: 0, lease: 0 };
const numbersOf = (row: NonNullable<Before["previous"]>): typeof NO_ROW => ({
  create: row.createRevision,
  mod: row.modRevision,
  version: row.version,
  lease: row.lease ?? 0,
});

interface ReaderOptions {
  readonly alive: () => boolean;
  readonly watches: readonly Watch[];
  /** Resolves when it takes more. */
  readonly taken: () => Promise<void>;
  readonly told: (record: LedgerRecord, events: readonly KeyEvent[]) => void;
}

/** The other end of a stream: what is sent reaches it in order, and what was not when the stream broke, never. */
class Reader implements LanesSink {
  readonly #options: ReaderOptions;
  readonly #added = new Set<Watch>();
  #pending: (() => void)[] = [];

  constructor(options: ReaderOptions) {
    this.#options = options;
  }

  lane(watch: Watch): LaneWatch {
    const { check, selection } = watch;
    this.#added.add(watch);
    return {
      next: check.told + 1,
      offer: (watched) => this.#offer(check, selection, watched),
      cancelled: (error) => {
        throw error;
      },
    };
  }

  get full(): boolean {
    return this.#pending.length >= PENDING_MAX;
  }

  flush(): Promise<void> {
    const pending = this.#pending;
    this.#pending = [];
    for (const send of pending) if (this.#options.alive()) send();
    return this.#options.taken();
  }

  caughtUp(at: number): void {
    const { alive, watches } = this.#options;
    if (!alive()) return;
    for (const watch of watches) if (this.#added.has(watch)) watch.check.progress(at);
  }

  #offer(check: KeyWatch, selection: Selection, watched: WatchedRecord): void {
    const { record } = watched;
    const events = selectedEvents(watched, selection);
    if (events.length === 0) return;
    this.#pending.push(() => {
      check.events(record.revision, events.map(eventOf));
      this.#options.told(record, events);
    });
  }
}
