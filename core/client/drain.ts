/**
 * Sends what page sessions that are over left behind (D4): each of their outboxes is a child stream of its own, pushed
 * over a connection of its own, by whoever gets the link's claim.
 */
import { type LinkId, seq } from "../ids.ts";
import { RESULTS_MAX } from "../limits.ts";
import type { Clock } from "../ports.ts";
import type { ChildConnection } from "../sync/message.ts";
import { isNothing } from "./nothing.ts";
import { Outbox } from "./outbox.ts";
import { allRows } from "./outbox-row.ts";
import type { OutboxStream, sendOutbox } from "./outbox-stream.ts";
import type { Settlement } from "./settlement.ts";
import type { ClientStore, OutboxRow, SiteLife } from "./store.ts";

/** Sees to it that one page at a time has a link; null when another has it, so that its page is alive. */
export type Claim = (link: LinkId) => Promise<(() => void) | null>;

interface DrainOptions {
  readonly store: ClientStore;
  readonly settlement: Settlement;
  readonly clock: Clock;
  readonly claim: Claim;
  /** The site that this session follows, in the epoch in which it knows it; null before it met one. */
  site(): SiteLife | null;
  /** True when that stands in storage. */
  begun(): Promise<boolean>;
  /** Takes out of an outbox of another site's what need not wait for it. */
  carry(link: LinkId): Promise<void>;
  connect(): Promise<ChildConnection>;
  online(): Promise<{ readonly sendOutbox: typeof sendOutbox }>;
  token(): Promise<string | null>;
}

/** How often outboxes that other sessions left behind are looked for, ms. */
const LOOK_EVERY_MS = 30_000;

/** While the site can be reached, drains every outbox on this device but this session's own, one after the other. */
export class Drainer {
  readonly #options: DrainOptions;
  /** Links of this session. */
  readonly #own: ReadonlySet<LinkId>;
  /** Called after each round, with what it failed with or null. */
  readonly #done: (error: unknown) => void;
  #wanted = false;
  #round: Promise<void> | null = null;
  /** Of the outbox that is being sent. */
  #stream: OutboxStream | null = null;
  #waiting: number;
  #cancel: () => void = () => {};

  /** @param waiting rows of other links in the store */
  constructor(options: DrainOptions, own: ReadonlySet<LinkId>, waiting: number, done: (error: unknown) => void) {
    this.#options = options;
    this.#own = own;
    this.#waiting = waiting;
    this.#done = done;
  }

  /** Rows of other sessions that wait on this device, as of the last look. */
  get waiting(): number {
    return this.#waiting;
  }

  /** So many more wait, as their session says. What comes while they are counted is counted wrongly until the next look. */
  moved(rows: number): void {
    this.#waiting = Math.max(0, this.#waiting + rows);
  }

  async recount(): Promise<void> {
    this.#waiting = await this.#count();
  }

  /** The site can be reached: looks now, and every while. */
  start(): void {
    this.#wanted = true;
    this.#cancel();
    this.#cancel = this.#options.clock.after(LOOK_EVERY_MS, () => this.start());
    // What could not be sent shows as unsynced, and the next look tries again.
    this.#round ??= this.#drainAll().then(
      () => this.#end(null),
      (error: unknown) => this.#end(error),
    );
  }

  /** Looks no more until `start`; what is being sent goes on. */
  pause(): void {
    this.#cancel();
  }

  /** Rows of other sessions came, or went. */
  async look(): Promise<void> {
    await this.recount();
    if (this.#wanted) this.start();
  }

  /** Nothing more is sent. Resolves when all that was answered is stored. */
  async stop(): Promise<void> {
    this.#wanted = false;
    this.pause();
    this.#stream?.close();
    await this.#round;
  }

  /**
   * The site is in another epoch: it knows none of these streams, and may hold what came of them. Document changes are sent
   * again; a key's write is kept as failed (Q1). @throws OpenClawError CLIENT_STORAGE_FAILED
   */
  async abandon(): Promise<void> {
    const { settlement } = this.#options;
    await this.#eachOther(async (link) => {
      const outbox = await this.#outboxOf(link);
      if (outbox !== null && !this.#isElsewhere(outbox.site)) await settlement.abandon(outbox, null);
    });
    await this.recount();
  }

  /** All of it, in memory; null where nothing of it is left. */
  async #outboxOf(link: LinkId): Promise<Outbox | null> {
    const rows = await allRows(this.#options.store, link);
    const [first] = rows;
    if (first === undefined) return null;
    const outbox = new Outbox(link, first.seq);
    const site = this.#siteOf(first);
    if (site !== null) outbox.meet(site);
    outbox.restore(rows);
    return outbox;
  }

  /** A row without one is of the first that was met. */
  #siteOf({ site }: OutboxRow): SiteLife | null {
    return site ?? this.#options.site();
  }

  /** It waits for another site than the one that is followed. */
  #isElsewhere(site: SiteLife | null): boolean {
    return site !== null && site.cluster !== this.#options.site()?.cluster;
  }

  async #drainAll(): Promise<void> {
    try {
      await this.#eachOther(async (link) => {
        if (this.#wanted) await this.#drain(link);
      });
    } finally {
      await this.recount();
    }
  }

  /** Those of pages that are alive are left to them. */
  async #eachOther(run: (link: LinkId) => Promise<void>): Promise<void> {
    for (const link of await this.#options.store.outboxLinks()) {
      if (this.#own.has(link)) continue;
      const release = await this.#options.claim(link);
      if (release !== null) await run(link).finally(release);
    }
  }

  #end(error: unknown): void {
    this.#round = null;
    this.#done(error);
  }

  async #drain(link: LinkId): Promise<void> {
    const { store, settlement, clock, begun } = this.#options;
    if (!(await begun())) return;
    const [first] = await store.outbox(link, seq(1), 1);
    if (first === undefined) return;
    const site = this.#siteOf(first);
    if (this.#isElsewhere(site)) return this.#options.carry(link);
    if (site !== null && site.epoch !== this.#options.site()?.epoch) {
      // It may have run in the epoch that it was written in (Q1).
      const whole = await this.#outboxOf(link);
      return whole === null ? undefined : settlement.abandon(whole, null);
    }
    const outbox: Outbox = new Outbox(link, first.seq, async () => {
      outbox.restore(await store.outbox(link, outbox.nextSeq, RESULTS_MAX));
    });
    if (site !== null) outbox.meet(site);
    await outbox.next(0);
    const [token, nextSeq] = [await this.#options.token(), await store.nextSeq(link)];
    const { sendOutbox } = await this.#options.online();
    const connection = await this.#options.connect();
    if (!this.#wanted) return connection.close();
    const its = () => this.#options.site();
    this.#stream = sendOutbox(outbox, { connection, token, nextSeq, settlement, clock, site: its });
    const reason = await this.#stream.ended.finally(() => {
      this.#stream = null;
    });
    if (reason?.code === "SESSION_EXPIRED") await settlement.abandon(outbox, null);
    else if (reason !== null) throw reason;
  }

  async #count(): Promise<number> {
    let count = 0;
    for (const link of await this.#options.store.outboxLinks()) {
      if (this.#own.has(link)) continue;
      for (const { command } of await allRows(this.#options.store, link)) if (!isNothing(command)) count++;
    }
    return count;
  }
}
