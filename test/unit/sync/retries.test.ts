/** What bounds trying again: delays, a budget, a breaker a gateway, and the turn in which gateways are dialled. */
import { OpenClawError } from "@openclaw/core/errors.ts";
import { Backoff } from "@openclaw/core/sync/backoff.ts";
import { CircuitBreaker } from "@openclaw/core/sync/circuit-breaker.ts";
import { RetryBudget } from "@openclaw/core/sync/retry-budget.ts";
import { Rotation } from "@openclaw/core/sync/rotation.ts";
import { describe, expect, test } from "vitest";
import { SeededRandom } from "../../simulation/seeded-random.ts";
import { VirtualClock } from "../../simulation/virtual-clock.ts";

const pass = (clock: VirtualClock, ms: number): void => {
  const until = clock.now() + ms;
  while (clock.step(until));
};

test("a delay is anything up to a bound that doubles to its maximum (full jitter)", () => {
  const [many, tries] = [2_000, 8];
  const longest = new Array<number>(tries).fill(0);
  const sum = new Array<number>(tries).fill(0);
  const random = new SeededRandom(1);
  for (let i = 0; i < many; i++) {
    const backoff = new Backoff(new VirtualClock(), random, 100, 5_000);
    for (let n = 0; n < tries; n++) {
      const ms = backoff.next();
      longest[n] = Math.max(longest[n] ?? 0, ms);
      sum[n] = (sum[n] ?? 0) + ms;
    }
  }
  const bounds = [100, 200, 400, 800, 1_600, 3_200, 5_000, 5_000];
  for (const [n, bound] of bounds.entries()) {
    expect(longest[n]).toBeLessThan(bound);
    expect(longest[n]).toBeGreaterThan(0.98 * bound);
    expect((sum[n] ?? 0) / many / bound).toBeCloseTo(0.5, 1);
  }
});

test("an uplink's delays grow with how long it has been failing: after ten seconds the bound is about one", () => {
  for (const seed of [1, 2, 3, 4, 5]) {
    const backoff = new Backoff(new VirtualClock(), new SeededRandom(seed), 100, 5_000, 1.05);
    let failing = 0;
    let tries = 0;
    for (; failing < 10_000; tries++) failing += backoff.next();
    expect(tries).toBeLessThan(70);
    expect(Math.max(...Array.from({ length: 5 }, () => backoff.next()))).toBeLessThan(1_600);
  }
});

describe("a retry budget", () => {
  test("lets a handful through at once, and then a tenth of what succeeds", () => {
    const budget = new RetryBudget();
    let retries = 0;
    for (let i = 0; i < 100; i++) if (budget.failed()) retries++;
    expect(retries).toBe(4);
    expect(budget.tokens).toBe(0);
    // One in eleven fails: what succeeds pays for it, and no more than that.
    retries = 0;
    for (let i = 0; i < 1_100; i++) {
      if (i % 11 !== 10) budget.succeeded();
      else if (budget.failed()) retries++;
    }
    expect(retries).toBe(0);
    for (let i = 0; i < 100; i++) budget.succeeded();
    for (let i = 0; i < 1_000; i++) {
      if (i % 20 !== 19) budget.succeeded();
      else if (budget.failed()) retries++;
    }
    expect(retries).toBe(50);
    expect(budget.tokens).toBeLessThanOrEqual(10);
  });
});

describe("a circuit breaker", () => {
  test("opens after three failures in a row, lets one try through when its time is over, and closes when that succeeds", () => {
    const clock = new VirtualClock();
    const breaker = new CircuitBreaker(clock, new SeededRandom(1));
    for (let i = 0; i < 2; i++) breaker.failed();
    breaker.succeeded();
    for (let i = 0; i < 2; i++) breaker.failed();
    expect(breaker.circuit).toBe("closed");
    for (const longest of [1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000]) {
      breaker.failed();
      pass(clock, longest / 2 - 1);
      expect(breaker.circuit).toBe("open");
      pass(clock, longest / 2 + 1);
      expect(breaker.circuit).toBe("half-open");
    }
    breaker.succeeded();
    expect(breaker.circuit).toBe("closed");
  });
});

describe("gateways in turn", () => {
  function rotation(names: readonly string[]) {
    const clock = new VirtualClock();
    const dead = new Set<string>();
    const dialled: string[] = [];
    const gateways = new Rotation<string>(
      clock,
      { ...new SeededRandom(1), unit: () => 0, bytes: () => new Uint8Array() },
      names,
      (name) => name,
    );
    const dial = (ended: OpenClawError | null = null) =>
      gateways.dial(
        ended,
        async (name) => {
          dialled.push(name);
          if (dead.has(name)) throw new OpenClawError("UNAVAILABLE", name);
          return name;
        },
        () => undefined,
      );
    return { clock, dead, dialled, gateways, dial };
  }
  const broke = new OpenClawError("UNAVAILABLE");

  test("the one that answered last comes first, or the next one if its connection broke", async () => {
    const { dead, dialled, dial } = rotation(["a", "b", "c"]);
    expect(await dial()).toBe("a");
    expect(await dial(null)).toBe("a");
    expect(await dial(broke)).toBe("b");
    dead.add("b");
    expect(await dial()).toBe("c");
    expect(await dial()).toBe("c");
    expect(dialled).toEqual(["a", "a", "b", "b", "c", "c"]);
  });

  test("one whose circuit is open is left out while another answers, and tried again when its time is over", async () => {
    const { clock, dead, dialled, gateways, dial } = rotation(["a", "b"]);
    dead.add("a");
    for (let i = 0; i < 3; i++) {
      expect(await dial()).toBe("b");
      // Back to the dead one.
      pass(clock, 20_000);
      await dial(broke);
    }
    expect(gateways.states()).toEqual([
      { gateway: "a", circuit: "open" },
      { gateway: "b", circuit: "closed" },
    ]);
    dialled.length = 0;
    expect(await dial(broke)).toBe("b");
    expect(dialled).toEqual(["b"]);
    dead.clear();
    pass(clock, 1_000);
    expect(gateways.states()[0]).toEqual({ gateway: "a", circuit: "half-open" });
    expect(await dial(broke)).toBe("a");
    pass(clock, 20_000);
    await dial(broke);
    expect(gateways.states()[0]).toEqual({ gateway: "a", circuit: "closed" });
  });

  test("those that are told of while one is dialled have their turn", async () => {
    const { dialled, gateways } = rotation(["a", "b"]);
    const dial = (): Promise<string | null> =>
      gateways.dial(
        null,
        async (name) => {
          dialled.push(name);
          gateways.set(["b"]);
          return name;
        },
        () => undefined,
      );
    expect(await dial()).toBe("a");
    expect(await dial()).toBe("b");
    gateways.set(["c", "b"]);
    expect(await dial()).toBe("b");
  });

  test("one that lets us in and ends the connection at once fails, too", async () => {
    const { gateways, dial } = rotation(["a"]);
    await dial();
    for (let i = 0; i < 3; i++) expect(await dial(broke)).toBe("a");
    expect(gateways.states()).toEqual([{ gateway: "a", circuit: "open" }]);
  });

  test("all of them are tried when none is worth it: nobody is cut off by what was true a while ago", async () => {
    const { dead, dialled, gateways, dial } = rotation(["a", "b"]);
    for (const name of ["a", "b"]) dead.add(name);
    for (let i = 0; i < 4; i++) expect(await dial()).toBe(null);
    expect(gateways.states().map(({ circuit }) => circuit)).toEqual(["open", "open"]);
    dead.clear();
    dialled.length = 0;
    expect(await dial()).toBe("a");
    gateways.set(["b", "c"]);
    expect(gateways.states()).toEqual([
      { gateway: "b", circuit: "open" },
      { gateway: "c", circuit: "closed" },
    ]);
  });

  test("what its caller ended is no failure of the gateway", async () => {
    const { gateways } = rotation(["a"]);
    for (let i = 0; i < 5; i++)
      await expect(
        gateways.dial(
          null,
          async () => Promise.reject(new Error("aborted")),
          () => {
            throw broke;
          },
        ),
      ).rejects.toBe(broke);
    expect(gateways.states()).toEqual([{ gateway: "a", circuit: "closed" }]);
  });
});
