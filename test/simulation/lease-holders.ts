/**
 * Clients that hold leases: each asks for one, puts keys that end with it, keeps it alive for a while, and then revokes
 * it, or is heard of no more.
 */
import type { Txn } from "../model/etcd.ts";
import type { Answer } from "../model/translation.ts";
import { KeyClient, type KeyClientOptions } from "./key-client.ts";
import type { SeededRandom } from "./seeded-random.ts";

/** Longer and shorter than a failover, ms of log time. */
const TTLS_MS = [1_200, 3_000, 7_000];
export const TTL_MS_MAX = Math.max(...TTLS_MS);
const KEYS = 4;

interface Held {
  readonly lease: number;
  readonly ttlMs: number;
  /** How often it is still kept alive. */
  times: number;
}

export class LeaseHolders {
  readonly #options: KeyClientOptions;
  #leases = 0;
  #ended = false;

  constructor(options: KeyClientOptions, count: number) {
    this.#options = options;
    for (let i = 0; i < count; i++) {
      const client = new KeyClient(`lease holder ${i + 1}`, options);
      void this.#live(client);
    }
  }

  /** Nobody keeps anything alive any more. */
  end(): void {
    this.#ended = true;
  }

  async #live(client: KeyClient): Promise<void> {
    const { random } = this.#options;
    while (!this.#ended) {
      await this.#elapse(1 + random.below(1_500));
      if (this.#ended) return;
      const ttlMs = random.pick(TTLS_MS);
      const held = { lease: ++this.#leases, ttlMs, times: random.pick([0, 2, 5, 12]) };
      await this.#hold(client, held);
    }
  }

  async #hold(client: KeyClient, held: Held): Promise<void> {
    const { random, known, site } = this.#options;
    const { lease, ttlMs } = held;
    known.leases.push(lease);
    if (!(await this.#lives(held, () => client.execute({ op: "grant", id: lease, ttl: ttlMs })))) return;
    await client.execute(attach(random, client.name, lease));
    for (; held.times > 0 && !this.#ended; held.times--) {
      await this.#elapse(ttlMs / 3);
      if (this.#ended) return;
      if (!(await this.#lives(held, () => client.execute({ op: "alive", id: lease })))) return;
      if (random.chance(0.2)) await client.execute(attach(random, client.name, lease));
    }
    if (this.#ended || random.chance(0.6)) return;
    site.checks.leases.revoking(lease);
    await client.execute({ op: "revoke", id: lease });
  }

  /** False when it is over; where nobody knows, it may live. */
  async #lives({ lease, ttlMs }: Held, ask: () => Promise<Answer | null>): Promise<boolean> {
    const { site, clock } = this.#options;
    const { leases } = site.checks;
    const [asked, safeUntil] = [clock.now(), leases.safeUntil(lease)];
    const answer = await ask();
    if (answer === null) return true;
    if (!("error" in answer)) leases.alive(lease, ttlMs, asked);
    else if (answer.error === "LEASE_NOT_FOUND") leases.missing(lease, safeUntil);
    return !("error" in answer);
  }

  #elapse(ms: number): Promise<void> {
    return new Promise((resolve) => void this.#options.clock.after(ms, resolve));
  }
}

/** Keys of its holder, some of which may have been another lease's until now. */
function attach(random: SeededRandom, holder: string, lease: number): Txn {
  const first = random.below(KEYS);
  const keys = Array.from({ length: random.below(4, 1) }, (_, i) => `${holder} ${(first + i) % KEYS}`);
  return {
    op: "txn",
    compare: [],
    success: keys.map((key) => ({ op: "put", key, value: `${lease}`, lease, prev: random.chance(0.2) })),
    failure: [],
  };
}
