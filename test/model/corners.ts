/** Counts what a run of requests went through: every kind of operation, and every corner of etcd's that has its own rule. */
import type {
  Compact,
  Compare,
  Event,
  Keys,
  LeaseOp,
  Op,
  Range,
  Request,
  Response,
  Result,
  Row,
  Txn,
  Watch,
} from "./etcd.ts";

const KINDS = [
  "put",
  "delete",
  "range",
  "txn",
  "nested txn",
  "compare",
  "lease grant",
  "lease alive",
  "lease revoke",
  "time that passes",
  "range at a revision",
  "versions of a key",
  "compaction",
  "watch",
] as const;
const CORNERS = [
  "an empty key",
  "a key written twice",
  "a put that keeps the value",
  "a put that keeps the lease",
  "a put that keeps the value or the lease of no key",
  "a put with no such lease",
  "a lease that is there already",
  "no such lease",
  "keys of a lease that was due",
  "keys of a lease that was revoked",
  "several leases due at once",
  "a key that leaves its lease by a put",
  "a key that leaves its lease by a delete",
  "a key deleted and put again",
  "a delete of nothing",
  "a delete of several keys",
  "a previous row",
  "a range end of a zero byte",
  "a range that ends before it begins",
  "a compare of no key",
  "a compare of the value of no key",
  "a compare of several keys",
  "a branch of failure",
  "a nested branch that the outer one's writes would have changed",
  "a transaction that changes nothing",
  "events of several keys at one revision",
  "put and deleted at one revision",
  "rows left out by a limit",
  "rows left out by a bound",
  "rows in descending order",
  "keys without values",
  "a count alone",
  "a revision to come",
  "an earlier state that was another",
  "a version that is a delete",
  "versions left out by a limit",
  "a compacted revision",
  "a revision that was compacted already",
  "a compaction to come",
  "a watch at a compacted revision",
  "versions of a key after a compaction",
  "a state at the very revision of a compaction",
  "a lease that ends after a key of it was deleted",
  "a key put again that outlives the lease it had",
  "a watch from the past",
  "a watch at a revision to come",
  "a filtered watch that is told something",
] as const;

export class Corners {
  readonly counts = new Map<string, number>([...KINDS, ...CORNERS].map((name) => [name, 0]));
  readonly #deleted = new Set<string>();
  #compacted = 0;
  /** By lease, the keys of it that were deleted before it ended. */
  readonly #left = new Map<number, Set<string>>();
  #requests = 0;

  get requests(): number {
    return this.#requests;
  }

  /**
   * @param before the rows that the request found
   * @param ended leases that there were before it, and are no more
   */
  note(op: Request, before: ReadonlyMap<string, Row>, result: Result, ended: readonly number[]): void {
    this.#requests++;
    for (const lease of ended) this.#outlived(lease, before);
    if (op.op === "watch") return this.#watch(op, result);
    if (op.op === "versions") return this.#versions(result);
    if (op.op === "compact") return this.#compaction(op, result);
    if (op.op === "range" && op.at > 0) this.#past(op, before, result);
    if (isLeaseOp(op)) this.#count(op.op === "pass" ? "time that passes" : `lease ${op.op}`);
    else this.#kinds(op, before, false);
    if ("error" in result) {
      if (result.error === "KEY_EMPTY") this.#count("an empty key");
      if (result.error === "DUPLICATE_KEY") this.#count("a key written twice");
      if (result.error === "NOT_FOUND") this.#count("a put that keeps the value or the lease of no key");
      if (result.error === "LEASE_EXISTS") this.#count("a lease that is there already");
      if (result.error === "LEASE_NOT_FOUND") this.#count(isLeaseOp(op) ? "no such lease" : "a put with no such lease");
      return;
    }
    const events = result.records.flat();
    if (isLeaseOp(op)) {
      if (events.length > 0)
        this.#count(op.op === "pass" ? "keys of a lease that was due" : "keys of a lease that was revoked");
      if (result.records.length > 1) this.#count("several leases due at once");
    } else {
      this.#answer(op, result.response, before);
      this.#detached(op, events, before);
    }
    if (op.op === "txn" && events.length === 0) this.#count("a transaction that changes nothing");
    if (new Set(events.map(({ key }) => key)).size > 1) this.#count("events of several keys at one revision");
    if (new Set(events.map(({ key }) => key)).size < events.length) this.#count("put and deleted at one revision");
    for (const { type, key } of events) {
      if (type === "delete") this.#deleted.add(key);
      else if (this.#deleted.delete(key)) this.#count("a key deleted and put again");
    }
  }

  #outlived(lease: number, before: ReadonlyMap<string, Row>): void {
    const left = this.#left.get(lease) ?? new Set();
    this.#left.delete(lease);
    if (left.size > 0) this.#count("a lease that ends after a key of it was deleted");
    for (const key of left) {
      const row = before.get(key);
      if (row !== undefined && row.lease !== lease) this.#count("a key put again that outlives the lease it had");
    }
  }

  #watch({ from, filter }: Watch, result: Result): void {
    this.#count("watch");
    if ("error" in result) this.#count("a watch at a compacted revision");
    if ("error" in result || result.response.op !== "watch") return;
    if (from > result.revision) this.#count("a watch at a revision to come");
    else if (result.response.events.length > 0) this.#count("a watch from the past");
    if (filter !== null && result.response.events.length > 0) this.#count("a filtered watch that is told something");
  }

  #versions(result: Result): void {
    this.#count("versions of a key");
    if (this.#compacted > 0) this.#count("versions of a key after a compaction");
    if ("error" in result || result.response.op !== "versions") return;
    if (result.response.more) this.#count("versions left out by a limit");
    if (result.response.versions.some(({ version }) => version === 0)) this.#count("a version that is a delete");
  }

  #compaction({ revision }: Compact, result: Result): void {
    this.#count("compaction");
    if (!("error" in result)) this.#compacted = revision;
    else this.#count(result.error === "COMPACTED" ? "a revision that was compacted already" : "a compaction to come");
  }

  #past(op: Range, before: ReadonlyMap<string, Row>, result: Result): void {
    this.#count("range at a revision");
    if (op.at === this.#compacted) this.#count("a state at the very revision of a compaction");
    if ("error" in result) this.#count(result.error === "COMPACTED" ? "a compacted revision" : "a revision to come");
    else if (
      result.response.op === "range" &&
      op.only === "rows" &&
      result.response.rows.some(({ key, mod }) => before.get(key)?.mod !== mod)
    )
      this.#count("an earlier state that was another");
  }

  /** A new state: nothing was deleted there. */
  restart(): void {
    this.#deleted.clear();
    this.#compacted = 0;
    this.#left.clear();
  }

  #kinds(op: Op, before: ReadonlyMap<string, Row>, nested: boolean): void {
    this.#count(op.op === "txn" && nested ? "nested txn" : op.op);
    if (op.op === "put") {
      if (op.value === null) this.#count("a put that keeps the value");
      if (op.lease === null) this.#count("a put that keeps the lease");
      return;
    }
    if (op.op !== "txn") return this.#keys(op);
    for (const compare of op.compare) this.#compare(compare, before);
    for (const inner of [...op.success, ...op.failure]) this.#kinds(inner, before, true);
  }

  /** Keys that had a lease and have it no more, though it did not end. */
  #detached(op: Op, events: readonly Event[], before: ReadonlyMap<string, Row>): void {
    for (const { type, key } of events) {
      const lease = before.get(key)?.lease ?? 0;
      if (lease === 0) continue;
      if (type === "delete") {
        this.#count("a key that leaves its lease by a delete");
        this.#left.set(lease, (this.#left.get(lease) ?? new Set()).add(key));
      } else if (op.op === "put") this.#count("a key that leaves its lease by a put");
    }
  }

  #keys({ key, end }: Keys): void {
    if (end === "\0") this.#count("a range end of a zero byte");
    else if (end !== "" && end < key) this.#count("a range that ends before it begins");
  }

  #compare(compare: Compare, before: ReadonlyMap<string, Row>): void {
    this.#count("compare");
    this.#keys(compare);
    const { key, end, target } = compare;
    const selected = [...before.keys()].filter((one) =>
      end === "" ? one === key : one >= key && (end === "\0" || one < end),
    );
    if (selected.length > 1) this.#count("a compare of several keys");
    if (selected.length === 0)
      this.#count(target === "value" ? "a compare of the value of no key" : "a compare of no key");
  }

  #answer(op: Op, response: Response, before: ReadonlyMap<string, Row>): void {
    if (op.op === "txn" && response.op === "txn") return this.#txn(op, response, before);
    if (response.op === "put" && response.prev !== null) this.#count("a previous row");
    if (response.op === "delete") {
      if (response.deleted === 0) this.#count("a delete of nothing");
      if (response.deleted > 1) this.#count("a delete of several keys");
      if (response.prev.length > 0) this.#count("a previous row");
    }
    if (op.op !== "range" || response.op !== "range") return;
    if (response.more) this.#count("rows left out by a limit");
    if (!response.more && op.only !== "count" && response.rows.length < response.count)
      this.#count("rows left out by a bound");
    if (op.descending && response.rows.length > 1) this.#count("rows in descending order");
    if (op.only === "keys" && response.rows.length > 0) this.#count("keys without values");
    if (op.only === "count") this.#count("a count alone");
  }

  #txn(op: Txn, response: Extract<Response, { op: "txn" }>, before: ReadonlyMap<string, Row>): void {
    if (!response.succeeded) this.#count("a branch of failure");
    const branch = response.succeeded ? op.success : op.failure;
    const written = new Set<string>();
    for (const [i, inner] of branch.entries()) {
      const answer = response.responses[i];
      if (answer !== undefined) this.#answer(inner, answer, before);
      if (inner.op === "put") written.add(inner.key);
      const looksAt = inner.op === "txn" ? inner.compare.filter(({ end }) => end === "") : [];
      // A put raises the version by one: what compares it for equality with what was, or was to be, comes out otherwise.
      const changed = looksAt.some(({ key, target, sign, to }) => {
        const version = before.get(key)?.version ?? 0;
        return (
          target === "version" &&
          (sign === "=" || sign === "!=") &&
          written.has(key) &&
          Number(to) >= version &&
          Number(to) <= version + 1
        );
      });
      if (changed) this.#count("a nested branch that the outer one's writes would have changed");
    }
  }

  #count(name: string): void {
    this.counts.set(name, (this.counts.get(name) ?? 0) + 1);
  }
}

const isLeaseOp = (op: Request): op is LeaseOp =>
  op.op === "grant" || op.op === "alive" || op.op === "revoke" || op.op === "pass";
