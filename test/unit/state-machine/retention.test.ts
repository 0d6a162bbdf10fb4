import { utf8 } from "@openclaw/core/bytes.ts";
import { Retention, type RetentionLimits } from "@openclaw/core/history/retention.ts";
import { revision } from "@openclaw/core/ids.ts";
import type { Clock } from "@openclaw/core/ports.ts";
import type { UserCommand } from "@openclaw/core/state-machine/command.ts";
import { expect, test } from "vitest";
import { OneCluster, put } from "./one-cluster.ts";

/** A cluster whose leader looks when the test says so. */
function kept(limits: RetentionLimits, { pinned = false, role = "leader" } = {}) {
  const site = new OneCluster("california");
  let due = (): void => {};
  const clock: Clock = {
    now: () => 0,
    wall: () => 0,
    after: (_ms, callback) => {
      due = callback;
      return () => {};
    },
  };
  const compacted: number[] = [];
  const failures: unknown[] = [];
  const replica = {
    status: () => ({ role, id: "california-1" }),
    position: () => site.position,
    history: async (question: Parameters<OneCluster["history"]>[0]) => site.history(question),
    execute: async (command: UserCommand) => {
      if (command.kind === "compact") compacted.push(command.revision);
      return site.run(command);
    },
  };
  // What is asked of a replica, and no more.
  const options = { replica, clock, limits, pinned, failed: (error: unknown) => void failures.push(error) } as unknown;
  const retention = new Retention(options as ConstructorParameters<typeof Retention>[0]);
  retention.start();
  const look = async (): Promise<number> => {
    due();
    await new Promise((resolve) => setImmediate(resolve));
    expect(failures).toEqual([]);
    return site.position.compacted;
  };
  return { site, look, compacted };
}

/** Indexed at once, so that every revision is a run of its own. */
const write = (site: OneCluster, value = "v"): void => {
  site.run(put("k", value));
  site.history({ kind: "get", origin: null, key: utf8("k"), at: revision(site.position.revision) });
};

test("T1: what is older than the age, in log time, is compacted, and nothing before", async () => {
  const { site, look } = kept({ ageMs: 1_000, bytes: null });
  for (let i = 0; i < 5; i++) {
    site.pass(400);
    write(site);
  }
  // Written at 400, 800, 1,200, 1,600 and 2,000; the first that is no older than 1,000 is the third.
  expect(await look()).toBe(3);
  expect(await look()).toBe(3);
  site.pass(1_000);
  expect(await look()).toBe(5);
  site.pass(100_000);
  expect(await look()).toBe(5);
  expect(site.key("k")).not.toBe(null);
});

test("what is over the bytes is compacted, the newest runs are kept", async () => {
  const { site, look } = kept({ ageMs: null, bytes: 3_500 });
  for (let i = 0; i < 3; i++) write(site, "x".repeat(1_000));
  expect(await look()).toBe(0);
  for (let i = 0; i < 3; i++) write(site, "x".repeat(1_000));
  expect(await look()).toBe(4);
  write(site, "x".repeat(5_000));
  expect(await look()).toBe(7);
});

test("S5: the uplink pins what the parent does not hold, and a follower compacts nothing", async () => {
  const pinned = kept({ ageMs: null, bytes: 1 }, { pinned: true });
  for (let i = 0; i < 4; i++) write(pinned.site);
  expect(await pinned.look()).toBe(0);
  pinned.site.system({
    kind: "parentHolds",
    parent: new OneCluster("hub").cluster,
    epoch: "ab".repeat(16),
    revision: revision(2),
  });
  expect(await pinned.look()).toBe(3);
  const follower = kept({ ageMs: null, bytes: 1 }, { role: "follower" });
  for (let i = 0; i < 4; i++) write(follower.site);
  expect(await follower.look()).toBe(0);
});

test("without limits nothing is looked at", async () => {
  const { site, look, compacted } = kept({ ageMs: null, bytes: null });
  for (let i = 0; i < 4; i++) write(site);
  expect(await look()).toBe(0);
  expect(compacted).toEqual([]);
});
