/** A client whose code for a connection, and for exported outboxes, is still on its way. */
import { BESIDE_MS_MAX, besideLoader } from "@openclaw/browser/beside.ts";
import { browserDigest } from "@openclaw/browser/ports.ts";
import { inspection } from "@openclaw/browser/worker/plain-inspection.ts";
import type { Client } from "@openclaw/core/client/client.ts";
import { MemoryClientStore } from "@openclaw/core/client/memory-store.ts";
import * as online from "@openclaw/core/client/online.ts";
import * as transfer from "@openclaw/core/client/outbox-transfer.ts";
import { restoreClient } from "@openclaw/core/client/restore.ts";
import { expect, onTestFinished, test, vi } from "vitest";
import { codeOf } from "../sync/code-of.ts";
import { type TestCluster, World } from "../sync/world.ts";
import { append, EMPTY, type Log } from "./log.ts";

/** What is asked for comes, or fails, when the test says so. */
class Loads<Code> {
  readonly #code: Code;
  #waiting: PromiseWithResolvers<Code>[] = [];
  asked = 0;

  constructor(code: Code) {
    this.#code = code;
  }

  load(): Promise<Code> {
    this.asked++;
    const waiting = Promise.withResolvers<Code>();
    this.#waiting.push(waiting);
    return waiting.promise;
  }
  come(): void {
    for (const { resolve } of this.#waiting.splice(0)) resolve(this.#code);
  }
  fail(): void {
    for (const { reject } of this.#waiting.splice(0)) reject(new TypeError("Failed to fetch"));
  }
}

interface Page {
  readonly world: World;
  readonly site: TestCluster;
  readonly client: Client;
  /** Tries at a connection. */
  readonly tries: { count: number };
  readonly onlineLoads: Loads<typeof online>;
  readonly transferLoads: Loads<typeof transfer>;
  /** Changes that were looked at in order to be made once more. */
  readonly recipes: () => number;
}

async function page(): Promise<Page> {
  const world = new World();
  const site = await world.cluster("california");
  let recipes = 0;
  const recipeOf: typeof online.recipeOf = (doc, change) => {
    recipes++;
    return online.recipeOf(doc, change);
  };
  const [onlineLoads, transferLoads] = [new Loads({ ...online, recipeOf }), new Loads(transfer)];
  const tries = { count: 0 };
  const client = await restoreClient(
    {
      store: new MemoryClientStore(),
      clock: world.clock,
      random: world.random,
      nextTurn: () => Promise.resolve(),
      inspection,
      connect: async () => {
        tries.count++;
        return site.connect();
      },
    },
    {
      online: besideLoader("the code for a connection", () => onlineLoads.load()),
      transfer: besideLoader("the code of exported outboxes", () => transferLoads.load()),
    },
    browserDigest,
  );
  return { world, site, client, tries, onlineLoads, transferLoads, recipes: () => recipes };
}

test("a document opens, is edited and stored while the code for a connection does not come; then all of it goes to the site", async () => {
  const { world, site, client, onlineLoads } = await page();
  const handle = await client.docs.open<Log>("log", "today", { initial: EMPTY });
  const edit = handle.change(append("before the network"));
  await edit.device;
  await client.kv.put("a", "1").device;
  await world.flush();
  expect(client.status()).toMatchObject({ link: "connecting", unsynced: 3, lastError: null });
  expect(onlineLoads.asked).toBe(1);
  onlineLoads.come();
  await world.flush();
  await edit.site;
  expect(client.status()).toMatchObject({ link: "online", unsynced: 0 });
  expect(await site.get("a")).toBe("1");
});

test("code for a connection that could not be loaded shows, and is asked for again at the next try", async () => {
  const { world, client, onlineLoads } = await page();
  onlineLoads.fail();
  await world.flush();
  expect(client.status()).toMatchObject({
    link: "connecting",
    lastError: { code: "UNAVAILABLE", details: "the code for a connection could not be loaded" },
  });
  client.goOnline();
  await world.flush();
  expect(onlineLoads.asked).toBe(2);
  onlineLoads.come();
  await world.flush();
  expect(client.status()).toMatchObject({ link: "online", lastError: null });
  // Once is enough.
  client.goOffline();
  client.goOnline();
  await world.flush();
  expect(client.status().link).toBe("online");
  expect(onlineLoads.asked).toBe(2);
});

test("code for a connection whose request is never answered shows in time, and is asked for again at the next try", async () => {
  vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
  onTestFinished(() => void vi.useRealTimers());
  const { world, client, onlineLoads } = await page();
  for (let asked = 1; asked <= 3; asked++) {
    await vi.advanceTimersByTimeAsync(BESIDE_MS_MAX);
    // Longer than between any two tries.
    await world.elapse(20_000);
    expect(onlineLoads.asked).toBe(asked + 1);
    expect(client.status()).toMatchObject({
      link: "connecting",
      lastError: { code: "UNAVAILABLE", details: "the code for a connection could not be loaded" },
    });
  }
  onlineLoads.come();
  await world.flush();
  expect(client.status()).toMatchObject({ link: "online", lastError: null });
});

test("once the code for a connection is here, what another author writes is made once more", async () => {
  const { world, site, client, onlineLoads, recipes } = await page();
  const handle = await client.docs.open<Log>("log", "today", { initial: EMPTY });
  onlineLoads.come();
  await world.flush();
  const other = await world.client(site);
  const opening = other.docs.open<Log>("log", "today", { initial: EMPTY });
  await world.flush();
  (await opening).change(append("theirs"));
  await world.flush();
  expect(handle.doc().text).toBe("theirs");
  expect(recipes()).toBeGreaterThan(0);
});

test("nobody is called when the code for a connection comes to a client that went offline meanwhile", async () => {
  const { world, client, tries, onlineLoads } = await page();
  client.goOffline();
  onlineLoads.come();
  await world.flush();
  expect([client.status().link, tries.count]).toEqual(["offline", 0]);
  client.goOnline();
  await world.flush();
  expect([client.status().link, tries.count]).toEqual(["online", 1]);
});

test("a client that goes online again while that code is on its way is connecting", async () => {
  const { world, client, tries, onlineLoads } = await page();
  client.goOffline();
  client.goOnline();
  expect(client.status().link).toBe("connecting");
  const asked = client.kv.get("a");
  onlineLoads.come();
  await world.flush();
  expect([client.status().link, tries.count, await asked]).toEqual(["online", 1, null]);
});

test("what waits is listed without the code of exported outboxes; an export says that it could not be loaded, and works later", async () => {
  const { client, transferLoads } = await page();
  await client.kv.put("a", "1").device;
  expect(await client.outbox.list()).toHaveLength(1);
  const refused = codeOf(client.outbox.export());
  transferLoads.fail();
  expect(await refused).toBe("UNAVAILABLE");
  const exported = client.outbox.export();
  transferLoads.come();
  expect((await exported).length).toBeGreaterThan(0);
});
