/** L3: which links wait for an operator, as one node sees it. */
import { OpenClawError } from "@openclaw/core/errors.ts";
import { LinkRefusals } from "@openclaw/edge-runtime/sync/link-refusals.ts";
import { expect, test } from "vitest";
import { clusterId } from "../state-machine/one-cluster.ts";

test("a link that is refused is told until it is up here, or is refused no more: then it is up elsewhere, or gone", () => {
  let now = 0;
  const refusals = new LinkRefusals({ now: () => now, wall: () => 1_000_000 + now });
  const [shop, plant] = [clusterId("shop"), clusterId("plant")];
  const fork = (details: string) => new OpenClawError("FORK", details);
  refusals.refused("child", shop, fork("at 5"));
  refusals.refused("child", plant, fork("at 7"));
  refusals.refused("child", plant, new OpenClawError("UNAVAILABLE", "try again"));
  for (now = 5_000; now <= 600_000; now += 5_000) refusals.refused("child", shop, fork("at 6"));
  expect(refusals.list()).toMatchObject([{ cluster: shop, code: "FORK", details: "at 6", since: 1_000_000 }]);
  now = 719_000;
  expect(refusals.list()).toHaveLength(1);
  // It was let in by another node of this cluster.
  now += 2_000;
  expect(refusals.list()).toEqual([]);
  refusals.refused("child", shop, fork("at 9"));
  expect([...refusals.counts()]).toEqual([{ side: "child", code: "FORK", count: 3 }]);
  refusals.up("child", shop);
  expect(refusals.list()).toEqual([]);
});
