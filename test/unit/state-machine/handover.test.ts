/** Q3: a home moves while everybody writes. */
import { utf8, utf8Text } from "@openclaw/core/bytes.ts";
import { revision } from "@openclaw/core/ids.ts";
import type { LinkItem } from "@openclaw/core/ledger/record.ts";
import { selectForChild, selectForParent } from "@openclaw/core/ledger/selection.ts";
import type { UserCommand } from "@openclaw/core/state-machine/command.ts";
import { expect, test } from "vitest";
import { SeededRandom } from "../../simulation/seeded-random.ts";
import { epoch, linkId, OneCluster, put, sha256 } from "./one-cluster.ts";

const NOTHING = { prefixes: [], collections: [], mirrors: false };
const SEEDS = 40;
const STEPS = 120;

const home = (where: "hub" | "site"): UserCommand => ({
  kind: "setHome",
  prefix: utf8("config/"),
  home: where,
  without: [],
});

/** Carries at most so many revisions of one ledger to its neighbour. */
function carry(from: OneCluster, to: OneCluster, side: "child" | "parent", most: number): boolean {
  const cursor = to.query({ kind: "link", link: linkId(from.cluster) }).link?.cursor ?? 0;
  const records = from.ledger.slice(cursor, cursor + most);
  const last = records.at(-1);
  if (last === undefined) return false;
  const items: LinkItem[] =
    side === "child" ? selectForParent(records, to.cluster, sha256) : selectForChild(records, to.cluster, NOTHING);
  expect(to.import(from, items, last.hash, side)).toMatchObject({ kind: "imported", cursor: last.revision });
  return true;
}

/** One family: each writer has a key of its own, and writes 1, 2, 3, … to it, wherever its home is just then. */
function family(seed: number) {
  const random = new SeededRandom(seed);
  const hub = new OneCluster("hub", epoch("a"));
  const sites = ["shop", "mill", "quay"].map((name, i) => new OneCluster(name, epoch(String(i + 1))));
  const written = new Map([hub, ...sites].map((one) => [one, 0]));
  const write = (at: OneCluster): void => {
    const next = (written.get(at) ?? 0) + 1;
    written.set(at, next);
    expect(at.run(put(`config/${at.cluster}`, String(next)))).toMatchObject({ ok: true });
  };
  const pick = (count: number): number => Math.floor(random.unit() * count);
  const link = (): void => {
    const site = sites[pick(sites.length)];
    if (site === undefined) return;
    if (random.unit() < 0.5) carry(site, hub, "child", 1 + pick(4));
    else carry(hub, site, "parent", 1 + pick(4));
  };
  const settle = (): void => {
    for (let news = true; news; ) {
      news = false;
      for (const site of sites) {
        news = carry(site, hub, "child", 1_000) || news;
        news = carry(hub, site, "parent", 1_000) || news;
      }
    }
  };
  return { random, hub, sites, written, write, pick, link, settle };
}

/** Every value that was put under a key at one cluster by who writes it, in the order of its ledger; not what a move took along. */
const historyOf = (at: OneCluster, key: string): readonly number[] =>
  at.records
    .filter(({ origin, principal }) => origin === null && principal === "ada")
    .flatMap(({ events }) => events)
    .flatMap((event) => (event.kind === "put" && utf8Text(event.key) === key ? [Number(utf8Text(event.value))] : []));

test.each([
  ["to the hub", "hub"],
  ["to the sites", "site"],
] as const)("Q3: %s, among writers: nothing is lost, nothing runs twice, each writer's order stands", (_, to) => {
  let queued = 0;
  for (let seed = 1; seed <= SEEDS; seed++) {
    const { hub, sites, written, write, pick, link, settle, random } = family(seed);
    for (const site of sites) site.run(put("own", "1"));
    settle();
    if (to === "site") hub.run(home("hub"));
    if (to === "site") settle();
    for (let step = 0; step < STEPS; step++) {
      const at = [hub, ...sites][pick(sites.length + 1)];
      if (step === STEPS / 3) hub.run(home(to));
      else if (at !== undefined && random.unit() < 0.4) write(at);
      else link();
    }
    settle();
    for (const [writer, last] of written) {
      const key = `config/${writer.cluster}`;
      // Of the hub's keys everybody reads the hub's; given back, each cluster has its own again.
      for (const one of to === "hub" ? [hub, ...sites] : [writer]) {
        const { row } = one.query({ kind: "get", origin: null, key: utf8(key) });
        expect([seed, key, row === null ? 0 : Number(utf8Text(row.value))]).toEqual([seed, key, last]);
      }
      // Each value was put at one home or the other, once, and in order at each.
      const all = [hub, writer].map((one) => historyOf(one, key));
      for (const values of all) expect(values).toEqual([...values].sort((a, b) => a - b));
      const ran = writer === hub ? (all[0] ?? []) : all.flat();
      expect([...ran].sort((a, b) => a - b)).toEqual(Array.from({ length: last }, (_, i) => i + 1));
      const { commands } = writer.query({ kind: "commands", after: revision(0), limit: 1_000 });
      queued += commands.length;
      for (const { outcome } of commands) expect(outcome).toMatchObject({ ok: true });
    }
  }
  expect(queued).toBeGreaterThan(SEEDS);
});

test("Q2, Q3: there and back again, whenever anybody hears of it: nothing runs twice", () => {
  let queued = 0;
  for (let seed = 1; seed <= SEEDS; seed++) {
    const { hub, sites, written, write, pick, link, settle, random } = family(seed);
    for (const site of sites) site.run(put("own", "1"));
    settle();
    let isAtHub = false;
    for (let step = 0; step < STEPS; step++) {
      const at = [hub, ...sites][pick(sites.length + 1)];
      if (step % 20 === 10) {
        expect(hub.run(home(isAtHub ? "site" : "hub"))).toMatchObject({ ok: true });
        isAtHub = !isAtHub;
      } else if (at !== undefined && random.unit() < 0.4) write(at);
      else link();
    }
    settle();
    for (const [writer] of written) {
      const ran = [...new Set([hub, writer])].flatMap((one) => historyOf(one, `config/${writer.cluster}`));
      expect([seed, writer.cluster, ran.length]).toEqual([seed, writer.cluster, new Set(ran).size]);
      const { commands } = writer.query({ kind: "commands", after: revision(0), limit: 1_000 });
      queued += commands.length;
      for (const { outcome } of commands) expect(outcome).toMatchObject({ ok: true });
    }
  }
  expect(queued).toBeGreaterThan(SEEDS);
});
