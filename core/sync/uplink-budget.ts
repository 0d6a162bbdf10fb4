/**
 * What a metered uplink may use: bytes a second, which delay it, and bytes a day of log time, which end it until the next
 * one, or until an operator allows more. Order is never traded for either (S2). What was used is replicated whenever enough
 * came together: a failover forgets less than that, and an idle link proposes nothing (L1).
 */
import { BATCH_BYTES_MAX } from "../limits.ts";
import type { Clock } from "../ports.ts";
import { LogClock } from "../replica/log-clock.ts";
import { TokenBucket } from "../replica/token-bucket.ts";
import type { Position, QueryAnswers, UplinkUse } from "../state-machine/query.ts";
import { DAY_MS } from "../state-machine/uplink-use.ts";

/** Null bounds nothing. */
export interface UplinkLimits {
  /** What is sent. */
  readonly bytesPerSecond: number | null;
  /** Both ways together. */
  readonly bytesPerDay: number | null;
}

/** Bytes on the wire, of all connections to the parent that this node ever had. */
export interface Traffic {
  readonly sent: number;
  readonly received: number;
}

export interface BudgetState {
  readonly limits: UplinkLimits;
  /** What was used today, as this node knows: at a follower, what was replicated when it last led. */
  readonly use: UplinkUse;
  /** Bytes that are left today; null: without a bound. */
  readonly left: number | null;
  /** Ms of log time. */
  readonly msToNextDay: number;
}

/** How often a link that used up its day looks whether it may go on, ms. */
const SPENT_LOOK_MS = 1_000;
/** The part of a day's budget that a failover may forget, and the least that is worth a proposal. */
const NOTE_PART = 1 / 256;
const NOTE_BYTES_MIN = 65_536;
/** The same without a budget: who pays for the link wants to know what it used. */
const NOTE_BYTES = 16_777_216;
/** A push takes at most this part of a second's bytes, so that the rate holds within a second, too. */
const PUSH_SECONDS = 0.25;
/** A push need be no smaller, however slow the link is. */
const PUSH_BYTES_MIN = 16_384;

export interface UplinkBudgetOptions {
  readonly limits: UplinkLimits;
  readonly clock: Clock;
  readonly traffic: () => Traffic;
  readonly position: () => Pick<Position, "logTime">;
  readonly read: () => Promise<QueryAnswers["uplinkUse"]>;
  readonly note: (day: number, bytes: number) => Promise<void>;
}

export class UplinkBudget {
  readonly #options: UplinkBudgetOptions;
  readonly #logClock: LogClock;
  readonly #bucket: TokenBucket | null;
  /** Of what was sent, what the bucket has been told. */
  #charged = 0;
  #use: UplinkUse = { day: 0, bytes: 0, allowed: 0 };
  /** The traffic that `#use` covers. */
  #counted = 0;
  /** Of the day's bytes, those that are replicated. */
  #noted = 0;
  #noting = false;
  /** What the link was seen to carry in the time that an answer may take, or more. */
  #carried = BATCH_BYTES_MAX;
  #wake: () => void = () => {};

  constructor(options: UplinkBudgetOptions) {
    const { clock, limits, traffic } = options;
    this.#options = options;
    this.#logClock = new LogClock(clock);
    const { bytesPerSecond } = limits;
    this.#bucket = bytesPerSecond === null ? null : new TokenBucket(clock, bytesPerSecond, bytesPerSecond);
    this.#charged = traffic().sent;
    this.#counted = total(traffic());
  }

  /** Takes up what is replicated: another leader may have counted on, or an operator allowed more. */
  async refresh(): Promise<void> {
    const { use } = await this.#options.read();
    const { day, bytes } = this.use;
    if (use === null || use.day < day) return;
    this.#noted = use.bytes;
    this.#use = use.day > day ? use : { day, bytes: Math.max(bytes, use.bytes), allowed: use.allowed };
  }

  /** Of today, as far as this node knows. */
  get use(): UplinkUse {
    const now = total(this.#options.traffic());
    const day = this.#today;
    if (day > this.#use.day) {
      this.#use = { day, bytes: 0, allowed: 0 };
      this.#noted = 0;
    }
    this.#use = { ...this.#use, bytes: this.#use.bytes + now - this.#counted };
    this.#counted = now;
    return this.#use;
  }

  /** Bytes that are left today; null: without a bound. */
  get left(): number | null {
    const { bytesPerDay } = this.#options.limits;
    if (bytesPerDay === null) return null;
    const { bytes, allowed } = this.use;
    return Math.max(0, bytesPerDay + allowed - bytes);
  }

  get state(): BudgetState {
    const { use, left, msToNextDay } = this;
    return { limits: this.#options.limits, use, left, msToNextDay };
  }

  /** Ms of log time until the next day begins. */
  get msToNextDay(): number {
    return DAY_MS - (this.#logTime % DAY_MS);
  }

  /** Bytes of the largest push now. What does not fit a record is sent on credit: a record travels whole. */
  get pushBytes(): number {
    const { bytesPerSecond } = this.#options.limits;
    const ofRate = bytesPerSecond === null ? BATCH_BYTES_MAX : Math.ceil(bytesPerSecond * PUSH_SECONDS);
    return Math.min(this.#carried, ofRate, this.left ?? BATCH_BYTES_MAX);
  }

  /** A push was answered, or a connection ended on which none was: a slow link may not carry one before it is given up. */
  pushed(answered: boolean): void {
    const next = answered ? this.#carried * 2 : this.#carried / 2;
    this.#carried = Math.max(PUSH_BYTES_MIN, Math.min(BATCH_BYTES_MAX, next));
  }

  /** Resolves when the rate lets another push go: what was sent before it has been paid for. */
  async turn(): Promise<void> {
    const { sent } = this.#options.traffic();
    const unpaid = sent - this.#charged;
    this.#charged = sent;
    await this.#bucket?.take(unpaid);
  }

  /** Replicates what was used, if that is worth it. Never rejects for what `note` rejects with: it is counted on. */
  async look(): Promise<void> {
    const { bytesPerDay } = this.#options.limits;
    const { day, bytes } = this.use;
    const worth = bytesPerDay === null ? NOTE_BYTES : Math.max(NOTE_BYTES_MIN, bytesPerDay * NOTE_PART);
    const unsaid = bytes - this.#noted;
    if (this.#noting || (unsaid < worth && !(unsaid > 0 && this.left === 0))) return;
    this.#noting = true;
    try {
      await this.#options.note(day, bytes);
      if (day === this.#use.day) this.#noted = bytes;
    } finally {
      this.#noting = false;
    }
  }

  /**
   * Resolves when there may be bytes again: the day may be another one, or an operator may have allowed more.
   * @param failed what could not be read or replicated is tried again
   */
  async replenished(failed: (error: unknown) => void): Promise<void> {
    await this.look().catch(failed);
    await new Promise<void>((resolve) => {
      const cancel = this.#options.clock.after(SPENT_LOOK_MS, resolve);
      this.#wake = () => {
        cancel();
        resolve();
      };
    });
    await this.refresh().catch(failed);
  }

  /** Whoever waits for bytes looks again. */
  wake(): void {
    this.#wake();
  }

  get #logTime(): number {
    return this.#logClock.now(this.#options.position().logTime);
  }

  get #today(): number {
    return Math.floor(this.#logTime / DAY_MS);
  }
}

const total = ({ sent, received }: Traffic): number => sent + received;
