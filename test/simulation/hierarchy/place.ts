/** A cluster through all its lives: one runs, or a clone of it beside it; its clients, and what they saw, are of one life each. */

import { hash } from "node:crypto";
import { utf8Text } from "@openclaw/core/bytes.ts";
import { type Epoch, isLinkId, type LinkId, revision } from "@openclaw/core/ids.ts";
import { isKeyEvent, type LinkItem } from "@openclaw/core/ledger/record.ts";
import { decodeRecord } from "@openclaw/core/ledger/record-codec.ts";
import type { Witness } from "@openclaw/core/ledger/witness.ts";
import type { Sha256 } from "@openclaw/core/ports.ts";
import type { Position } from "@openclaw/core/state-machine/query.ts";
import { query } from "@openclaw/core/state-machine/query-run.ts";
import { witnessesOf } from "@openclaw/core/sync/life-change.ts";
import { Callers } from "../callers.ts";
import { callFaults } from "../checkers/calls.ts";
import { lossFaults } from "../checkers/durability.ts";
import { echoFaults } from "../checkers/echo.ts";
import { doubleFaults } from "../checkers/exactly-once.ts";
import { type Call, History, type LedgerWrite } from "../checkers/history.ts";
import { orderFaults } from "../checkers/linearizability.ts";
import { privateFaults } from "../checkers/private.ts";
import type { MemoryMember } from "../memory-cluster.ts";
import { SeededRandom } from "../seeded-random.ts";
import { Tier, type TierUp } from "../tier.ts";
import type { Trace } from "../trace.ts";
import type { VirtualClock } from "../virtual-clock.ts";
import { HomeWriters } from "./home-writers.ts";
import { type Beginning, Life } from "./life.ts";
import type { HierarchyPlan } from "./plan.ts";
import { ReplacedRuns } from "./replaced.ts";
import { clusterOf, nonceOf } from "./restore.ts";

const sha256: Sha256 = (bytes) => hash("sha256", bytes, "buffer");

export interface PlaceOptions {
  readonly name: string;
  readonly size: number;
  readonly plan: HierarchyPlan;
  readonly clock: VirtualClock;
  readonly trace: Trace;
  readonly violation: (text: string) => void;
  /** Null: nobody is above it. */
  readonly up: Omit<TierUp, "shipped" | "streamed"> | null;
  /** Clusters that it may have links with. */
  readonly others: readonly string[];
  /** Those of them that may be below it. */
  readonly below: readonly string[];
  /** More was applied in one of its lives. */
  readonly reached: (inhabitant: Inhabitant, position: Position) => void;
  /** A member lost its power, with so many children at it. */
  readonly lost: (children: number) => void;
}

/** Keys that callers ask for begin with it. */
export const CALLED = "k";

/** A life with all that is about it. */
export interface Inhabitant {
  readonly life: Life;
  readonly tier: Tier;
  readonly callers: Callers;
  readonly history: History;
  readonly writers: HomeWriters;
  /** When it began. */
  readonly since: number;
  /** Its own revisions begin above it. */
  readonly departure: number;
  /** What stands of its links in the newest state of it. */
  readonly links: Map<string, LinkAt>;
  /** Of each other cluster the last record that is here above its link's cursor, as after a restore. */
  readonly records: Map<string, Witness>;
  readonly replaced: ReplacedRuns;
}

/** The disks of an inhabitant at one moment, and what was under way there and then. */
export interface Copied {
  readonly begins: Beginning;
  /** Asked and not answered by then: it may have happened before, or may yet, also where the original answered later. */
  readonly pending: readonly Call[];
  readonly links: Inhabitant["links"];
}

export const copyOf = ({ life, history, links }: Inhabitant): Copied => ({
  begins: life.copy(),
  pending: history.calls.filter(({ answer }) => answer === null),
  links: new Map(links),
});

export interface LinkAt {
  readonly cursor: number;
  /** The other's ledger hash there. */
  readonly hash: Uint8Array;
  readonly epoch: Epoch;
}

export class Place {
  readonly name: string;
  readonly size: number;
  /** Those that were, too; the newest is the last one. */
  readonly inhabitants: Inhabitant[] = [];
  readonly #options: PlaceOptions;
  readonly #random: SeededRandom;
  #callersEnded = false;

  constructor(options: PlaceOptions) {
    this.name = options.name;
    this.size = options.size;
    this.#options = options;
    this.#random = new SeededRandom(options.plan.seed).stream(options.name);
    const epoch: Epoch = { counter: 1, nonce: nonceOf(this.#random), parent: null, departure: revision(0) };
    this.settle({ lineage: { epoch, ancestors: [] }, ledger: [], disks: null });
  }

  /** Who runs here, a clone included. */
  get present(): readonly Inhabitant[] {
    return this.inhabitants.filter(({ life }) => !life.over);
  }

  /** The one that is not a clone, or has outlived it; null while nobody runs here. */
  get first(): Inhabitant | null {
    return this.present[0] ?? null;
  }

  /** The life of copied disks. */
  settleCopy({ begins, pending, links }: Copied): Inhabitant {
    return this.settle(begins, pending, links);
  }

  /** A life begins here. */
  settle(begins: Beginning, pending: readonly Call[] = [], known: Inhabitant["links"] = new Map()): Inhabitant {
    const { name, size, plan, clock, trace, violation, up, below, reached, lost } = this.#options;
    const number = this.inhabitants.length + 1;
    const random = this.#random.stream(`life ${number}`);
    const life = new Life({
      ...{ name, number, size, begins, plan, clock, trace, violation },
      ready: (member) => tier.ready(member),
      reached: (member, position) => {
        this.#noteLinks(inhabitant, member, position);
        reached(inhabitant, position);
      },
      lost: (member) => lost(tier.lost(member)),
    });
    const told = (from: string, to: string, faults: readonly string[], items: readonly LinkItem[]) => {
      for (const fault of [...faults, ...echoFaults(from, to, items)]) violation(fault);
    };
    const tier = new Tier({
      ...{ cluster: life, clock, random: random.stream("lines"), delayMs: plan.networkMs },
      up:
        up === null
          ? null
          : {
              ...up,
              shipped: (items) => told(name, up.parent(), privateFaults(life.shown, items, life.ledger), items),
              streamed: (items) => told(up.parent(), name, privateFaults(up.parent(), items, null), items),
            },
    });
    const history = historyFrom(begins, pending);
    const callers = new Callers(
      {
        ...{ site: life, clock, random: random.stream("callers"), history, keys: plan.keys, thinkMs: plan.thinkMs },
        values: `${life.shown} `,
      },
      plan.callers,
    );
    const writers = new HomeWriters(
      { life, clock, random: random.stream("writers"), thinkMs: plan.thinkMs, below: below.map(clusterOf) },
      plan.writers,
    );
    if (this.#callersEnded) callers.end();
    if (this.#callersEnded) writers.end();
    const inhabitant: Inhabitant = {
      ...{ life, tier, callers, history, writers, since: clock.now(), departure: begins.ledger.length },
      links: new Map(known),
      records: new Map(),
      replaced: new ReplacedRuns(),
    };
    this.inhabitants.push(inhabitant);
    life.tell(`begins in epoch ${life.epoch.counter} at revision ${life.revision}`);
    life.start();
    return inhabitant;
  }

  /** Its life is over, for good. */
  leave({ life, callers, writers }: Inhabitant): void {
    callers.end();
    writers.end();
    life.end();
  }

  /** Nobody asks for anything any more. */
  quiet(): void {
    this.#callersEnded = true;
    for (const { callers, writers } of this.inhabitants) {
      callers.end();
      writers.end();
    }
  }

  heal(): void {
    for (const { life, tier } of this.present) {
      life.heal();
      tier.healUplink();
    }
  }

  get operations(): number {
    return this.inhabitants.reduce((sum, { history }) => sum + history.answered, 0);
  }

  #noteLinks({ links, records, replaced }: Inhabitant, { state }: MemoryMember, position: Position): void {
    for (const other of this.#options.others) {
      const { link } = query(state.view, { kind: "link", link: linkOf(other) }, sha256);
      const { marks } = query(state.view, { kind: "marks", origin: clusterOf(other) }, sha256);
      const record = witnessesOf(marks).find(({ revision: at }) => at > (link?.cursor ?? 0));
      if (record === undefined) records.delete(other);
      else records.set(other, record);
      if (link === null || link.epoch === null) continue;
      const at = { cursor: link.cursor, hash: link.hash, epoch: link.epoch };
      links.set(other, at);
      replaced.note(state.view, other, at, position.revision);
    }
  }

  /** In each of its lives what was acknowledged stands, once, in an order that explains what callers were told. */
  judge(): readonly string[] {
    return this.inhabitants.flatMap(({ life, history, departure }) => {
      const writes = writesOf(life.ledger);
      const before = standing(writes.filter(({ revision: at }) => at <= departure));
      const all = [...before, ...writes.filter(({ revision: at }) => at > departure)];
      const faults = [
        ...lossFaults(history, all),
        ...doubleFaults(history, all),
        ...orderFaults(history, all),
        ...callFaults(history),
      ];
      return faults.map((fault) => `${life.shown}: ${fault}`);
    });
  }
}

function linkOf(cluster: string): LinkId {
  if (!isLinkId(cluster)) throw new Error(cluster);
  return cluster;
}

/** What callers of a life find there. */
function historyFrom({ ledger }: Beginning, pending: readonly Call[]): History {
  const history = new History();
  const there = standing(writesOf(ledger));
  for (const { key, asked } of pending) {
    if (asked.kind === "read") continue;
    if (asked.kind !== "delete" && there.some(({ value }) => value === asked.value)) continue;
    // Nobody here was told of what a comparison expects: it may be a put, or nothing.
    history.begin("before", key, asked.kind === "delete" ? asked : { kind: "put", value: asked.value });
  }
  for (const { key, value, revision: at } of there)
    if (value !== null) history.begin("before", key, { kind: "put", value })({ kind: "wrote", revision: at });
  return history;
}

/** What a ledger holds of those of its own cluster's keys that callers ask for, in order. */
function writesOf(ledger: Life["ledger"] | Beginning["ledger"]): readonly LedgerWrite[] {
  return ledger.flatMap(({ revision: at, record }) => {
    const { origin, events } = decodeRecord(record);
    if (origin !== null) return [];
    return events.flatMap((event) => {
      if (!isKeyEvent(event) || !utf8Text(event.key)?.startsWith(CALLED)) return [];
      const value = event.kind === "put" ? (utf8Text(event.value) ?? "") : null;
      return [{ key: utf8Text(event.key) ?? "", value, revision: at }];
    });
  });
}

/** Of each key that is there its last write, in their order. */
function standing(writes: readonly LedgerWrite[]): readonly LedgerWrite[] {
  const last = new Map(writes.map((write) => [write.key, write]));
  return [...last.values()].filter(({ value }) => value !== null).sort((a, b) => a.revision - b.revision);
}
