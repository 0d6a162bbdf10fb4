/** Ranges of keys kept up to date on the device: whole or opening, own writes at once, and whether it is level with the site. */
import { prefixEnd, utf8, utf8Text } from "@openclaw/core/bytes.ts";
import type { KeyMirror } from "@openclaw/core/client/key-mirrors.ts";
import type { KeyRow } from "@openclaw/core/client/key-row.ts";
import { MemoryClientStore } from "@openclaw/core/client/memory-store.ts";
import { OpenClawError } from "@openclaw/core/errors.ts";
import { plainRange } from "@openclaw/core/state-machine/operation.ts";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { ANYBODY } from "../sync/anybody.ts";
import { siteWithClient } from "../sync/site-with-client.ts";
import { type TestCluster, World } from "../sync/world.ts";

const put = (cluster: TestCluster, key: string, value: string) =>
  cluster.execute({ kind: "put", key: utf8(key), value: utf8(value) });

const remove = (cluster: TestCluster, key: string) =>
  cluster.execute({ kind: "deleteRange", keys: { kind: "key", key: utf8(key) } });

const text = ({ key, value }: KeyRow): string => `${utf8Text(key)}=${utf8Text(value)}`;

/** What it shows: a line a row, or its kind. */
function shown(mirror: KeyMirror): readonly string[] | string {
  const state = mirror.state();
  return state.kind === "ready" ? state.rows.map(text) : state.kind;
}

const staleOf = (mirror: KeyMirror): unknown => {
  const state = mirror.state();
  return state.kind === "ready" ? state.stale : state.kind;
};

describe("a mirror of a prefix", () => {
  test("is whole when it is ready, and follows the site", async () => {
    const { world, site, client } = await siteWithClient();
    for (const key of ["a", "q/2", "q/1", "r"]) await put(site, key, "old");
    const mirror = client.kv.mirror("q/");
    expect(shown(mirror)).toBe("opening");
    const seen: unknown[] = [];
    mirror.subscribe(() => seen.push(shown(mirror)));
    await world.elapse(2_000);
    await put(site, "q/0", "new");
    await put(site, "r", "new");
    await remove(site, "q/2");
    await world.elapse(2_000);
    expect(shown(mirror)).toEqual(["q/0=new", "q/1=old"]);
    expect(seen.filter((state) => state !== "opening")[0]).toEqual(["q/1=old", "q/2=old"]);
  });

  test("shows own writes in the turn in which they are made, and their revision when it is known", async () => {
    const { world, site, client } = await siteWithClient();
    await put(site, "q/1", "theirs");
    const mirror = client.kv.mirror("q/");
    await world.elapse(2_000);
    client.goOffline();
    client.kv.put("q/2", "mine");
    expect(shown(mirror)).toEqual(["q/1=theirs", "q/2=mine"]);
    client.kv.delete("q/1");
    client.kv.put("q/2", "mine, too");
    client.kv.put("r/2", "elsewhere");
    expect(shown(mirror)).toEqual(["q/2=mine, too"]);
    const revisions = (): unknown => {
      const state = mirror.state();
      return state.kind === "ready" && state.rows.map(({ modRevision }) => modRevision);
    };
    expect(revisions()).toEqual([0]);
    client.goOnline();
    await world.elapse(2_000);
    expect(shown(mirror)).toEqual(["q/2=mine, too"]);
    expect(revisions()).toEqual([4]);
  });

  test("takes back an own write that the site refuses", async () => {
    const { world, site, client } = await siteWithClient();
    await put(site, "q/1", "theirs");
    const mirror = client.kv.mirror("q/");
    await world.elapse(2_000);
    site.principal = () => ({ ...ANYBODY, mayWriteKey: () => false });
    world.cutAll();
    await world.elapse(2_000);
    client.kv.put("q/1", "mine");
    expect(shown(mirror)).toEqual(["q/1=mine"]);
    await world.elapse(2_000);
    expect(shown(mirror)).toEqual(["q/1=theirs"]);
  });

  test("is the same state, of the same rows, until something of it changed", async () => {
    const { world, site, client } = await siteWithClient();
    await put(site, "q/1", "one");
    await put(site, "q/2", "two");
    const mirror = client.kv.mirror("q/");
    await world.elapse(2_000);
    const before = mirror.state();
    let calls = 0;
    const end = mirror.subscribe(() => calls++);
    await put(site, "r/1", "elsewhere");
    await world.elapse(5_000);
    expect(mirror.state()).toBe(before);
    expect(calls).toBe(0);
    await put(site, "q/2", "changed");
    await world.elapse(2_000);
    const after = mirror.state();
    if (before.kind !== "ready" || after.kind !== "ready") throw new Error("both are ready");
    expect(after.rows[0]).toBe(before.rows[0]);
    expect(after.rows[1]).not.toBe(before.rows[1]);
    expect(calls).toBe(1);
    end();
    mirror.close();
    await put(site, "q/3", "unseen");
    await world.elapse(2_000);
    expect(calls).toBe(1);
  });

  test("of one key is that key, and no longer one", async () => {
    const { world, site, client } = await siteWithClient();
    await put(site, "q/12", "longer");
    const mirror = client.kv.mirrorKey("q/1");
    await world.elapse(2_000);
    expect(shown(mirror)).toEqual([]);
    await put(site, "q/1", "it");
    await world.elapse(2_000);
    expect(shown(mirror)).toEqual(["q/1=it"]);
    expect(() => client.kv.mirrorKey("")).toThrow(expect.objectContaining({ code: "KEY_EMPTY" }));
  });

  test("of another cluster's keys shows those, without own writes", async () => {
    const world = new World();
    const [hub, site] = [await world.cluster("hub"), await world.cluster("california")];
    world.uplink(site, hub);
    await put(site, "q/1", "theirs");
    await put(hub, "q/1", "ours");
    const client = await world.client(hub);
    const [theirs, ours] = [client.kv.mirror("q/", { origin: "california" }), client.kv.mirror("q/")];
    await world.elapse(10_000);
    client.kv.put("q/2", "mine");
    expect(shown(theirs)).toEqual(["q/1=theirs"]);
    expect(shown(ours)).toEqual(["q/1=ours", "q/2=mine"]);
    expect(() => client.kv.mirror("q/", { origin: "no/name" })).toThrow(
      expect.objectContaining({ code: "BAD_REQUEST" }),
    );
  });

  test("of a site that has nothing is ready, and empty", async () => {
    const { world, site, client } = await siteWithClient();
    const mirror = client.kv.mirror("q/");
    await world.elapse(2_000);
    expect(shown(mirror)).toEqual([]);
    client.goOffline();
    client.kv.put("q/2", "mine");
    expect(shown(mirror)).toEqual(["q/2=mine"]);
    client.goOnline();
    await put(site, "q/1", "first");
    await world.elapse(2_000);
    expect(shown(mirror)).toEqual(["q/1=first", "q/2=mine"]);
  });

  test("of a site that has nothing under it is ready, and empty", async () => {
    const { world, site, client } = await siteWithClient();
    await put(site, "r", "elsewhere");
    const mirror = client.kv.mirror("q/");
    await world.elapse(5_000);
    expect(shown(mirror)).toEqual([]);
    client.goOffline();
    expect(await client.kv.list("q/")).toEqual([]);
  });

  test("misses nothing that comes while it is being read", async () => {
    const read = Promise.withResolvers<void>();
    let reads = 0;
    class SlowStore extends MemoryClientStore {
      override async mirror(
        ...asked: Parameters<MemoryClientStore["mirror"]>
      ): ReturnType<MemoryClientStore["mirror"]> {
        const rows = await super.mirror(...asked);
        reads++;
        await read.promise;
        return rows;
      }
    }
    const world = new World();
    const site = await world.cluster("california");
    for (const key of ["q/1", "q/2"]) await put(site, key, "old");
    const client = await world.client(site, { store: new SlowStore(), subscribe: { prefixes: ["q/"] } });
    await world.elapse(2_000);
    const mirror = client.kv.mirror("q/");
    await world.flush();
    expect(reads).toBe(1);
    await put(site, "q/1", "new");
    await remove(site, "q/2");
    await put(site, "q/3", "new");
    await world.elapse(2_000);
    expect(shown(mirror)).toBe("opening");
    read.resolve();
    await world.flush();
    expect(shown(mirror)).toEqual(["q/1=new", "q/3=new"]);
  });

  test("X1: one prefix too many is refused", async () => {
    const world = new World();
    const site = await world.cluster("california");
    const prefixes = Array.from({ length: 256 }, (_, i) => `p${i}/`);
    const client = await world.client(site, { subscribe: { prefixes } });
    expect(() => client.kv.mirror("q/")).toThrow(expect.objectContaining({ code: "OVERLOADED" }));
    client.kv.mirror("p1/below");
  });

  test("of a storage that fails says so", async () => {
    class BrokenStore extends MemoryClientStore {
      override mirror(): Promise<never> {
        return Promise.reject(new OpenClawError("CLIENT_STORAGE_FAILED", "planted"));
      }
    }
    const world = new World();
    const site = await world.cluster("california");
    await put(site, "q/1", "one");
    const client = await world.client(site, { store: new BrokenStore() });
    const mirror = client.kv.mirror("q/");
    await world.elapse(2_000);
    expect(mirror.state()).toMatchObject({ kind: "failed", error: { code: "CLIENT_STORAGE_FAILED" } });
  });
});

describe("staleness", () => {
  test("a mirror is level once it has what the gateway had, and says since when it is not", async () => {
    const world = new World();
    const site = await world.cluster("california");
    await put(site, "q/1", "one");
    const store = new MemoryClientStore();
    const client = await world.client(site, { store });
    const mirror = client.kv.mirror("q/");
    await world.elapse(2_000);
    expect(staleOf(mirror)).toBe(null);
    const parted = world.clock.wall();
    client.goOffline();
    await world.elapse(60_000);
    expect(staleOf(mirror)).toEqual({ since: parted });
    expect(staleOf(client.kv.mirror("q/"))).toBe("opening");
    await world.flush();
    client.goOnline();
    await world.elapse(2_000);
    expect(staleOf(mirror)).toBe(null);
    await client.stop();
    world.unreachable.add(site.id);
    const second = await world.client(site, { store });
    const restored = second.kv.mirror("q/");
    await world.elapse(2_000);
    expect(shown(restored)).toEqual(["q/1=one"]);
    // How old what an earlier session left is, this one does not know.
    expect(staleOf(restored)).toEqual({ since: null });
  });

  test("while the first of the ledger has come, and not all of it, a mirror is stale", async () => {
    const world = new World();
    const site = await world.cluster("california");
    for (let i = 0; i < 1_500; i++) await put(site, `q/${1_000 + i}`, "x".repeat(2_000));
    const client = await world.client(site, { subscribe: { prefixes: ["q/"] } });
    const mirror = client.kv.mirror("q/");
    const seen: [number, boolean][] = [];
    mirror.subscribe(() => {
      const state = mirror.state();
      if (state.kind === "ready") seen.push([state.rows.length, state.stale === null]);
    });
    await world.elapse(5_000);
    expect(seen.at(-1)).toEqual([1_500, true]);
    expect(seen.length).toBeGreaterThan(2);
    for (const [rows, isLevel] of seen) if (isLevel) expect(rows).toBe(1_500);
  });

  test("a gateway that does not say how far it is, is asked again", async () => {
    const { world, site, client } = await siteWithClient();
    await put(site, "q/1", "one");
    let refusals = 1;
    const { backend } = site;
    const position = (): never => {
      throw new OpenClawError("OVERLOADED", "planted");
    };
    Object.defineProperty(site, "backend", {
      get: () => ({
        ...backend,
        read: (query: Parameters<typeof backend.read>[0]) =>
          query.kind === "position" && refusals-- > 0 ? position() : backend.read(query),
      }),
    });
    world.cutAll();
    const mirror = client.kv.mirror("q/");
    await world.elapse(3_000);
    expect(staleOf(mirror)).toEqual({ since: null });
    await world.elapse(5_000);
    expect(staleOf(mirror)).toBe(null);
  });
});

test("L3: in a new epoch of the site a mirror begins anew", async () => {
  const world = new World();
  const [before, after] = [await world.cluster("california"), await world.cluster("california")];
  let site = before;
  const client = await world.client(before, { connect: async () => site.connect() });
  await put(before, "q/1", "gone");
  const mirror = client.kv.mirror("q/");
  await world.elapse(2_000);
  client.kv.put("q/2", "mine, and gone");
  await world.flush();
  expect(shown(mirror)).toEqual(["q/1=gone", "q/2=mine, and gone"]);
  await put(after, "q/0", "other");
  const seen: unknown[] = [];
  mirror.subscribe(() => seen.push(shown(mirror)));
  site = after;
  world.cutAll();
  await world.elapse(20_000);
  // Never what is neither the one nor the other.
  const gone = seen.indexOf("opening");
  expect(seen.slice(gone).filter((state) => state !== "opening")[0]).toEqual(["q/0=other"]);
  await put(after, "q/3", "there");
  await world.elapse(2_000);
  expect(shown(mirror)).toEqual(["q/0=other", "q/3=there"]);
});

type Step =
  | { readonly kind: "theirs" | "mine"; readonly key: string; readonly value: string | null }
  | { readonly kind: "link"; readonly online: boolean }
  | { readonly kind: "cut" }
  | { readonly kind: "deliver"; readonly frames: number }
  | { readonly kind: "open" };

const key = fc.constantFrom("q/", "q/1", "q/11", "q/2", "q/\u00ff", "r");
const step: fc.Arbitrary<Step> = fc.oneof(
  fc.record({
    kind: fc.constantFrom("theirs" as const, "mine" as const),
    key,
    value: fc.option(fc.constantFrom("1", "2", "3")),
  }),
  fc.record({ kind: fc.constant("link" as const), online: fc.boolean() }),
  fc.constant({ kind: "cut" as const }),
  fc.record({ kind: fc.constant("deliver" as const), frames: fc.integer({ min: 1, max: 5 }) }),
  fc.constant({ kind: "open" as const }),
);

test("whatever happens, a mirror that is ready shows what a read of this device gives", async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 30 }), async (steps) => {
      const world = new World();
      const site = await world.cluster("california");
      const client = await world.client(site);
      const mirrors = [client.kv.mirror("q/")];
      const compare = async (): Promise<void> => {
        await world.deliver(0);
        const ready = mirrors.filter((mirror) => shown(mirror) !== "opening");
        let listed: readonly string[] | null = null;
        void client.kv.list("q/", { consistency: "local" }).then(
          (rows) => {
            listed = rows.map(text);
          },
          () => undefined,
        );
        await world.deliver(0);
        // Null: nothing of the site is stored here, and the gateway was asked.
        if (listed !== null) for (const mirror of ready) expect(shown(mirror)).toEqual(listed);
      };
      for (const one of steps) {
        switch (one.kind) {
          case "theirs":
            await (one.value === null ? remove(site, one.key) : put(site, one.key, one.value));
            break;
          case "mine":
            if (one.value === null) client.kv.delete(one.key);
            else client.kv.put(one.key, one.value);
            break;
          case "link":
            if (one.online) client.goOnline();
            else client.goOffline();
            break;
          case "cut":
            world.cutAll();
            break;
          case "deliver":
            await world.deliver(one.frames);
            break;
          case "open":
            if (mirrors.length < 5) mirrors.push(client.kv.mirror("q/"));
            break;
        }
        await compare();
      }
      client.goOnline();
      await world.elapse(12_000);
      await compare();
      const range = plainRange(utf8("q/"), prefixEnd(utf8("q/")) ?? null, 100);
      const { rows } = await site.read({ kind: "range", origin: null, ...range });
      for (const mirror of mirrors) expect(shown(mirror)).toEqual(rows.map(text));
    }),
    { numRuns: 20 },
  );
}, 60_000);
