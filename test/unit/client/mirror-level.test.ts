import { MirrorLevel } from "@openclaw/core/client/mirror-level.ts";
import { revision } from "@openclaw/core/ids.ts";
import { expect, test } from "vitest";
import { settle, VirtualClock } from "../../simulation/virtual-clock.ts";

test("level is who has all up to where the gateway was, and not before", async () => {
  const clock = new VirtualClock();
  let changes = 0;
  const level = new MirrorLevel({ clock, head: async () => revision(10), changed: () => changes++ });
  level.look();
  level.welcomed();
  level.taken(revision(9));
  level.look();
  await settle();
  expect([level.stale, changes]).toEqual([{ since: null }, 0]);
  level.taken(revision(10));
  expect([level.stale, changes]).toEqual([null, 1]);
  level.parted();
  expect([level.stale, changes]).toEqual([{ since: clock.wall() }, 2]);
  level.welcomed();
  level.taken(revision(11));
  expect(level.stale).toEqual({ since: clock.wall() });
});
