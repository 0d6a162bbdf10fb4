/** The state machine beside the model: the same requests, and what either says of them. */
import { decode, encode } from "@openclaw/core/codec.ts";
import { OpenClawError } from "@openclaw/core/errors.ts";
import { isLeaseId, type LeaseId, revision } from "@openclaw/core/ids.ts";
import type { UserCommand } from "@openclaw/core/state-machine/command.ts";
import { outcomeTuple, readOutcome } from "@openclaw/core/state-machine/command-codec.ts";
import {
  type Compare,
  type KeySelector,
  type KeyValue,
  type Operation,
  plainRange,
  type RangeRequest,
  type Response,
  selectKeys,
} from "@openclaw/core/state-machine/operation.ts";
import { expect } from "vitest";
import { OneCluster, txn as txnCommand } from "../unit/state-machine/one-cluster.ts";
import {
  EtcdModel,
  type KeyedRow,
  type Keys,
  type Compare as ModelCompare,
  type Response as ModelResponse,
  type Op,
  type Range,
  type Request,
  type Versions,
} from "./etcd.ts";

const bytes = (text: string): Uint8Array => Uint8Array.from(text, (character) => character.charCodeAt(0));
const text = (of: Uint8Array): string => Array.from(of, (byte) => String.fromCharCode(byte)).join("");

export class BesideTheModel {
  readonly model = new EtcdModel();
  readonly #site = new OneCluster("california");

  /** Runs a request on both, and fails where they differ in outcome, revision, events or what is there afterwards. */
  run(op: Request): ReturnType<EtcdModel["run"]> {
    const before = this.#site.position.revision;
    const expected = this.model.run(op);
    expect(this.#answer(op), JSON.stringify(op)).toEqual(
      "error" in expected ? { error: expected.error } : { revision: expected.revision, response: expected.response },
    );
    // What is removed now, begun or left to the next compaction, makes no difference to what is told.
    if (op.op === "compact") this.#site.prune(PRUNE_STEPS[op.revision % PRUNE_STEPS.length]);
    const news = this.#site.records.filter(({ revision: at }) => at > before);
    const written = news.map((record) =>
      record.events.map((event) => {
        if (event.kind === "change") throw new Error("no document was changed");
        const value = event.kind === "put" ? text(event.value) : "";
        return { type: event.kind, key: text(event.key), value };
      }),
    );
    expect(written).toEqual("error" in expected ? [] : expected.records);
    const { rows, revision: at } = this.#site.query({ kind: "range", origin: null, ...plainRange(bytes(""), null, 0) });
    expect(rows.map(rowOf)).toEqual(this.model.sorted());
    expect(at).toBe(this.model.revision);
    for (const id of [1, 2, 3]) {
      const { lease } = this.#site.query({ kind: "lease", lease: leaseOf(id) });
      const known = this.model.leases.get(id);
      expect(lease === null ? undefined : { ...lease, keys: lease.keys.map(text) }).toEqual(
        known && { ttlMs: known.ttl, remainingMs: known.due - this.model.time, keys: this.model.heldBy(id) },
      );
    }
    return expected;
  }

  #answer(op: Request): unknown {
    if (op.op === "range") return op.at > 0 ? refusedAs(() => this.#askPast(op)) : this.#ask(op);
    if (op.op === "versions") return this.#askVersions(op);
    if (op.op !== "pass") return this.#execute(op);
    this.#site.pass(op.ms);
    return { revision: this.#site.position.revision, response: { op: "lease" } };
  }

  #ask(range: Range): unknown {
    const answer = this.#site.query({ kind: "range", origin: null, ...rangeOf(range) });
    return { revision: answer.revision, response: responseOf({ kind: "range", ...answer }) };
  }

  #askPast(range: Range): unknown {
    const answer = this.#site.history({ kind: "range", origin: null, at: revision(range.at), ...rangeOf(range) });
    return { revision: this.#site.position.revision, response: responseOf({ kind: "range", ...answer }) };
  }

  #askVersions({ key, limit, before }: Versions): unknown {
    const asked = before === 0 ? null : revision(before);
    const question = { kind: "versions", origin: null, key: bytes(key), limit, before: asked } as const;
    const { versions, more } = this.#site.history(question);
    const told = versions.map((one) => ({
      value: text(one.value ?? new Uint8Array(0)),
      create: one.createRevision,
      mod: one.modRevision,
      version: one.version,
      lease: one.lease ?? 0,
      revision: one.revision,
    }));
    return { revision: this.#site.position.revision, response: { op: "versions", versions: told, more } };
  }

  #execute(op: Commanded): unknown {
    const outcome = this.#site.run(commandOf(op));
    // What a session remembers and a link carries is the same outcome.
    const carried = readOutcome(decode(encode(outcomeTuple(outcome))));
    if (!carried.ok) return { error: carried.code };
    const { response } = carried;
    return {
      revision: carried.revision,
      response: response === null ? bare(op) : responseOf(response),
    };
  }
}

/** What is told by an outcome that has no response. */
function bare({ op }: Request): ModelResponse {
  if (op === "put") return { op, prev: null };
  return op === "compact" ? { op } : { op: "lease" };
}

const PRUNE_STEPS = [Number.POSITIVE_INFINITY, 0, 1, 2];

function leaseOf(id: number): LeaseId {
  if (!isLeaseId(id)) throw new Error(`no lease: ${id}`);
  return id;
}

type Commanded = Exclude<Request, Range | Versions | { op: "pass" }>;

/** What was thrown, as the model tells it. */
function refusedAs(ask: () => unknown): unknown {
  try {
    return ask();
  } catch (error) {
    if (error instanceof OpenClawError) return { error: error.code };
    throw error;
  }
}

function commandOf(op: Commanded): UserCommand {
  switch (op.op) {
    case "grant":
      return { kind: "leaseGrant", lease: leaseOf(op.id), ttlMs: op.ttl };
    case "alive":
      return { kind: "leaseKeepAlive", lease: leaseOf(op.id) };
    case "revoke":
      return { kind: "leaseRevoke", lease: leaseOf(op.id) };
    case "compact":
      return { kind: "compact", revision: revision(op.revision) };
    case "put":
      return { kind: "put", key: bytes(op.key), value: bytes(op.value ?? "") };
    case "delete":
      return { kind: "deleteRange", keys: keysOf(op) };
    case "txn":
      return txnCommand(op.compare.map(compareOf), op.success.map(operationOf), op.failure.map(operationOf));
  }
}

function operationOf(op: Op): Operation {
  switch (op.op) {
    case "put":
      return {
        kind: "put",
        key: bytes(op.key),
        value: op.value === null ? null : bytes(op.value),
        lease: op.lease === null ? "keep" : op.lease === 0 ? null : leaseOf(op.lease),
        previous: op.prev,
      };
    case "delete":
      return { kind: "deleteRange", keys: keysOf(op), previous: op.prev };
    case "range":
      return { kind: "range", ...rangeOf(op) };
    case "txn":
      return {
        kind: "txn",
        compares: op.compare.map(compareOf),
        success: op.success.map(operationOf),
        failure: op.failure.map(operationOf),
      };
  }
}

const keysOf = ({ key, end }: Keys): KeySelector => selectKeys(bytes(key), bytes(end));

const SORTS = {
  key: "key",
  version: "version",
  create: "createRevision",
  mod: "modRevision",
  value: "value",
} as const;
const NUMBERS = { version: "version", create: "createRevision", mod: "modRevision", lease: "lease" } as const;
const SIGNS = { "=": "equal", "!=": "notEqual", ">": "greater", "<": "less" } as const;

const rangeOf = (range: Range): RangeRequest => ({
  keys: keysOf(range),
  limit: range.limit,
  sort: { target: SORTS[range.sort], order: range.descending ? "descending" : "ascending" },
  view: range.only,
  counted: true,
  bounds: {
    minModRevision: revision(range.minMod),
    maxModRevision: revision(range.maxMod),
    minCreateRevision: revision(range.minCreate),
    maxCreateRevision: revision(range.maxCreate),
  },
});

function compareOf({ target, sign, to, ...keys }: ModelCompare): Compare {
  const common = { keys: keysOf(keys), result: SIGNS[sign] };
  if (target === "value") return { target, ...common, value: bytes(String(to)) };
  return { target: NUMBERS[target], ...common, number: Number(to) };
}

const rowOf = (row: KeyValue): KeyedRow => ({
  key: text(row.key),
  value: text(row.value),
  create: row.createRevision,
  mod: row.modRevision,
  version: row.version,
  lease: row.lease ?? 0,
});

function responseOf(response: Response): ModelResponse {
  switch (response.kind) {
    case "put":
      return { op: "put", prev: response.previous === null ? null : rowOf(response.previous) };
    case "deleteRange":
      return { op: "delete", deleted: response.deleted, prev: response.previous.map(rowOf) };
    case "range":
      return { op: "range", rows: response.rows.map(rowOf), more: response.more, count: response.count ?? -1 };
    case "txn":
      return { op: "txn", succeeded: response.succeeded, responses: response.responses.map(responseOf) };
  }
}
