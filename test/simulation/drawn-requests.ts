/** Requests of keys as etcd's clients make them, over few keys, so that they meet; the odd ones among them. */
import type { Command, Compare, Delete, Keys, Op, Put, Range, Txn } from "../model/etcd.ts";
import type { SeededRandom } from "./seeded-random.ts";

/** Neighbours in the order of bytes. What is below the first belongs to others. */
const KEYS = ["l", "l\0", "la", "lb", "lc", "lca"];
const ENDS = ["la", "lb", "ld", "\0", "l"];

export const isOfClients = (key: string): boolean => key >= "l";

/** What the clients of one world know of it. */
export class Knowledge {
  /** The newest revision that anybody was told of. */
  revision = 0;
  /** Leases that somebody asked for, the latest last: some live, some are over. */
  readonly leases: number[] = [];
  #values = 0;

  /** Written by no other request. */
  fresh(): string {
    return `w${++this.#values}`;
  }

  /** One that was written not long ago. */
  old(random: SeededRandom): string {
    return `w${Math.max(1, this.#values - random.below(8))}`;
  }

  lease(random: SeededRandom): number {
    return this.leases.length === 0 ? 1 : random.pick(this.leases.slice(-3));
  }
}

export class DrawnRequests {
  readonly #random: SeededRandom;
  readonly #known: Knowledge;
  readonly #keys: readonly string[];

  /** @param keys how many of them */
  constructor(random: SeededRandom, known: Knowledge, keys: number) {
    this.#random = random;
    this.#known = known;
    this.#keys = KEYS.slice(0, keys);
  }

  command(): Exclude<Command, { op: "grant" | "alive" | "revoke" }> {
    const random = this.#random;
    const kind = random.weighted([
      ["put", 2],
      ["delete", 2],
      ["txn", 8],
      ["own write", 1],
      ["put, then deleted", 1],
      ["half", 1],
    ] as const);
    switch (kind) {
      case "put":
        return { op: "put", key: random.pick(this.#keys), value: this.#known.fresh(), lease: 0, prev: false };
      case "delete":
        return { ...this.#delete(), prev: false };
      case "txn":
        return this.#txn(0);
      case "own write":
        return this.#ownWrite();
      case "put, then deleted":
        return this.#putThenDeleted();
      case "half":
        return this.#half();
    }
  }

  range(): Range {
    const random = this.#random;
    const bound = (): number => (random.chance(0.2) ? this.#revision() : 0);
    // All that there is, what others wrote among it, now and then.
    const keys = random.chance(0.15) ? { key: "\0", end: "\0" } : this.#selected();
    return {
      op: "range",
      ...keys,
      limit: random.pick([0, 0, 1, 2]),
      sort: random.pick(["key", "version", "create", "mod", "value"]),
      descending: random.chance(0.5),
      only: random.pick(["rows", "rows", "keys", "count"]),
      minMod: bound(),
      maxMod: bound(),
      minCreate: bound(),
      maxCreate: bound(),
      at: 0,
    };
  }

  /** At any revision that somebody knows of, if there is one. */
  past(): Range {
    return { ...this.range(), at: this.#random.below(this.#known.revision + 1) };
  }

  #selected(): Keys {
    const random = this.#random;
    return { key: random.pick(this.#keys), end: random.chance(0.6) ? "" : random.pick(ENDS) };
  }

  #delete(): Delete {
    return { op: "delete", ...this.#selected(), prev: this.#random.chance(0.5) };
  }

  #put(key: string): Put {
    const random = this.#random;
    const lease = random.weighted<() => number | null>([
      [() => 0, 5],
      [() => this.#known.lease(random), 4],
      [() => null, 1],
    ]);
    return {
      op: "put",
      key: random.chance(0.01) ? "" : key,
      value: random.chance(0.1) ? null : this.#known.fresh(),
      lease: lease(),
      prev: random.chance(0.4),
    };
  }

  /** Of late. */
  #revision(): number {
    return Math.max(0, this.#known.revision - this.#random.below(30));
  }

  #compare(): Compare {
    const random = this.#random;
    const target = random.pick(["value", "version", "create", "mod", "lease"] as const);
    const to = {
      value: () => this.#known.old(random),
      version: () => random.below(4),
      create: () => this.#revision(),
      mod: () => (random.chance(0.3) ? 0 : this.#revision()),
      lease: () => (random.chance(0.5) ? 0 : this.#known.lease(random)),
    }[target]();
    const keys = random.chance(0.1) ? { key: "\0", end: "\0" } : this.#selected();
    return { ...keys, target, sign: random.pick(["=", "!=", ">", "<"]), to };
  }

  #op(depth: number): Op {
    const random = this.#random;
    return random.weighted<() => Op>([
      [() => this.#put(random.pick(this.#keys)), 5],
      [() => this.#delete(), 2],
      [() => this.range(), 2],
      [() => (depth < 2 ? this.#txn(depth + 1) : this.range()), 2],
    ])();
  }

  #txn(depth: number): Txn {
    const random = this.#random;
    const some = <T>(most: number, draw: () => T): T[] => Array.from({ length: random.below(most + 1) }, draw);
    const op = (): Op => this.#op(depth);
    return { op: "txn", compare: some(2, () => this.#compare()), success: some(3, op), failure: some(3, op) };
  }

  /** A nested compare of what was just put. */
  #ownWrite(): Txn {
    const random = this.#random;
    const put = this.#put(random.pick(this.#keys));
    const sign = random.pick(["=", "!="] as const);
    const nested: Txn = {
      op: "txn",
      compare: [{ key: put.key, end: "", target: "version", sign, to: random.below(3) }],
      success: [this.range()],
      failure: [this.range(), this.range()],
    };
    return { op: "txn", compare: [], success: [put, nested], failure: [] };
  }

  /** Both nested, in the one order that etcd lets pass, or beside each other, which it does not. */
  #putThenDeleted(): Txn {
    const random = this.#random;
    const key = random.pick(this.#keys);
    const nested = (op: Op): Txn => ({ op: "txn", compare: [], success: [op], failure: [] });
    const gone: Op = { op: "delete", key, end: "", prev: true };
    const [put, again] = [this.#put(key), this.#put(key)];
    return {
      op: "txn",
      compare: [],
      success: random.pick([
        [nested(put), nested(gone)],
        [nested(put), nested(again)],
        [nested(gone), put],
      ]),
      failure: [],
    };
  }

  /** Its second part asks for what may not be there: then there is no first part either. */
  #half(): Txn {
    const random = this.#random;
    const [key, other] = [random.pick(this.#keys), random.pick(this.#keys)];
    const keeps: Put = { ...this.#put(other), value: null };
    return { op: "txn", compare: [], success: [{ ...this.#put(key), value: this.#known.fresh() }, keeps], failure: [] };
  }
}
