/**
 * Watchers of a site's ledger: each follows one member, and goes on at another from where it was when that one dies. An
 * onlooker begins anew each time it connects, at any revision that is kept, or at one that is still to come.
 */
import { OpenClawError } from "@openclaw/core/errors.ts";
import { revision } from "@openclaw/core/ids.ts";
import type { StoredRecord } from "@openclaw/core/ports.ts";
import { ledgerPages } from "@openclaw/edge-runtime/api/ledger-pages.ts";
import type { MemoryMember } from "./memory-cluster.ts";
import type { SeededRandom } from "./seeded-random.ts";
import type { SimulatedCluster } from "./simulated-cluster.ts";
import type { VirtualClock } from "./virtual-clock.ts";

const RETRY_MS = 50;
/** How far ahead of a member an onlooker begins. */
const FUTURE_MAX = 6;
const ONLOOKER = "onlooker";
/** A watcher is cut off now and then, ms. */
const CONNECTED_MS_MAX = 15_000;

/** A watch ends, and is begun again elsewhere. */
const ENDS: ReadonlySet<string> = new Set(["STOPPED", "UNAVAILABLE", "DIVERGED"]);

export class Watchers {
  readonly #site: SimulatedCluster;
  readonly #clock: VirtualClock;
  readonly #random: SeededRandom;
  readonly #names: readonly string[];
  /** By watcher: what it was told. */
  readonly #last = new Map<string, number>();
  readonly #aborts = new Map<string, { readonly member: MemoryMember; readonly abort: AbortController }>();
  #ended = false;

  constructor(site: SimulatedCluster, clock: VirtualClock, random: SeededRandom, count: number) {
    this.#site = site;
    this.#clock = clock;
    this.#random = random;
    this.#names = Array.from({ length: count }, (_, i) => `watcher ${i + 1}`);
    for (const name of this.#names) this.#connect(name, (member, signal) => this.#watch(name, member, signal));
    this.#connect(ONLOOKER, (member, signal) => this.#look(member, signal));
  }

  /** Its connections end with the member. */
  lost(member: MemoryMember): void {
    for (const watch of [...this.#aborts.values()]) if (watch.member === member) watch.abort.abort();
  }

  /** Everyone was told everything up to `revision`; a fault otherwise. */
  check(at: number): void {
    for (const name of this.#names) this.#site.checks.watches.ended(name, at);
  }

  told(at: number): boolean {
    return this.#names.every((name) => this.#last.get(name) === at);
  }

  end(): void {
    this.#ended = true;
    for (const { abort } of [...this.#aborts.values()]) abort.abort();
  }

  /** @param watch what it asks of the member that it finds */
  #connect(name: string, watch: (member: MemoryMember, signal: AbortSignal) => Promise<void>): void {
    if (this.#ended) return;
    const member = this.#random.pick(this.#site.group);
    if (!member.ready || member.failure !== null) {
      this.#clock.after(RETRY_MS, () => this.#connect(name, watch));
      return;
    }
    const abort = new AbortController();
    this.#aborts.set(name, { member, abort });
    const cancel = this.#clock.after(this.#random.below(CONNECTED_MS_MAX, 1_000), () => abort.abort());
    // What a dead member was asked is never answered.
    const aborted = new Promise<void>((resolve) => abort.signal.addEventListener("abort", () => resolve()));
    Promise.race([aborted, watch(member, abort.signal)])
      .catch((error: unknown) => {
        if (error instanceof OpenClawError && ENDS.has(error.code)) return;
        this.#site.violation(`${name}: ${error instanceof Error ? error.stack : String(error)}`);
      })
      .finally(() => {
        cancel();
        abort.abort();
        this.#clock.after(RETRY_MS, () => this.#connect(name, watch));
      });
  }

  /** From where it was. */
  #watch(name: string, member: MemoryMember, signal: AbortSignal): Promise<void> {
    const next = (this.#last.get(name) ?? 0) + 1;
    return this.#read(name, next, member, signal, (records) => {
      this.#last.set(name, records.at(-1)?.revision ?? this.#last.get(name) ?? 0);
    });
  }

  #look(member: MemoryMember, signal: AbortSignal): Promise<void> {
    const { revision: newest } = member.replica.position();
    const from = this.#random.chance(0.3)
      ? newest + this.#random.below(FUTURE_MAX, 1)
      : this.#random.below(newest + 2, 1);
    this.#site.checks.watches.begins(ONLOOKER, from);
    return this.#read(ONLOOKER, from, member, signal, () => {});
  }

  async #read(
    name: string,
    from: number,
    { replica, clock }: MemoryMember,
    signal: AbortSignal,
    told: (records: readonly StoredRecord[]) => void,
  ): Promise<void> {
    for await (const { records } of ledgerPages(replica, revision(from), signal)) {
      if (signal.aborted || clock.ended) return;
      this.#site.checks.watches.delivered(name, records);
      told(records);
      // A slow reader: what comes meanwhile waits in the buffer, or is paged.
      if (this.#random.chance(0.1))
        await new Promise<void>((resolve) => this.#clock.after(this.#random.below(300), resolve));
    }
  }
}
