/** D5: who waits for what shows, and is not committed: until it comes, or its time is over. */
import { PROVISIONAL_MS, Provisional } from "@openclaw/core/client/provisional.ts";
import { Rungs } from "@openclaw/core/client/rungs.ts";
import { Quarantine } from "@openclaw/core/client/sound-document.ts";
import { type ChangeHash, revision } from "@openclaw/core/ids.ts";
import { expect, test } from "vitest";
import { VirtualClock } from "../../simulation/virtual-clock.ts";
import { append } from "./log.ts";
import { begun, ghosts, NAMED, only } from "./viewing.ts";

/** What became of it so far. */
function fateOf(waiting: Promise<void>) {
  const fate = { now: "waits" };
  waiting.then(
    () => {
      fate.now = "came";
    },
    ({ code }) => {
      fate.now = code;
    },
  );
  return fate;
}

test("who waits for a change that never comes is told when its time is over, and not as long as it is told again", async () => {
  const { world, gateway, viewers } = await begun();
  const changes = ghosts(viewers, "aa", "gone");
  const { hash } = only(changes);
  gateway.heard({ ...NAMED, changes });
  await world.flush();
  const fates = [fateOf(viewers.settled(hash, "device")), fateOf(viewers.settled(hash, "hub"))];
  await world.elapse(PROVISIONAL_MS - 1);
  gateway.heard({ ...NAMED, changes });
  await world.elapse(PROVISIONAL_MS - 1);
  expect(fates).toEqual([{ now: "waits" }, { now: "waits" }]);
  await world.elapse(1);
  expect(fates).toEqual([{ now: "UNAVAILABLE" }, { now: "UNAVAILABLE" }]);
  expect(viewers.provisional()).toBe(0);
});

test("who asks later is told at once; who asks when it has come after all, or shows again, is not", async () => {
  const { world, site, gateway, viewers } = await begun();
  const changes = ghosts(viewers, "aa", "late");
  const { hash } = only(changes);
  gateway.heard({ ...NAMED, changes });
  await world.elapse(2 * PROVISIONAL_MS);
  await expect(viewers.settled(hash, "site")).rejects.toMatchObject({ code: "UNAVAILABLE", retryable: true });
  gateway.heard({ ...NAMED, changes });
  await world.flush();
  const fate = fateOf(viewers.settled(hash, "site"));
  await world.elapse(PROVISIONAL_MS - 1);
  expect(fate.now).toBe("waits");
  await world.elapse(PROVISIONAL_MS);
  expect(fate.now).toBe("UNAVAILABLE");
  await site.execute({ kind: "change", ...NAMED, changes });
  await world.flush();
  await viewers.settled(hash, "site");
});

test("a change that goes because another one's time is over may still come: who waits for it waits for its own time", async () => {
  const { world, site, gateway, viewers } = await begun();
  const [gone] = ghosts(viewers, "aa", "gone");
  const [comes] = ghosts(viewers, "bb", "comes");
  const [never] = ghosts(viewers, "cc", "never");
  if (gone === undefined || comes === undefined || never === undefined) throw new Error("three were made");
  gateway.heard({ ...NAMED, changes: [gone] });
  await world.elapse(PROVISIONAL_MS / 2);
  gateway.heard({ ...NAMED, changes: [comes, never] });
  await world.flush();
  const [first, second, third] = [gone, comes, never].map(({ hash }) => fateOf(viewers.settled(hash, "site")));
  await world.elapse(PROVISIONAL_MS / 2);
  expect([viewers.provisional(), first?.now, second?.now, third?.now]).toEqual([0, "UNAVAILABLE", "waits", "waits"]);
  await site.execute({ kind: "change", ...NAMED, changes: [comes] });
  await world.elapse(PROVISIONAL_MS / 2 - 1);
  expect([second?.now, third?.now]).toEqual(["came", "waits"]);
  await world.elapse(1);
  expect(third?.now).toBe("UNAVAILABLE");
});

test("so does who waits when the document is closed", async () => {
  const { world, site, gateway, viewers } = await begun();
  const [comes] = ghosts(viewers, "aa", "comes");
  const [never] = ghosts(viewers, "bb", "never");
  if (comes === undefined || never === undefined) throw new Error("two were made");
  gateway.heard({ ...NAMED, changes: [comes, never] });
  await world.flush();
  const fates = [comes, never].map(({ hash }) => fateOf(viewers.settled(hash, "site")));
  viewers.close();
  await world.elapse(PROVISIONAL_MS / 2);
  await site.execute({ kind: "change", ...NAMED, changes: [comes] });
  await world.flush();
  expect(fates).toEqual([{ now: "came" }, { now: "waits" }]);
  await world.elapse(PROVISIONAL_MS / 2);
  expect(fates).toEqual([{ now: "came" }, { now: "UNAVAILABLE" }]);
});

test("what an edit of this device follows is sent with it: who waits for it waits as for the edit", async () => {
  const { world, site, gateway, viewer, viewers } = await begun();
  const changes = ghosts(viewers, "aa", "theirs ");
  const { hash } = only(changes);
  gateway.heard({ ...NAMED, changes });
  await world.flush();
  const [atSite, atHub] = [fateOf(viewers.settled(hash, "site")), fateOf(viewers.settled(hash, "hub"))];
  viewer.goOffline();
  viewers.change(append("mine"));
  await world.elapse(2 * PROVISIONAL_MS);
  expect([atSite.now, atHub.now]).toEqual(["waits", "waits"]);
  viewer.goOnline();
  await world.elapse(2 * PROVISIONAL_MS);
  expect([atSite.now, atHub.now]).toEqual(["came", "waits"]);
  expect(site.position().revision).toBeGreaterThan(0);
});

test("what its site has is not provisional again, if it is told of once more before the document has it from there", async () => {
  const { viewers } = await begun();
  const changes = ghosts(viewers, "aa", "comes");
  const { hash } = only(changes);
  const [clock, rungs] = [new VirtualClock(), new Rungs()];
  const provisional = new Provisional(clock, rungs, () => undefined);
  provisional.showing(changes);
  expect(rungs.rung(hash)).toBeNull();
  rungs.committed([hash], revision(1));
  expect(provisional.showable(changes, viewers.doc(), new Quarantine([]))).toEqual([]);
  expect(rungs.rung(hash)).toBe("site");
});

test("nothing is waited for any more when the client is stopped", async () => {
  const { viewers } = await begun();
  const changes = ghosts(viewers, "aa", "never");
  const timers = new Set<() => void>();
  const clock = {
    now: () => 0,
    wall: () => 0,
    after: (_ms: number, callback: () => void) => {
      timers.add(callback);
      return () => void timers.delete(callback);
    },
  };
  const provisional = new Provisional(clock, new Rungs(), () => undefined);
  provisional.showing(changes);
  void fateOf(provisional.settled(only(changes).hash, "site"));
  expect(timers.size).toBe(2);
  provisional.stop();
  expect(timers.size).toBe(0);
});

test("more that is told of than is remembered: who waits for the first is told", async () => {
  const rungs = new Rungs();
  const hashOf = (i: number): ChangeHash => i.toString(16).padStart(64, "0") as ChangeHash;
  rungs.provisional([hashOf(0)], PROVISIONAL_MS);
  const fate = fateOf(rungs.settled(hashOf(0), "site"));
  for (let i = 1; i < 4_096; i++) rungs.provisional([hashOf(i)], PROVISIONAL_MS);
  await Promise.resolve();
  expect(fate.now).toBe("waits");
  rungs.provisional([hashOf(4_096)], PROVISIONAL_MS);
  await Promise.resolve();
  expect(fate.now).toBe("UNAVAILABLE");
});
