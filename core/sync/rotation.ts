/**
 * Which gateway is dialled next: one after the other, beginning with the one that answered last, or behind it if that is
 * why the last connection ended: a node that is cut off from its own cluster still answers. Those whose circuit is open are
 * left out while another one is not; if that is all of them, each is tried, and how often is the caller's matter (`Backoff`).
 */
import type { OpenClawError } from "../errors.ts";
import type { Clock, Random } from "../ports.ts";
import { type Circuit, CircuitBreaker } from "./circuit-breaker.ts";

/** A connection that ended with an error before it lasted so long counts as a failure of its gateway, ms. */
const LASTED_MS = 10_000;

export interface GatewayState {
  readonly gateway: string;
  readonly circuit: Circuit;
}

interface Known<Gateway> {
  readonly gateway: Gateway;
  readonly name: string;
  readonly breaker: CircuitBreaker;
}

export class Rotation<Gateway> {
  readonly #clock: Clock;
  readonly #random: Random;
  readonly #nameOf: (gateway: Gateway) => string;
  #known: readonly Known<Gateway>[] = [];
  #next = 0;
  #connected: { readonly one: Known<Gateway>; readonly since: number } | null = null;

  constructor(clock: Clock, random: Random, gateways: readonly Gateway[], nameOf: (gateway: Gateway) => string) {
    this.#clock = clock;
    this.#random = random;
    this.#nameOf = nameOf;
    this.set(gateways);
    // Spreads those who dial over those who are dialled.
    this.#next = Math.floor(random.unit() * gateways.length);
  }

  /** Others are there now; what is known of those that stay, and whose turn it is, stays. */
  set(gateways: readonly Gateway[]): void {
    const inTurn = this.#known[this.#next % this.#known.length]?.name;
    this.#known = gateways.map((gateway) => {
      const name = this.#nameOf(gateway);
      const breaker = this.#known.find((one) => one.name === name)?.breaker;
      return { gateway, name, breaker: breaker ?? new CircuitBreaker(this.#clock, this.#random) };
    });
    this.#aim(inTurn);
  }

  states(): readonly GatewayState[] {
    return this.#known.map(({ name, breaker }) => ({ gateway: name, circuit: breaker.circuit }));
  }

  /**
   * Dials one after the other, until one answers.
   * @param ended why the connection before ended; null when there was none, or it was ended on purpose
   * @param failed called with each failure; may throw, and so end it: then it was none of the gateway's
   * @returns null when none does
   */
  async dial<T>(
    ended: OpenClawError | null,
    dial: (gateway: Gateway) => Promise<T>,
    failed: (name: string, error: unknown) => void | Promise<void>,
  ): Promise<T | null> {
    this.#judge(ended);
    for (const one of this.#candidates()) {
      try {
        const answered = await dial(one.gateway);
        this.#connected = { one, since: this.#clock.now() };
        this.#aim(one.name);
        return answered;
      } catch (error) {
        await failed(one.name, error);
        one.breaker.failed();
      }
    }
    return null;
  }

  /** It comes next, if it is still there. */
  #aim(name: string | undefined): void {
    this.#next = Math.max(
      0,
      this.#known.findIndex((one) => one.name === name),
    );
  }

  /** The last connection, now that it is over. */
  #judge(ended: OpenClawError | null): void {
    const last = this.#connected;
    this.#connected = null;
    if (ended !== null) this.#next++;
    if (last === null) return;
    if (ended === null || this.#clock.now() - last.since >= LASTED_MS) last.one.breaker.succeeded();
    else last.one.breaker.failed();
  }

  #candidates(): readonly Known<Gateway>[] {
    const count = this.#known.length;
    const inTurn = this.#known.map((_, i) => this.#known[(this.#next + i) % count]).filter((one) => one !== undefined);
    const worthATry = inTurn.filter(({ breaker }) => breaker.circuit !== "open");
    return worthATry.length > 0 ? worthATry : inTurn;
  }
}
