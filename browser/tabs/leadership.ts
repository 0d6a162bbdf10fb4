/**
 * Which tab of a device leads: the one that holds a Web Lock. A tab that dies lets go of its locks, and the next in line has
 * it. One that is frozen, or whose worker does not come to its turn, keeps its lock and does nothing (pitfall 44): so followers
 * ask whether it is there, and take the lock from a leader that does not answer. Who wakes to find it taken lets go.
 */
import type { Clock, Random } from "@openclaw/core/ports.ts";
import type { TabMessage } from "./tab-message.ts";

/** A follower that has heard nothing of the leader for so long asks, ms. */
const QUIET_MS = 400;
/** A leader that has not answered by then is replaced, ms; some later, so that not all followers do it at once. */
const ANSWER_MS = 900;
const SPREAD_MS = 100;
/** A timer that comes so much too late says that this tab was stopped itself, ms: it asks again. */
const STOPPED_MS = 400;

export type Locks = Pick<LockManager, "request">;

export interface LeadershipHost {
  readonly tab: string;
  /** The lock's name. */
  readonly lock: string;
  readonly locks: Locks;
  readonly clock: Clock;
  readonly random: Random;
  post(message: TabMessage): void;
  /** `leader` is another one: this tab, another, or nobody known. */
  changed(): void;
}

export class Leadership {
  readonly #host: LeadershipHost;
  /** The tab that leads, and its term; null while none is known. */
  #leader: string | null = null;
  #term = 0;
  /** Gives the lock up; null while this tab does not hold it. */
  #release: (() => void) | null = null;
  /** Ends the wait for the lock. */
  #waiting: AbortController | null = null;
  #cancel = (): void => {};
  #stopped = true;

  constructor(host: LeadershipHost) {
    this.#host = host;
  }

  get leads(): boolean {
    return this.#release !== null;
  }

  get leader(): string | null {
    return this.#leader;
  }

  /** Leads when it is this tab's turn. */
  start(): void {
    this.#stopped = false;
    this.#queue();
    this.#watch();
    // Who leads says so.
    this.#host.post({ kind: "probe" });
  }

  /** Leads no more, and does not want to. */
  stop(): void {
    this.#stopped = true;
    this.#cancel();
    this.#waiting?.abort();
    this.#letGo();
    this.#follow(null);
  }

  probed(): void {
    if (this.leads) this.#beat();
  }

  /** A tab says that it leads. */
  heard(tab: string, term: number): void {
    if (this.#stopped || tab === this.#host.tab || term < this.#term) return;
    // The lock was taken from this tab, which will hear of it: whoever took it says so first.
    if (this.leads && term > this.#term) this.#letGo();
    if (this.leads) return;
    this.#term = term;
    this.#watch();
    this.#follow(tab);
  }

  #queue(): void {
    const waiting = new AbortController();
    this.#waiting = waiting;
    this.#request({ signal: waiting.signal });
  }

  #steal(): void {
    // Else this tab would be in line behind itself.
    this.#waiting?.abort();
    this.#waiting = new AbortController();
    this.#request({ steal: true });
  }

  #request(options: LockOptions): void {
    let held: (() => void) | null = null;
    // Given up, or taken from this tab.
    const over = (): void => {
      if (held !== null && this.#release === held) this.#letGo();
      if (this.#stopped || this.leads || this.#waiting !== null) return;
      this.#queue();
      this.#watch();
    };
    this.#host.locks
      .request(this.#host.lock, options, () => {
        if (this.#stopped) return undefined;
        return new Promise<void>((release) => {
          held = release;
          this.#lead(release);
        });
      })
      .then(over, over);
  }

  #lead(release: () => void): void {
    this.#cancel();
    this.#waiting = null;
    this.#release = release;
    this.#term++;
    this.#beat();
    this.#follow(this.#host.tab);
  }

  #letGo(): void {
    const release = this.#release;
    if (release === null) return;
    this.#release = null;
    this.#follow(null);
    release();
  }

  #follow(leader: string | null): void {
    if (this.#leader === leader) return;
    this.#leader = leader;
    this.#host.changed();
  }

  #beat(): void {
    this.#host.post({ kind: "beat", tab: this.#host.tab, term: this.#term });
  }

  /** Asks after the leader when it is quiet, and again as long as it answers. */
  #watch(): void {
    const { clock, random } = this.#host;
    this.#cancel();
    this.#cancel = clock.after(QUIET_MS, () => {
      const patience = ANSWER_MS + random.unit() * SPREAD_MS;
      const due = clock.now() + patience;
      this.#host.post({ kind: "probe" });
      this.#cancel = clock.after(patience, () => {
        if (clock.now() > due + STOPPED_MS) this.#watch();
        else this.#steal();
      });
    });
  }
}
