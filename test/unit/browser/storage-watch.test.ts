import type { DeviceIdentity } from "@openclaw/browser/storage/device-store.ts";
import { Elsewhere } from "@openclaw/browser/storage/elsewhere.ts";
import { StorageWatch } from "@openclaw/browser/storage/storage-watch.ts";
import type { ClientStatus } from "@openclaw/core/client/client.ts";
import { OpenClawError } from "@openclaw/core/errors.ts";
import { revision } from "@openclaw/core/ids.ts";
import { afterEach, beforeEach, expect, test, vi } from "vitest";

const remembered = new Map<string, string>();
beforeEach(() => {
  remembered.clear();
  vi.stubGlobal("localStorage", {
    getItem: (name: string) => remembered.get(name) ?? null,
    setItem: (name: string, text: string) => remembered.set(name, text),
    removeItem: (name: string) => remembered.delete(name),
  });
});
afterEach(() => vi.unstubAllGlobals());

/** A page, and a clock that is turned by hand. */
function visit(identity: () => Promise<DeviceIdentity>, persistence?: { persisted: boolean; grants: boolean }) {
  const timers: (() => void)[] = [];
  const clock = {
    now: () => 0,
    wall: () => 0,
    after: (_ms: number, callback: () => void) => {
      timers.push(callback);
      return () => void timers.splice(timers.indexOf(callback), 1);
    },
  };
  const persist = vi.fn(async () => persistence?.grants ?? false);
  const asked = persistence && { persisted: async () => persistence.persisted, persist };
  const jar = { cookie: "" };
  const location = { origin: "http://localhost:1", hostname: "localhost", protocol: "http:" };
  const elsewhere = new Elsewhere({ jar, location, database: "device", domain: null, clock });
  const watch = new StorageWatch("device", { identity }, clock, asked, elsewhere);
  let status: ClientStatus = {
    link: "offline",
    sync: { kind: "waiting" },
    cluster: null,
    unsynced: 0,
    failed: 0,
    quarantined: 0,
    cursor: revision(0),
    upstream: revision(0),
    storage: { persisted: null, copied: null, loss: null, elsewhere: [] },
    lastError: null,
  };
  const listeners: (() => void)[] = [];
  const client = {
    status: () => status,
    subscribe: (listener: () => void) => {
      listeners.push(listener);
      return () => {};
    },
  };
  const become = (now: Partial<ClientStatus>): void => {
    status = { ...status, ...now };
    for (const listener of listeners) listener();
  };
  const stop = vi.fn(async () => {});
  const tick = (): void => {
    for (const due of timers.splice(0)) due();
  };
  return { watch, client, become, stop, persist, tick };
}

const same =
  (name: string, takenUp = 0, copied: boolean | null = null) =>
  async (): Promise<DeviceIdentity> => ({ name, takenUp, copied });
const gone = new OpenClawError("CLIENT_STORAGE_LOST", "it was cleared");

test("an eviction between two visits is told once, with what had not reached the site (pitfall 43)", async () => {
  const first = visit(same("one"));
  await first.watch.recognise();
  expect(first.watch.status().loss).toBeNull();
  first.watch.follow(first.client, first.stop);
  first.become({ unsynced: 3 });

  const second = visit(same("two", 2));
  await second.watch.recognise();
  expect(second.watch.status().loss).toMatchObject({
    code: "CLIENT_STORAGE_LOST",
    details: expect.stringMatching(/up to 3 edits .* 2 of a second copy/),
  });
  expect(second.stop).not.toHaveBeenCalled();

  const third = visit(same("two"));
  await third.watch.recognise();
  expect(third.watch.status().loss).toBeNull();
});

test("a loss is told, too, where the record of the last visit went with it", async () => {
  const visited = visit(same("two", 2));
  await visited.watch.recognise();
  expect(visited.watch.status().loss).toMatchObject({
    code: "CLIENT_STORAGE_LOST",
    details: expect.stringContaining("2 of a second copy"),
  });
  const next = visit(same("two", 2));
  await next.watch.recognise();
  expect(next.watch.status().loss).toBeNull();
});

test("storage that is gone under an idle page is noticed, and ends its session once", async () => {
  let identity = same("one");
  const { watch, client, become, stop, tick } = visit(() => identity());
  await watch.recognise();
  watch.follow(client, stop);
  const changed = vi.fn();
  watch.subscribe(changed);
  become({ unsynced: 2 });
  tick();
  await Promise.resolve();
  expect(stop).not.toHaveBeenCalled();
  identity = () => Promise.reject(gone);
  tick();
  await vi.waitFor(() => expect(stop).toHaveBeenCalledTimes(1));
  expect(watch.status().loss?.details).toBe("it was cleared; up to 2 edits of it waited for the site");
  expect(changed).toHaveBeenCalledTimes(1);
  become({ lastError: gone });
  expect(stop).toHaveBeenCalledTimes(1);
  become({ lastError: null, unsynced: 1 });
  const next = visit(same("two"));
  await next.watch.recognise();
  expect(next.watch.status().loss).toBeNull();
});

test("whether what waits is copied is told when it is known, and when that changes", async () => {
  let identity = same("one");
  const { watch, client, stop, tick } = visit(() => identity());
  await watch.recognise();
  watch.follow(client, stop);
  const changed = vi.fn();
  watch.subscribe(changed);
  expect(watch.status().copied).toBeNull();
  for (const copied of [true, false]) {
    identity = same("one", 0, copied);
    tick();
    await vi.waitFor(() => expect(watch.status().copied).toBe(copied));
  }
  tick();
  await Promise.resolve();
  expect(changed).toHaveBeenCalledTimes(2);
});

test("the browser is asked to keep the storage when there is first something to protect, once, and its answer is told", async () => {
  const { watch, client, become, stop, persist } = visit(same("one"), { persisted: false, grants: true });
  await watch.recognise();
  watch.follow(client, stop);
  become({ link: "online" });
  await new Promise((resolve) => setTimeout(resolve));
  expect(persist).not.toHaveBeenCalled();
  expect(watch.status().persisted).toBeNull();
  become({ unsynced: 1 });
  become({ unsynced: 2 });
  await vi.waitFor(() => expect(watch.status().persisted).toBe(true));
  expect(persist).toHaveBeenCalledTimes(1);
});

test("one that has promised already is not asked again; one that knows no such promise, or blocks site data, breaks nothing", async () => {
  const kept = visit(same("one"), { persisted: true, grants: false });
  await kept.watch.recognise();
  kept.watch.follow(kept.client, kept.stop);
  kept.become({ unsynced: 1 });
  await vi.waitFor(() => expect(kept.watch.status().persisted).toBe(true));
  expect(kept.persist).not.toHaveBeenCalled();

  vi.stubGlobal("localStorage", {
    getItem: () => {
      throw new DOMException("no", "SecurityError");
    },
    setItem: () => {
      throw new DOMException("no", "SecurityError");
    },
  });
  const blocked = visit(same("one"));
  await blocked.watch.recognise();
  blocked.watch.follow(blocked.client, blocked.stop);
  blocked.become({ unsynced: 1 });
  expect(blocked.watch.status()).toEqual({ persisted: null, copied: null, loss: null, elsewhere: [] });
});
