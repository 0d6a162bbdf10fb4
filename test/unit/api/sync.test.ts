/** How the link to the parent stands, over HTTP and for a person. */
import { revision } from "@openclaw/core/ids.ts";
import { syncText } from "@openclaw/edge-runtime/cli/sync-status.ts";
import { afterAll, beforeAll, expect, test } from "vitest";
import { startTestNode, type TestNode } from "./node.ts";
import { StandInUplink } from "./stand-in-uplink.ts";

const PUTS = 40;
const VALUE_BYTES = 5_000;
const BUDGET = 50_000_000;

let node: TestNode;
const uplink = new StandInUplink();
beforeAll(async () => {
  node = await startTestNode({ uplink });
  for (let i = 0; i < PUTS; i++) await node.put(`k${i}`, "x".repeat(VALUE_BYTES));
});
afterAll(() => node.stop());

const sync = async () => (await node.app.inject({ method: "GET", url: "/v1/sync" })).json();
const shown = async (): Promise<string> => syncText(await sync(), Date.now());

test("what waits: all of it is counted where it is little, else by its oldest part", async () => {
  uplink.says({ cursor: revision(PUTS - 2), phase: "shipping" });
  const little = (await sync()).parent;
  expect(little.waiting).toMatchObject({ revisions: 2, exact: true });
  expect(little.waiting.bytes).toBeGreaterThan(2 * VALUE_BYTES);
  expect(little.oldest).toMatchObject({ revision: PUTS - 1, time: expect.any(Number) });
  uplink.says({ cursor: revision(0) });
  const much = (await sync()).parent;
  expect(much.waiting).toMatchObject({ revisions: PUTS, exact: false });
  expect(much.waiting.bytes / (PUTS * VALUE_BYTES)).toBeCloseTo(1, 1);
  uplink.says({ cursor: revision(PUTS), phase: "idle" });
  expect((await sync()).parent).toMatchObject({
    waiting: { revisions: 0, bytes: 0, exact: true },
    oldest: null,
    reason: null,
  });
});

test("at a rate, the time that is left and the bytes that the day will have used follow from what waits", async () => {
  uplink.says({
    cursor: revision(PUTS - 20),
    phase: "shipping",
    rate: { revisionsPerSecond: 10, bytesPerSecond: 4_000 },
    use: { day: 3, bytes: 1_000_000, allowed: 0 },
    limits: { bytesPerSecond: 8_000, bytesPerDay: BUDGET },
    left: BUDGET - 1_000_000,
  });
  expect((await sync()).parent).toMatchObject({
    secondsLeft: 2,
    used: { day: 3, bytes: 1_000_000, projected: 1_008_000, bytesPerDay: BUDGET, left: 49_000_000 },
  });
  const text = await shown();
  expect(text).toMatch(/^parent hub: shipping$/m);
  expect(text).toMatch(/^ {2}cursor {6}20 of 40$/m);
  expect(text).toMatch(/^ {2}to drain {4}20 revisions, about 10\d kB$/m);
  expect(text).toMatch(/^ {2}oldest {6}revision 21, written \d+\.\d s ago$/m);
  expect(text).toMatch(/^ {2}rate {8}10 revisions\/s, 4000 B\/s, at most 8000 B\/s$/m);
  expect(text).toMatch(/^ {2}time left {3}2\.0 s$/m);
  expect(text).toMatch(/used today {2}1000 kB of 50\.0 MB; projected 1008 kB; the next day begins in 24\.0 h$/m);
});

test("why it is stopped: a used-up day, an operator, an error; a follower names the leader", async () => {
  uplink.says({ phase: "spent", connected: false, left: 0, msToNextDay: 3_600_000 });
  expect(await shown()).toMatch(/^parent hub: spent: the 50000000 bytes of the day are used up; it goes on in 60 min/m);
  expect((await node.app.inject("/metrics")).body).toMatch(/^openclaw_uplink_spent 1$/m);
  uplink.says({ phase: "paused" });
  expect(await shown()).toMatch(/^parent hub: paused: paused by an operator/m);
  uplink.says({ phase: "connecting", failure: "FORK: another ledger" });
  expect(await shown()).toMatch(/^parent hub: connecting: FORK: another ledger$/m);
  uplink.says({ phase: "standby", failure: null });
  expect(await sync()).toMatchObject({ leader: { node: "california-1", http: "http://127.0.0.1:8101" } });
});

test("an operator allows more for today", async () => {
  const allow = (payload: object) => node.app.inject({ method: "POST", url: "/v1/sync/allow", payload });
  expect((await allow({ bytes: 5_000_000 })).json()).toEqual({ allowed: 5_000_000 });
  expect(uplink.allowed).toBe(5_000_000);
  expect((await allow({ bytes: -1 })).json().code).toBe("BAD_REQUEST");
});

test("a cluster without a parent says so", async () => {
  const alone = await startTestNode();
  const answer = await alone.app.inject({ method: "GET", url: "/v1/sync" });
  expect(answer.json()).toMatchObject({ parent: null, children: [] });
  expect(syncText(answer.json(), Date.now())).toContain("no parent");
  const refused = await alone.app.inject({ method: "POST", url: "/v1/sync/allow", payload: { bytes: 1 } });
  expect(refused.json().code).toBe("NOT_FOUND");
  await alone.stop();
});

test("S5: where the oldest of what waits was shed, it is told from what is left on", async () => {
  const shedding = await startTestNode({ uplink: new StandInUplink({ cursor: revision(2), phase: "connecting" }) });
  for (let i = 0; i < 10; i++) await shedding.put(`k${i}`, "x".repeat(VALUE_BYTES));
  await shedding.replica.execute({ kind: "compact", revision: revision(8) }, { principal: "test", timeoutMs: 5_000 });
  const { parent } = (await shedding.app.inject({ method: "GET", url: "/v1/sync" })).json();
  expect(parent).toMatchObject({ waiting: { revisions: 8, exact: true }, oldest: { revision: 8 } });
  expect(parent.waiting.bytes).toBeGreaterThan(3 * VALUE_BYTES);
  await shedding.stop();
});
