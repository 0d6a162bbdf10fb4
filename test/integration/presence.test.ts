/** R11 on a real site of three processes: two clients at two gateways, and what becomes of one whose gateway is killed. */
import type { Client } from "@openclaw/core/client/client.ts";
import { openClaw } from "@openclaw/edge-runtime/client.ts";
import { expect, onTestFinished, test } from "vitest";
import { type SiteNode, startSite } from "./site.ts";

const LOG = { collection: "log", id: "today" };
const WAIT = { timeout: 60_000, interval: 10 };

/** What has come into the Raft log, and into the ledger, of every node. */
async function written(nodes: readonly SiteNode[]): Promise<readonly string[]> {
  const figures = nodes.map(async ({ http }) => {
    const text = await (await fetch(`${http}/metrics`)).text();
    return [...text.matchAll(/^openclaw_(?:raft_last_index|revision) \d+$/gm)].join(", ");
  });
  return Promise.all(figures);
}

/** Figures that stand still for a second: what a start proposes is through. */
async function atRest(nodes: readonly SiteNode[]): Promise<readonly string[]> {
  let last: readonly string[] = [];
  await expect
    .poll(
      async () => {
        const before = last;
        last = await written(nodes);
        return String(before) === String(last);
      },
      { timeout: 60_000, interval: 1_000 },
    )
    .toBe(true);
  return last;
}

async function clientAt(node: SiteNode | undefined): Promise<Client> {
  const client = await openClaw({ gateways: node?.addresses.slice(0, 1) ?? [] });
  onTestFinished(() => client.stop());
  await expect.poll(() => client.status().link, WAIT).toBe("online");
  return client;
}

test("R11: clients at two gateways see each other, which is in no log; one whose gateway is killed is gone in time", async () => {
  const nodes = await startSite(3);
  const [ana, ben] = [await clientAt(nodes[0]), await clientAt(nodes[1])];
  const [a, b] = [ana.presence.of(LOG), ben.presence.of(LOG)];
  a.set("ana");
  b.set("ben");
  const valuesOf = (handle: typeof a): readonly unknown[] => handle.others().map(({ value }) => value);
  await expect.poll(() => [valuesOf(a), valuesOf(b)], WAIT).toEqual([["ben"], ["ana"]]);

  const before = await atRest(nodes);
  for (let at = 0; at < 200; at++) {
    a.set({ at });
    await expect.poll(() => valuesOf(b), WAIT).toEqual([{ at }]);
  }
  expect(await written(nodes)).toEqual(before);
  expect(before.every((figures) => figures.includes("raft_last_index") && figures.includes("revision"))).toBe(true);

  // Who comes later, at the third gateway, finds both.
  const cy = (await clientAt(nodes[2])).presence.of(LOG);
  await expect.poll(() => valuesOf(cy), WAIT).toEqual(expect.arrayContaining([{ at: 199 }, "ben"]));

  await nodes[0]?.process.kill();
  await expect.poll(() => [valuesOf(b), valuesOf(cy)], WAIT).toEqual([[], ["ben"]]);
  await expect.poll(() => valuesOf(a), WAIT).toEqual([]);

  // A gateway that begins anew is told again by the clients of the others, and by its own.
  nodes[0]?.process.start();
  await expect.poll(() => [valuesOf(a), valuesOf(b)], WAIT).toEqual([["ben"], [{ at: 199 }]]);
}, 240_000);
