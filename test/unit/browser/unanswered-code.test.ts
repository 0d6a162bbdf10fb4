/** Code whose request is never answered: whoever waits for it hears that in time, and the next one asks again. */
import { BESIDE_MS_MAX, besideLoader } from "@openclaw/browser/beside.ts";
import { SiteConnection } from "@openclaw/browser/connection/connection.ts";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { DeviceMemoryStore, pageOver } from "./threads.ts";

const { never } = vi.hoisted(() => ({ never: () => new Promise<never>(() => undefined) }));
vi.mock("@openclaw/browser/worker/worker-connection.ts", never);
vi.mock("@openclaw/browser/worker/plain-inspection.ts", never);
vi.mock("@openclaw/browser/connection/dialer.ts", never);

beforeEach(() => void vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] }));
afterEach(() => void vi.useRealTimers());

/** What became of it so far. */
function fateOf(waiting: Promise<unknown>) {
  const fate = { now: "waits" };
  waiting.then(
    () => {
      fate.now = "came";
    },
    ({ code, details }) => {
      fate.now = `${code} ${details}`;
    },
  );
  return fate;
}

const turn = () => new Promise((resolve) => setImmediate(resolve));

/** What crosses between threads comes some turns later. */
async function after(ms: number): Promise<void> {
  for (let i = 0; i < 5; i++) await turn();
  await vi.advanceTimersByTimeAsync(ms);
  for (let i = 0; i < 5; i++) await turn();
}

/** Each waits to the end, and is told then. */
async function expectTold(ask: () => Promise<unknown>, told: string): Promise<void> {
  for (let i = 0; i < 2; i++) {
    const fate = fateOf(ask());
    await after(BESIDE_MS_MAX - 1);
    expect(fate.now).toBe("waits");
    await after(1);
    expect(fate.now).toBe(told);
  }
}

test("it is asked for once by all who wait, and again by who comes later; in time it is here for good", async () => {
  const asked: PromiseWithResolvers<string>[] = [];
  const load = besideLoader("the code", () => {
    const one = Promise.withResolvers<string>();
    asked.push(one);
    return one.promise;
  });
  const fates = [fateOf(load()), fateOf(load())];
  await after(BESIDE_MS_MAX);
  expect(fates.map(({ now }) => now)).toEqual(Array(2).fill("UNAVAILABLE the code could not be loaded"));
  expect(asked).toHaveLength(1);
  const later = load();
  await after(BESIDE_MS_MAX - 1);
  asked[1]?.resolve("code");
  expect(await later).toBe("code");
  expect(vi.getTimerCount()).toBe(0);
  await after(BESIDE_MS_MAX);
  expect(await load()).toBe("code");
  expect(asked).toHaveLength(2);
});

test("a worker without the code for a connection says so", async () => {
  const { client } = pageOver(async () => new DeviceMemoryStore());
  await expectTold(() => client.connect(null), "UNAVAILABLE the code for a connection could not be loaded");
});

test("a worker without the code that checks changes says so", async () => {
  const { client } = pageOver(async () => new DeviceMemoryStore());
  await expectTold(() => client.inspection.changes([]), "UNAVAILABLE the code that checks changes could not be loaded");
});

test("a connection without the code that dials says so, however many gateways there are", async () => {
  const addresses = ["/ip4/127.0.0.1/tcp/9/ws"];
  const connection = new SiteConnection(["one", "two"].map((peer) => ({ peer, addresses })));
  await expectTold(
    () => connection.connect("tab", null),
    "UNAVAILABLE the code that dials a gateway could not be loaded",
  );
});
