/** A metered uplink: bytes a second delay it, bytes a day of log time end it, and order is never traded for either. */
import { utf8 } from "@openclaw/core/bytes.ts";
import { plainRange } from "@openclaw/core/state-machine/operation.ts";
import { DAY_MS } from "@openclaw/core/state-machine/uplink-use.ts";
import type { UplinkLimits } from "@openclaw/core/sync/uplink-budget.ts";
import { describe, expect, test } from "vitest";
import { type TestCluster, World } from "./world.ts";

const VALUE_BYTES = 4_000;
const BUDGET = 200_000;
/** Ms before midnight of log time at which a test begins: a day without an uplink costs nothing to wait for. */
const BEFORE_MIDNIGHT = 60_000;

const put = (site: TestCluster, key: string, bytes = VALUE_BYTES) =>
  site.execute({ kind: "put", key: utf8(key), value: new Uint8Array(bytes) });

/** Mod revisions of what the hub mirrors, ascending. */
async function mirrored(hub: TestCluster, site: TestCluster): Promise<readonly number[]> {
  const { rows } = await hub.read({ kind: "range", origin: site.id, ...plainRange(utf8(""), null, 10_000) });
  return rows.map(({ modRevision }) => modRevision).sort((a, b) => a - b);
}

const upTo = (count: number): readonly number[] => Array.from({ length: count }, (_, i) => i + 1);

async function pair(
  puts: number,
  limits: Partial<UplinkLimits>,
): Promise<{ world: World; hub: TestCluster; site: TestCluster }> {
  const world = new World();
  const hub = await world.cluster("hub");
  const site = await world.cluster("california");
  await world.elapse(DAY_MS - BEFORE_MIDNIGHT);
  for (let i = 0; i < puts; i++) await put(site, `k${i}`);
  world.uplink(site, hub, {}, limits);
  return { world, hub, site };
}

describe("bytes a second", () => {
  test("S2: a backlog goes up in order, no faster than that in any second", async () => {
    const { world, hub, site } = await pair(100, { bytesPerSecond: 40_000 });
    let before = 0;
    for (let second = 0; second < 9; second++) {
      await world.elapse(1_000);
      // A second's worth may go at once, at the start.
      expect(site.traffic.sent - before).toBeLessThan(second === 0 ? 100_000 : 60_000);
      expect(site.traffic.sent - before).toBeGreaterThan(20_000);
      before = site.traffic.sent;
      const there = await mirrored(hub, site);
      expect(there).toEqual(upTo(there.length));
    }
    await world.elapse(5_000);
    expect(await mirrored(hub, site)).toEqual(upTo(100));
  });

  test("one event is not delayed while the link has been quiet", async () => {
    const { world, hub, site } = await pair(0, { bytesPerSecond: 40_000 });
    await world.elapse(5_000);
    await put(site, "k");
    await world.elapse(1);
    expect(await mirrored(hub, site)).toEqual([1]);
  });
});

describe("bytes a day", () => {
  test("S2: used up, the link stops and says so; it goes on with the next day of log time, from where it stood", async () => {
    const { world, hub, site } = await pair(100, { bytesPerDay: BUDGET });
    await world.elapse(BEFORE_MIDNIGHT - 5_000);
    const first = await mirrored(hub, site);
    expect(first).toEqual(upTo(first.length));
    expect(first.length).toBeGreaterThan(40);
    expect(first.length).toBeLessThan(52);
    const stopped = site.uplink?.status();
    expect(stopped).toMatchObject({ phase: "spent", connected: false, left: 0, lastError: null });
    const { sent, received } = site.traffic;
    // The last push takes a record whole, and what was on its way is answered.
    expect(sent + received).toBeLessThan(BUDGET + 2 * VALUE_BYTES);
    expect(stopped?.use).toMatchObject({ day: 0, bytes: sent + received });
    await world.elapse(10_000);
    expect((await mirrored(hub, site)).length).toBeGreaterThan(85);
    expect(site.uplink?.status().use.day).toBe(1);
    expect(hub.position().revision).toBe((await mirrored(hub, site)).length);
  });

  test("an operator allows more, at once and for this day only", async () => {
    const { world, hub, site } = await pair(100, { bytesPerDay: BUDGET });
    await world.elapse(5_000);
    expect(site.uplink?.status().phase).toBe("spent");
    await site.uplink?.allow(BUDGET);
    await world.elapse(2_000);
    expect((await mirrored(hub, site)).length).toBeGreaterThan(85);
    expect(site.uplink?.status()).toMatchObject({ phase: "spent", use: { allowed: BUDGET } });
    await site.uplink?.allow(2 * BUDGET);
    await world.elapse(2_000);
    expect(await mirrored(hub, site)).toEqual(upTo(100));
    await world.elapse(BEFORE_MIDNIGHT);
    await put(site, "k");
    await world.elapse(2_000);
    expect(site.uplink?.status()).toMatchObject({ phase: "idle", use: { day: 1, allowed: 0 } });
  });

  test("S2: the next leader goes on counting about where the last one stopped", async () => {
    const { world, hub, site } = await pair(60, { bytesPerDay: 10 * BUDGET });
    await world.elapse(5_000);
    const used = site.traffic.sent + site.traffic.received;
    expect(used).toBeGreaterThan(60 * VALUE_BYTES);
    await site.uplink?.stop();
    site.traffic = { sent: 0, received: 0 };
    const next = world.uplink(site, hub, {}, { bytesPerDay: 10 * BUDGET });
    await world.elapse(1_000);
    const { use } = next.status();
    expect(use.bytes).toBeGreaterThan(used - 70_000);
    expect(use.bytes).toBeLessThan(used + 1_000);
  });

  test("S2: a link that was used up is not opened again by the next leader", async () => {
    const { world, hub, site } = await pair(100, { bytesPerDay: BUDGET });
    await world.elapse(5_000);
    await site.uplink?.stop();
    const revision = hub.position().revision;
    site.traffic = { sent: 0, received: 0 };
    const next = world.uplink(site, hub, {}, { bytesPerDay: BUDGET });
    await world.elapse(5_000);
    expect(next.status().phase).toBe("spent");
    expect(site.traffic.sent).toBe(0);
    expect(hub.position().revision).toBe(revision);
  });

  test("L1: an idle link with a budget proposes nothing", async () => {
    const { world, site } = await pair(10, { bytesPerDay: BUDGET });
    await world.elapse(20_000);
    const before = site.proposals.length;
    await world.elapse(600_000);
    expect(site.proposals.length).toBe(before);
  });
});
