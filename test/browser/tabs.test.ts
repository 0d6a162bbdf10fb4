/** Four tabs of one browser over a site of three gateways: which of them has the connection, and what each shows. */
import type { BrowserContext, CDPSession, Page, WebSocket } from "playwright";
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from "vitest";
import { complaints } from "./chromium.ts";
import { rendererOf } from "./renderer.ts";
import { type PageAtSite, pageAtSite } from "./served-page.ts";

/** Ms for what takes a moment, on a busy machine. */
const SOON_MS = 30_000;

let served: PageAtSite;
let context: BrowserContext;
let profile: string;
let tabs: Tab[];

beforeAll(async () => {
  served = await pageAtSite();
});
beforeEach(async () => {
  ({ context, profile } = await served.device("block"));
  tabs = [];
});
afterEach(() => context.close());
afterAll(() => served?.stop());

/** A tab, and what Chromium tells of it. */
class Tab {
  readonly page: Page;
  readonly #found: string[];
  readonly #sockets: WebSocket[] = [];

  private constructor(page: Page) {
    this.page = page;
    this.#found = complaints(page);
    page.on("websocket", (socket) => this.#sockets.push(socket));
  }

  static async open(page?: Page): Promise<Tab> {
    const tab = new Tab(page ?? (await context.newPage()));
    tabs.push(tab);
    if (page === undefined) await tab.page.goto(served.site.urls[0] ?? "");
    await tab.page.waitForFunction(() => globalThis.openclawDemo !== undefined);
    return tab;
  }

  /** What it complained about, but that it has no service worker. */
  get found(): readonly string[] {
    return this.#found.filter((text) => !text.includes("will not open offline"));
  }

  /** Sockets of this tab that are open. */
  get sockets(): number {
    return this.#sockets.filter((socket) => !socket.isClosed()).length;
  }

  cdp(): Promise<CDPSession> {
    return context.newCDPSession(this.page);
  }

  text(): Promise<string> {
    return this.page.evaluate(() => globalThis.openclawDemo?.text() ?? "");
  }

  /** Appends it, and resolves with its hash when it is on this device. */
  type(text: string): Promise<string> {
    return this.page.evaluate(async (typed) => {
      const demo = globalThis.openclawDemo;
      if (demo === undefined) throw new Error("no page");
      const [hash] = await demo.playRun([{ patches: [[demo.text().length, 0, typed]], parents: [...demo.heads()] }]);
      if (hash === undefined) throw new Error("no change");
      return hash;
    }, text);
  }

  rung(hash: string): Promise<string | null | undefined> {
    return this.page.evaluate((asked) => globalThis.openclawDemo?.rung(asked), hash);
  }

  link(): Promise<string | undefined> {
    return this.page.evaluate(() => globalThis.openclawDemo?.client.status().link);
  }
}

const sockets = (): readonly number[] => tabs.map((tab) => tab.sockets);
const total = (): number => sockets().reduce((sum, open) => sum + open, 0);
const soon = <T>(look: () => T | Promise<T>) => expect.poll(look, { timeout: SOON_MS });

/** Four of them, connected over the first one. */
async function four(): Promise<readonly [Tab, Tab, Tab, Tab]> {
  const all = [await Tab.open(), await Tab.open(), await Tab.open(), await Tab.open()] as const;
  for (const tab of all) await soon(() => tab.link()).toBe("online");
  await soon(total).toBe(1);
  return all;
}

/** What is typed in one shows in the others, and climbs to the site in all of them. */
async function climbs(from: Tab, others: readonly Tab[], text: string): Promise<void> {
  const hash = await from.type(text);
  for (const tab of [from, ...others]) {
    await soon(() => tab.text()).toContain(text);
    await soon(() => tab.rung(hash)).toMatch(/^(site|hub)$/);
  }
}

/** Ms from now until one of them has a connection, as the machine stands. */
async function replaced(rest: readonly Tab[]): Promise<number> {
  const began = performance.now();
  await soon(() => rest.filter((tab) => tab.sockets > 0).length).toBe(1);
  return performance.now() - began;
}

test("D7: four tabs have one socket to the site, and what is typed in any shows in all and climbs to the site", async () => {
  const all = await four();
  for (const [i, tab] of all.entries())
    await climbs(
      tab,
      all.filter((other) => other !== tab),
      `Tab ${i}. `,
    );
  expect(total()).toBe(1);
  expect(all.flatMap((tab) => tab.found)).toEqual([]);
});

test("S1: offline, what is typed in one tab shows in the others at once, on the rung device", async () => {
  const all = await four();
  await context.setOffline(true);
  for (const tab of all) await soon(() => tab.link()).toBe("offline");
  const [one, two, three, other] = all;
  // The moment in which each shows it, by the clock that all pages of a machine share.
  const shown = [two, three, other].map((tab) =>
    tab.page.evaluate(
      () =>
        new Promise<number>((resolve) => {
          const look = (): void => {
            if (globalThis.openclawDemo?.text().includes("Offline.") === true) resolve(Date.now());
            else setTimeout(look, 1);
          };
          look();
        }),
    ),
  );
  const began = await one.page.evaluate(() => Date.now());
  const hash = await one.type("Offline.");
  const took = (await Promise.all(shown)).map((at) => at - began);
  for (const tab of all) expect(await tab.rung(hash)).toBe("device");
  expect(Math.max(...took)).toBeLessThan(SOON_MS);
  process.stdout.write(`shown in other tabs after ${took.join(", ")} ms\n`);
  await context.setOffline(false);
  for (const tab of all) await soon(() => tab.rung(hash)).toMatch(/^(site|hub)$/);
  await soon(total).toBe(1);
});

test("D7: a leading tab that is closed is replaced, and edits go on to the site", async () => {
  const [leader, ...rest] = await four();
  await leader.page.close();
  process.stdout.write(`closed: replaced after ${Math.round(await replaced(rest))} ms\n`);
  const [next, ...others] = rest;
  if (next !== undefined) await climbs(next, others, "Closed. ");
  await soon(() => rest.filter((tab) => tab.sockets > 0).length).toBe(1);
});

test("D7: a leading tab that crashes is replaced; what it had stored is sent once, by another", async () => {
  const [leader, ...rest] = await four();
  await context.setOffline(true);
  for (const tab of rest) await soon(() => tab.link()).toBe("offline");
  const hash = await leader.type("Left behind. ");
  const crashed = new Promise((resolve) => leader.page.once("crash", resolve));
  // Its answer never comes: there is nobody left to give it.
  void (await leader.cdp()).send("Page.crash").catch(() => undefined);
  await crashed;
  // Playwright speaks to all pages at once, and one that crashed does not answer.
  await leader.page.close();
  await context.setOffline(false);
  process.stdout.write(`crashed: replaced after ${Math.round(await replaced(rest))} ms\n`);
  for (const tab of rest) {
    await soon(() => tab.rung(hash)).toMatch(/^(site|hub)$/);
    expect((await tab.text()).split("Left behind. ")).toHaveLength(2);
  }
});

test("D7: a leading tab that is frozen is replaced, and lets go of the connection when it wakes (pitfall 44)", async () => {
  const [leader, ...rest] = await four();
  const renderer = await rendererOf(leader.page, profile);
  process.kill(renderer, "SIGSTOP");
  try {
    process.stdout.write(`frozen: replaced after ${Math.round(await replaced(rest))} ms\n`);
    const [next, ...others] = rest;
    if (next === undefined) throw new Error("no tab");
    await climbs(next, others, "Frozen. ");
  } finally {
    process.kill(renderer, "SIGCONT");
  }
  await soon(() => leader.text()).toContain("Frozen. ");
  await climbs(leader, rest, "Awake. ");
  await soon(total).toBe(1);
  expect(leader.sockets).toBe(0);
});

test("D7: a leading tab that is told to freeze gives way before it does, and reads what it did not hear", async () => {
  const [leader, ...rest] = await four();
  // Chromium without a window freezes no page; what it would tell one is told here.
  await leader.page.evaluate(() => document.dispatchEvent(new Event("freeze")));
  process.stdout.write(`told to freeze: replaced after ${Math.round(await replaced(rest))} ms\n`);
  const [next, ...others] = rest;
  if (next === undefined) throw new Error("no tab");
  await context.setOffline(true);
  const hash = await next.type("Not heard. ");
  for (const tab of others) await soon(() => tab.rung(hash)).toBe("device");
  expect(await leader.text()).not.toContain("Not heard. ");
  await leader.page.evaluate(() => document.dispatchEvent(new Event("resume")));
  await soon(() => leader.rung(hash)).toBe("device");
  await context.setOffline(false);
  for (const tab of tabs) await soon(() => tab.rung(hash)).toMatch(/^(site|hub)$/);
  await soon(total).toBe(1);
});

test("D7: a leading tab whose worker does not come to its turn is replaced, and goes on as another's", async () => {
  const [leader, ...rest] = await four();
  const [worker] = leader.page.workers();
  const stuck = worker?.evaluate(() => {
    const end = Date.now() + 6_000;
    while (Date.now() < end);
  });
  process.stdout.write(`stuck: replaced after ${Math.round(await replaced(rest))} ms\n`);
  const [next, ...others] = rest;
  if (next !== undefined) await climbs(next, others, "Stuck. ");
  await stuck;
  await climbs(leader, rest, "Free. ");
  await soon(total).toBe(1);
});

test("D4: a duplicated tab is another session, and both reach the site", async () => {
  const one = await Tab.open();
  await soon(() => one.link()).toBe("online");
  await one.page.evaluate(() => sessionStorage.setItem("copied", "yes"));
  const opening = context.waitForEvent("page");
  // What a page opens of its own begins with a copy of its session's storage, as a tab does that somebody duplicates.
  await one.page.evaluate(() => void window.open(location.href));
  const two = await Tab.open(await opening);
  expect(await two.page.evaluate(() => Object.entries(sessionStorage))).toEqual([["copied", "yes"]]);
  const links = await Promise.all(tabs.map((tab) => tab.page.evaluate(() => globalThis.openclawDemo?.client.link)));
  expect(new Set(links).size).toBe(2);
  await climbs(one, [two], "One. ");
  await climbs(two, [one], "Two. ");
  expect([...one.found, ...two.found]).toEqual([]);
});

test("a worker that dies is replaced, and the page goes on", async () => {
  const one = await Tab.open();
  await soon(() => one.link()).toBe("online");
  const [worker] = one.page.workers();
  await worker?.evaluate(() => self.close());
  await climbs(one, [], "Another worker. ");
  expect(one.page.workers()).toHaveLength(1);
});
