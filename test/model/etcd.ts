/**
 * etcd v3's keys in memory, from its documentation: what a put, a delete, a range and a transaction do. Plain on purpose:
 * one map, copied before each transaction, and every rule where it is used. Shares no code with core, nor its types.
 *
 * Keys and values are strings of one character a byte. A request that etcd refuses is refused by the name of its error.
 */

export interface Row {
  readonly value: string;
  readonly create: number;
  readonly mod: number;
  readonly version: number;
  /** 0 for none. */
  readonly lease: number;
}
export type KeyedRow = Row & { readonly key: string };

export interface Keys {
  readonly key: string;
  /** "": the one key; "\0": all from the key on. */
  readonly end: string;
}
export type Sort = "key" | "version" | "create" | "mod" | "value";
export interface Range extends Keys {
  readonly op: "range";
  readonly limit: number;
  readonly sort: Sort;
  readonly descending: boolean;
  readonly only: "rows" | "keys" | "count";
  /** The revision to read at; 0: the present. */
  readonly at: number;
  readonly minMod: number;
  readonly maxMod: number;
  readonly minCreate: number;
  readonly maxCreate: number;
}
export interface Put {
  readonly op: "put";
  readonly key: string;
  /** Null: etcd's ignore_value. */
  readonly value: string | null;
  /** 0: none; null: etcd's ignore_lease. */
  readonly lease: number | null;
  readonly prev: boolean;
}
export interface Delete extends Keys {
  readonly op: "delete";
  readonly prev: boolean;
}
export interface Compare extends Keys {
  readonly target: "value" | "version" | "create" | "mod" | "lease";
  readonly sign: "=" | "!=" | ">" | "<";
  readonly to: string | number;
}
export interface Txn {
  readonly op: "txn";
  readonly compare: readonly Compare[];
  readonly success: readonly Op[];
  readonly failure: readonly Op[];
}
export type Op = Range | Put | Delete | Txn;
/** What is asked of leases, and time that passes. */
export type LeaseOp =
  | { readonly op: "grant"; readonly id: number; readonly ttl: number }
  | { readonly op: "alive" | "revoke"; readonly id: number }
  | { readonly op: "pass"; readonly ms: number };
/** What was under a key, newest first: not etcd's, which keeps it and tells it to nobody. */
export interface Versions {
  readonly op: "versions";
  readonly key: string;
  readonly limit: number;
  /** 0: from the newest on. */
  readonly before: number;
}
/** Reads and watches below the revision are refused from now on. */
export interface Compact {
  readonly op: "compact";
  readonly revision: number;
}
/** What a watch is told by now. */
export interface Watch extends Keys {
  readonly op: "watch";
  /** The first revision, which may be still to come. */
  readonly from: number;
  readonly filter: "noput" | "nodelete" | null;
}
export type Request = Op | LeaseOp | Versions | Compact | Watch;
/** What is asked, and may change something. */
export type Command = Exclude<Request, Range | Versions | Watch | { readonly op: "pass" }>;
/** A row, and when it became so; `version` 0: it was deleted. */
export type Version = Row & { readonly revision: number };

export type Response =
  | { readonly op: "put"; readonly prev: KeyedRow | null }
  | { readonly op: "delete"; readonly deleted: number; readonly prev: readonly KeyedRow[] }
  | { readonly op: "range"; readonly rows: readonly KeyedRow[]; readonly more: boolean; readonly count: number }
  | { readonly op: "txn"; readonly succeeded: boolean; readonly responses: readonly Response[] }
  | { readonly op: "lease" | "compact" }
  | { readonly op: "versions"; readonly versions: readonly Version[]; readonly more: boolean }
  | { readonly op: "watch"; readonly events: readonly WatchEvent[] };

export interface Event {
  readonly type: "put" | "delete";
  readonly key: string;
  readonly value: string;
  /** That the key has from here on; 0 for none. */
  readonly lease: number;
}

export type WatchEvent = Event & { readonly revision: number };

export type Result =
  | {
      readonly error:
        | "KEY_EMPTY"
        | "DUPLICATE_KEY"
        | "NOT_FOUND"
        | "LEASE_NOT_FOUND"
        | "LEASE_EXISTS"
        | "REVISION_AHEAD"
        | "COMPACTED";
    }
  /** `records`: the events of each revision that it took. */
  | { readonly revision: number; readonly response: Response; readonly records: readonly (readonly Event[])[] };

interface Lease {
  readonly ttl: number;
  readonly due: number;
}

export class EtcdModel {
  revision = 0;
  rows = new Map<string, Row>();
  /** What there was after each revision. */
  readonly past: ReadonlyMap<string, Row>[] = [new Map()];
  compacted = 0;
  /** What happened at each revision. */
  readonly events: (readonly Event[])[] = [[]];
  time = 0;
  readonly leases = new Map<number, Lease>();

  run(request: Request): Result {
    switch (request.op) {
      case "versions":
        return this.#versions(request);
      case "compact":
        if (request.revision <= this.compacted) return { error: "COMPACTED" };
        if (request.revision > this.revision) return { error: "REVISION_AHEAD" };
        this.compacted = request.revision;
        return { revision: this.revision, response: { op: "compact" }, records: [] };
      case "watch":
        return this.#watch(request);
      case "put":
      case "delete":
      case "range":
      case "txn":
        return this.#keys(request);
      case "grant":
        if (this.leases.has(request.id)) return { error: "LEASE_EXISTS" };
        return this.#prolong(request.id, request.ttl);
      case "alive": {
        const lease = this.leases.get(request.id);
        return lease === undefined ? { error: "LEASE_NOT_FOUND" } : this.#prolong(request.id, lease.ttl);
      }
      case "revoke": {
        if (!this.leases.has(request.id)) return { error: "LEASE_NOT_FOUND" };
        const records = this.#end(request.id);
        return { revision: this.revision, response: { op: "lease" }, records };
      }
      case "pass": {
        this.time += request.ms;
        const due = [...this.leases].filter(([, lease]) => lease.due <= this.time);
        const records = due
          .sort(([a, first], [b, second]) => first.due - second.due || a - b)
          .flatMap(([id]) => this.#end(id));
        return { revision: this.revision, response: { op: "lease" }, records };
      }
    }
  }

  /** Its keys, in order. */
  heldBy(id: number): string[] {
    return this.sorted()
      .filter(({ lease }) => lease === id)
      .map(({ key }) => key);
  }

  #prolong(id: number, ttl: number): Result {
    this.leases.set(id, { ttl, due: this.time + ttl });
    return { revision: this.revision, response: { op: "lease" }, records: [] };
  }

  /** Deletes what it holds, at one revision. */
  #end(id: number): (readonly Event[])[] {
    const keys = this.heldBy(id);
    this.leases.delete(id);
    if (keys.length === 0) return [];
    for (const key of keys) this.rows.delete(key);
    const events = keys.map((key): Event => ({ type: "delete", key, value: "", lease: 0 }));
    this.#advance(events);
    return [events];
  }

  /** A revision is taken by what is no key's or lease's business. */
  take(): void {
    this.#advance([]);
  }

  #advance(events: readonly Event[]): void {
    this.revision++;
    this.events[this.revision] = events;
    this.past[this.revision] = new Map(this.rows);
  }

  /** The revisions at which what is under the key became another. */
  #versions({ key, limit, before }: Versions): Result {
    const versions: Version[] = [];
    for (let at = 1; at <= this.revision && (before === 0 || at < before); at++) {
      const is = this.past[at]?.get(key);
      if (is !== undefined && is.mod === at) versions.unshift({ ...is, revision: at });
      if (is === undefined && this.events[at]?.some((event) => event.key === key) === true)
        versions.unshift({ value: "", create: at, mod: at, version: 0, lease: 0, revision: at });
    }
    // Of what was before a compaction, the state at it is left: it is told whatever the page begins with.
    const base = this.past[this.compacted]?.get(key)?.mod;
    const kept = versions.filter(({ revision }) => revision >= this.compacted || revision === base);
    const response: Response = { op: "versions", versions: kept.slice(0, limit), more: kept.length > limit };
    return { revision: this.revision, response, records: [] };
  }

  #watch({ from, filter, ...keys }: Watch): Result {
    if (from < this.compacted) return { error: "COMPACTED" };
    const left = filter === "noput" ? "put" : filter === "nodelete" ? "delete" : null;
    const events = this.events.flatMap((all, at) =>
      at < from
        ? []
        : all
            .filter(({ type, key }) => covers(keys, key) && type !== left)
            .map((event) => ({ ...event, revision: at })),
    );
    return { revision: this.revision, response: { op: "watch", events }, records: [] };
  }

  #keys(op: Op): Result {
    if (op.op === "range" && op.at > 0) return this.#rangeAt(op);
    // What is no transaction is one of that operation alone.
    const txn: Txn = op.op === "txn" ? op : { op: "txn", compare: [], success: [op], failure: [] };
    if (hasEmptyKey(txn)) return { error: "KEY_EMPTY" };
    if ([txn.success, txn.failure].some(writesTwice)) return { error: "DUPLICATE_KEY" };
    const before = new Map(this.rows);
    const events: Event[] = [];
    const missing = this.#missing(txn, before);
    if (missing !== null) return { error: missing };
    const response = this.#txn(txn, before, events);
    if (events.length > 0) this.#advance(events);
    const answer = op.op === "txn" ? response : response.responses[0];
    if (answer === undefined) throw new Error("no response");
    return { revision: this.revision, response: answer, records: events.length === 0 ? [] : [events] };
  }

  #rangeAt(op: Range): Result {
    if (op.at > this.revision) return { error: "REVISION_AHEAD" };
    if (op.at < this.compacted) return { error: "COMPACTED" };
    const response = range(this.past[op.at] ?? new Map(), op);
    return { revision: this.revision, response, records: [] };
  }

  sorted(): KeyedRow[] {
    return select(this.rows, { key: "\0", end: "\0" });
  }

  /** The first that a put, on the way that the compares lead, would need and has not: a row to keep, or its lease. */
  #missing(txn: Txn, before: ReadonlyMap<string, Row>): "NOT_FOUND" | "LEASE_NOT_FOUND" | null {
    for (const op of holdAll(txn, before) ? txn.success : txn.failure) {
      if (op.op === "txn") {
        const missing = this.#missing(op, before);
        if (missing !== null) return missing;
      } else if (op.op === "put") {
        if ((op.value === null || op.lease === null) && !before.has(op.key)) return "NOT_FOUND";
        if (op.lease !== null && op.lease !== 0 && !this.leases.has(op.lease)) return "LEASE_NOT_FOUND";
      }
    }
    return null;
  }

  #txn(txn: Txn, before: ReadonlyMap<string, Row>, events: Event[]): Extract<Response, { op: "txn" }> {
    const succeeded = holdAll(txn, before);
    const branch = succeeded ? txn.success : txn.failure;
    return { op: "txn", succeeded, responses: branch.map((op) => this.#op(op, before, events)) };
  }

  #op(op: Op, before: ReadonlyMap<string, Row>, events: Event[]): Response {
    if (op.op === "txn") return this.#txn(op, before, events);
    if (op.op === "range") return range(this.rows, op);
    const next = this.revision + 1;
    if (op.op === "put") {
      const old = this.rows.get(op.key);
      const value = op.value ?? old?.value ?? "";
      const lease = op.lease ?? old?.lease ?? 0;
      this.rows.set(op.key, {
        value,
        create: old === undefined ? next : old.create,
        mod: next,
        version: old === undefined ? 1 : old.version + 1,
        lease,
      });
      events.push({ type: "put", key: op.key, value, lease });
      return { op: "put", prev: op.prev && old !== undefined ? { key: op.key, ...old } : null };
    }
    const gone = select(this.rows, op);
    for (const { key } of gone) {
      this.rows.delete(key);
      events.push({ type: "delete", key, value: "", lease: 0 });
    }
    return { op: "delete", deleted: gone.length, prev: op.prev ? gone : [] };
  }
}

/** Whether these keys hold the other one. */
export const covers = ({ key, end }: Keys, other: string): boolean =>
  end === "" ? other === key : other >= key && (end === "\0" || other < end);

const select = (rows: ReadonlyMap<string, Row>, keys: Keys): KeyedRow[] =>
  [...rows]
    .filter(([key]) => covers(keys, key))
    .map(([key, row]) => ({ key, ...row }))
    .sort((a, b) => ascending(a.key, b.key));

const ascending = (a: string | number, b: string | number): number => (a < b ? -1 : a > b ? 1 : 0);

/** What a range tells of these rows. */
export function range(rows: ReadonlyMap<string, Row>, ask: Range): Response {
  const all = select(rows, ask);
  if (ask.only === "count") return { op: "range", rows: [], more: false, count: all.length };
  const wanted = all
    .filter((row) => row.mod >= ask.minMod && (ask.maxMod === 0 || row.mod <= ask.maxMod))
    .filter((row) => row.create >= ask.minCreate && (ask.maxCreate === 0 || row.create <= ask.maxCreate))
    .sort((a, b) => (ask.descending ? ascending(b[ask.sort], a[ask.sort]) : ascending(a[ask.sort], b[ask.sort])));
  const told = ask.limit === 0 ? wanted : wanted.slice(0, ask.limit);
  return {
    op: "range",
    rows: ask.only === "keys" ? told.map((row) => ({ ...row, value: "" })) : told,
    more: told.length < wanted.length,
    count: all.length,
  };
}

const holdAll = (txn: Txn, before: ReadonlyMap<string, Row>): boolean =>
  txn.compare.every((compare) => {
    const found: readonly Row[] = select(before, compare);
    if (found.length > 0) return found.every((row) => holds(compare, row));
    return compare.target !== "value" && holds(compare, { value: "", create: 0, mod: 0, version: 0, lease: 0 });
  });

function holds({ target, sign, to }: Compare, row: Row): boolean {
  const order = ascending(row[target], to);
  return { "=": order === 0, "!=": order !== 0, ">": order > 0, "<": order < 0 }[sign];
}

const hasEmptyKey = (txn: Txn): boolean =>
  txn.compare.some(({ key }) => key === "") ||
  [...txn.success, ...txn.failure].some((op) => (op.op === "txn" ? hasEmptyKey(op) : op.key === ""));

/** A write, and where it stands: the number of each list's item on the way to it, and the branch that this leads into. */
interface Write {
  readonly op: Put | Delete;
  readonly way: readonly string[];
}

const writesOf = (branch: readonly Op[], way: readonly string[]): Write[] =>
  branch.flatMap((op, i): Write[] => {
    const at = [...way, String(i)];
    if (op.op === "txn")
      return [...writesOf(op.success, [...at, "success"]), ...writesOf(op.failure, [...at, "failure"])];
    return op.op === "range" ? [] : [{ op, way: at }];
  });

/** Any two writes of one branch that meet, both of them deletes excepted. */
function writesTwice(branch: readonly Op[]): boolean {
  const writes = writesOf(branch, []);
  return writes.some((first, i) => writes.slice(i + 1).some((second) => clash(first, second)));
}

function clash(first: Write, second: Write): boolean {
  const parts = first.way.findIndex((step, i) => step !== second.way[i]);
  // They exclude each other.
  if (["success", "failure"].includes(first.way[parts] ?? "")) return false;
  const [a, b] = [first.op, second.op];
  if (a.op === "delete" && b.op === "delete") return false;
  if (a.op === "put" && b.op === "put") return a.key === b.key;
  // The one order that etcd lets pass: put by a nested transaction, deleted by a later one beside it.
  const bothNested = first.way.length > parts + 1 && second.way.length > parts + 1;
  if (a.op === "put" && bothNested) return false;
  return a.op === "put"
    ? b.op === "delete" && covers(b, a.key)
    : b.op === "put" && a.op === "delete" && covers(a, b.key);
}
