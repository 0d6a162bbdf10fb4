/** X1, Q3: a child that holds more than its hub knew when it declared a prefix moves it in parts, each of one entry. */
import { utf8 } from "@openclaw/core/bytes.ts";
import { decodeRecord } from "@openclaw/core/ledger/record-codec.ts";
import { plainRange } from "@openclaw/core/state-machine/operation.ts";
import { expect, test } from "vitest";
import { txn } from "../state-machine/one-cluster.ts";
import { type TestCluster, World } from "./world.ts";

const PARTS = 28;
const KEYS = PARTS * 100;
const AT_ONCE = 1_024;

async function fill(cluster: TestCluster): Promise<void> {
  for (let part = 0; part < PARTS; part++) {
    const puts = Array.from({ length: 100 }, (_, i) => {
      const key = utf8(`config/${String(part * 100 + i).padStart(5, "0")}`);
      return { kind: "put", key, value: utf8("site's"), lease: null, previous: false } as const;
    });
    expect(await cluster.execute(txn([], puts))).toMatchObject({ ok: true });
  }
}

/** Keys under the prefix; or of the cluster's own, which a range over several homes tells. */
const count = async (cluster: TestCluster, isOwn: boolean): Promise<number> => {
  const [from, to] = isOwn ? [utf8(""), null] : [utf8("config/"), utf8("config0")];
  return (await cluster.read({ kind: "range", origin: null, ...plainRange(from, to, 1), counted: true })).count ?? 0;
};

test("to the hub: each import moves at most 1,024 keys, and what is read is whole at every moment", async () => {
  const world = new World();
  const hub = await world.cluster("hub");
  const site = await world.cluster("california");
  const uplink = world.uplink(site, hub);
  await site.execute({ kind: "put", key: utf8("own"), value: utf8("1") });
  await world.elapse(2_000);
  uplink.setEnabled(false);
  await world.flush();
  await fill(site);
  expect(await hub.execute({ kind: "setHome", prefix: utf8("config/"), home: "hub", without: [] })).toMatchObject({
    ok: true,
  });
  const seen = new Set<number>();
  site.follow(() => void count(site, false).then((keys) => seen.add(keys)));
  const moved = [movedBy(hub, "put"), movedBy(site, "delete")];
  uplink.setEnabled(true);
  await world.elapse(60_000);
  expect(uplink.status().lastError).toBeNull();
  const { homes } = await hub.read({ kind: "homes" });
  expect(homes).toMatchObject([{ home: "hub", open: true, waiting: [] }]);
  expect(await count(hub, false)).toBe(KEYS);
  expect([...seen]).toEqual([KEYS]);
  // No connection ended for it, at either end, and the stream goes on.
  expect(hub.ended).toEqual([]);
  await hub.execute({ kind: "put", key: utf8("config/new"), value: utf8("hub's") });
  await world.elapse(2_000);
  expect(await count(site, false)).toBe(KEYS + 1);
  expect(hub.ended).toEqual([]);
  // Its own are gone but for one.
  expect(await count(site, true)).toBe(1);
  for (const parts of moved) {
    expect(parts.reduce((sum, keys) => sum + keys, 0)).toBe(KEYS);
    expect(Math.max(...parts)).toBeLessThanOrEqual(AT_ONCE);
  }
});

/** How many keys of its own each entry moved there. */
function movedBy(cluster: TestCluster, kind: "put" | "delete"): readonly number[] {
  const parts: number[] = [];
  cluster.follow(({ records }) => {
    const moved = records
      .map(({ record }) => decodeRecord(record))
      .filter(({ origin, principal }) => origin === null && principal === `cluster:${cluster.id}`)
      .flatMap(({ events }) => events.filter((event) => event.kind === kind));
    if (moved.length > 0) parts.push(moved.length);
  });
  return parts;
}
