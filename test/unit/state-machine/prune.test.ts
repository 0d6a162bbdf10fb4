/** What a compaction leaves of the history index and of the ledger. */
import { utf8 } from "@openclaw/core/bytes.ts";
import { versionKey, versionOf } from "@openclaw/core/history/history-rows.ts";
import { revision } from "@openclaw/core/ids.ts";
import type { UserCommand } from "@openclaw/core/state-machine/command.ts";
import { keyRowKey } from "@openclaw/core/state-machine/keyspace.ts";
import { expect, test } from "vitest";
import { OneCluster, put } from "./one-cluster.ts";

const remove = (key: string): UserCommand => ({ kind: "deleteRange", keys: { kind: "key", key: utf8(key) } });
const compact = (to: number): UserCommand => ({ kind: "compact", revision: revision(to) });

/** The revisions of the versions that are left, key by key. */
function left(site: OneCluster): number[] {
  const from = versionKey(keyRowKey(null, new Uint8Array(0)), revision(Number.MAX_SAFE_INTEGER)).subarray(0, 1);
  const to = Uint8Array.of((from[0] ?? 0) + 1);
  return site.index.scan(from, to, 1_000).map(({ key }) => versionOf(key).at);
}

const versions = (site: OneCluster, key: string): number[] =>
  site
    .history({ kind: "versions", origin: null, key: utf8(key), before: null, limit: 10 })
    .versions.map((one) => one.revision);

test("a delete at the very revision of a compaction is kept, and gone with the next one", () => {
  const site = new OneCluster("california");
  for (const command of [put("a", "1"), remove("a"), put("b", "1"), compact(2)]) site.run(command);
  site.prune();
  expect(versions(site, "a")).toEqual([2]);
  expect(left(site)).toEqual([2, 3]);
  site.run(compact(3));
  site.prune();
  expect(versions(site, "a")).toEqual([]);
  expect(left(site)).toEqual([3]);
  expect(site.ledger.map((record) => record.revision)).toEqual([3]);
});

test("of a key that was written often, one version and the later ones are left", () => {
  const site = new OneCluster("california");
  for (let i = 0; i < 300; i++) site.run(put(`k${i % 3}`, String(i)));
  site.run(compact(297));
  site.prune();
  expect(left(site).toSorted((a, b) => a - b)).toEqual([295, 296, 297, 298, 299, 300]);
  expect(site.index.rows().length).toBeLessThan(12);
});

test("broken off after any step, what is removed and what is told are the same in the end", () => {
  const made = (steps: number): OneCluster => {
    const site = new OneCluster("california");
    for (let i = 0; i < 300; i++) site.run(i % 7 === 6 ? remove(`k${i % 3}`) : put(`k${i % 3}`, String(i)));
    site.run(compact(100));
    site.prune(steps);
    site.run(compact(250));
    site.prune(steps);
    site.prune();
    return site;
  };
  const whole = made(Number.POSITIVE_INFINITY);
  for (let steps = 0; steps < 12; steps++) {
    const site = made(steps);
    expect(left(site)).toEqual(left(whole));
    expect(site.ledger.length).toBe(whole.ledger.length);
  }
});
