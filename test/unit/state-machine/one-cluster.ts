/** A cluster of one replica without Raft: commands in, results, rows and ledger out. */
import { hash } from "node:crypto";
import { toHex, utf8, utf8Text } from "@openclaw/core/bytes.ts";
import { History } from "@openclaw/core/history/history.ts";
import type { HistoryAnswer, HistoryQuery } from "@openclaw/core/history/history-query.ts";
import type {
  ActorId,
  ChangeHash,
  ClusterId,
  Epoch,
  Index,
  LeaseId,
  LinkId,
  Revision,
  SessionId,
} from "@openclaw/core/ids.ts";
import {
  index,
  isActorId,
  isChangeHash,
  isClusterId,
  isLeaseId,
  isLinkId,
  isSessionId,
  revision,
  seq,
  term,
} from "@openclaw/core/ids.ts";
import type { DocumentChange, LedgerRecord, LinkItem } from "@openclaw/core/ledger/record.ts";
import { decodeRecord } from "@openclaw/core/ledger/record-codec.ts";
import type { Sha256, StoredRecord } from "@openclaw/core/ports.ts";
import type { Entry } from "@openclaw/core/raft/message.ts";
import { APPLY_VERSIONS, type ApplyVersions, createApply } from "@openclaw/core/state-machine/apply.ts";
import type {
  Command,
  CommandHeader,
  CommandResult,
  Outcome,
  SystemCommand,
  UserCommand,
} from "@openclaw/core/state-machine/command.ts";
import { encodeCommands } from "@openclaw/core/state-machine/command-codec.ts";
import { type Compare, type KeyValue, type Operation, plainRange } from "@openclaw/core/state-machine/operation.ts";
import { initialWrites } from "@openclaw/core/state-machine/position.ts";
import type { Answer, Query, RowsHash } from "@openclaw/core/state-machine/query.ts";
import { query } from "@openclaw/core/state-machine/query-run.ts";
import { rowsHash } from "@openclaw/core/state-machine/state-hash.ts";
import type { StateView } from "@openclaw/core/state-machine/view.ts";
import { MemoryView } from "../../simulation/memory-view.ts";

export const sha256: Sha256 = (bytes) => hash("sha256", bytes, "buffer");

export function checked<T>(value: string, test: (value: unknown) => value is T): T {
  if (!test(value)) throw new Error(`not valid: ${value}`);
  return value;
}

export const clusterId = (name: string): ClusterId => checked(name, isClusterId);
export const linkId = (name: string): LinkId => checked(name, isLinkId);
export const leaseId = (number: number): LeaseId => {
  if (!isLeaseId(number)) throw new Error(`no lease: ${number}`);
  return number;
};
export const sessionId = (digit: string): SessionId => checked(digit.repeat(32), isSessionId);
export const actorId = (digit: string): ActorId => checked(digit.repeat(32), isActorId);
export const changeHash = (number: number): ChangeHash => checked(number.toString(16).padStart(64, "0"), isChangeHash);

export const epoch = (digit: string, counter = 1): Epoch => ({
  counter,
  nonce: digit.repeat(32),
  parent: null,
  departure: revision(0),
});

/** A change named by its number; `deps` are numbers, too. */
export const change = (number: number, actor: string, at: number, deps: readonly number[]): DocumentChange => ({
  hash: changeHash(number),
  actor: actorId(actor),
  seq: at,
  deps: deps.map(changeHash),
  bytes: utf8(`change ${number}`),
});

export const put = (key: string, value: string): UserCommand => ({ kind: "put", key: utf8(key), value: utf8(value) });
export const txn = (
  compares: readonly Compare[],
  success: readonly Operation[],
  failure: readonly Operation[] = [],
): UserCommand => ({ kind: "txn", compares, success, failure });
export const push = (document: string, ...changes: readonly DocumentChange[]): UserCommand => ({
  kind: "change",
  collection: "notes",
  document,
  changes,
});

export const header = (salt: number, session: CommandHeader["session"] = null): CommandHeader => ({
  principal: "ada",
  time: 1_764_000_000_000,
  salt: sha256(utf8(`salt ${salt}`)).subarray(0, 16),
  request: salt,
  proposer: "00112233aabbccdd",
  session,
});

/** Of every row, at once. */
export function hashOfRows(view: StateView): RowsHash {
  const steps = rowsHash(view, sha256);
  for (;;) {
    const step = steps.next();
    if (step.done === true) return step.value;
  }
}

export class OneCluster {
  readonly cluster: ClusterId;
  readonly epoch: Epoch;
  readonly view = new MemoryView();
  readonly ledger: StoredRecord[] = [];
  /** The state as of each entry that began a comparison. */
  readonly rounds: { readonly round: Index; readonly hash: Uint8Array; readonly rows: number }[] = [];
  /** The history index. */
  readonly index = new MemoryView();
  readonly #history: History;
  readonly #apply;
  #index = 0;
  #salt = 0;

  constructor(name: string, epochOf: Epoch = epoch("a"), versions: ApplyVersions = APPLY_VERSIONS) {
    this.cluster = clusterId(name);
    this.epoch = epochOf;
    this.#apply = createApply(sha256, this.cluster, versions);
    this.view.write(initialWrites(this.cluster, this.epoch, sha256));
    this.#history = new History({
      sha256,
      state: this.view,
      index: this.index,
      records: (from, maxBytes) => this.#recordsFrom(from, maxBytes),
      write: (writes) => this.index.write(writes),
      cut: (below) => {
        const kept = this.ledger.findIndex((record) => record.revision >= below);
        return this.ledger.splice(0, Math.min(kept, 2)).length > 0;
      },
    });
  }

  /** Applies entries in one go. */
  apply(entries: readonly Entry[]): readonly CommandResult[] {
    const answers: CommandResult[] = [];
    for (let rest = entries; rest.length > 0; ) {
      const { writes, records, results, entries: count, comparison } = this.#apply(this.view, rest);
      this.view.write(writes);
      this.ledger.push(...records);
      answers.push(...results.map(({ result }) => result));
      if (comparison !== null) this.rounds.push({ round: comparison, ...hashOfRows(this.view) });
      rest = rest.slice(count);
    }
    return answers;
  }

  /** Commits commands as one entry. */
  commit(...commands: readonly Command[]): readonly CommandResult[] {
    return this.commitBytes(encodeCommands(commands));
  }

  commitBytes(data: Uint8Array): readonly CommandResult[] {
    return this.apply([{ term: term(1), index: index(++this.#index), kind: "commands", stamp: 0, data }]);
  }

  /** An entry that does nothing comes so much log time later. */
  pass(ms: number): void {
    this.apply([{ term: term(1), index: index(++this.#index), kind: "noop", stamp: ms, data: new Uint8Array(0) }]);
  }

  system(command: SystemCommand): CommandResult {
    return only(this.commit({ header: header(++this.#salt), ...command }));
  }

  run(command: UserCommand, session: CommandHeader["session"] = null): Outcome {
    const result = only(this.commit({ header: header(++this.#salt, session), ...command }));
    if (result.kind !== "outcome") throw new Error(`not an outcome: ${result.kind}`);
    return result.outcome;
  }

  query<Q extends Query>(question: Q): Answer<Q> {
    return query(this.view, question, sha256);
  }

  /** Removes what is compacted, or the first steps of that. */
  prune(steps = Number.POSITIVE_INFINITY): void {
    const pruning = this.#history.prune();
    for (let step = 0; step < steps && pruning.next().done !== true; step++);
  }

  /** Every step of it at once. */
  history<Q extends HistoryQuery>(question: Q): HistoryAnswer<Q> {
    const steps = this.#history.read(question);
    for (;;) {
      const step = steps.next();
      if (step.done === true) return step.value;
    }
  }

  get position() {
    return this.query({ kind: "position" });
  }

  get records(): readonly LedgerRecord[] {
    return this.ledger.map(({ record }) => decodeRecord(record));
  }

  /** Takes items of another cluster's ledger; `hash` is that ledger's at the last of them. */
  import(
    from: OneCluster,
    items: readonly LinkItem[],
    at: Uint8Array = from.position.hash,
    side: "child" | "parent" = "child",
    after: Uint8Array | null = null,
  ): CommandResult {
    return this.system({
      kind: "importLedger",
      side,
      link: linkId(from.cluster),
      cluster: from.cluster,
      epoch: from.epoch,
      items,
      hash: at,
      after,
    });
  }

  #recordsFrom(from: Revision, maxBytes: number): readonly StoredRecord[] {
    let bytes = 0;
    const rest = this.ledger.slice(from - (this.ledger[0]?.revision ?? 1));
    return rest.filter(({ record }, i) => {
      bytes += record.length;
      return i === 0 || bytes <= maxBytes;
    });
  }

  keys(origin: ClusterId | null = null): Record<string, string> {
    const { rows } = this.query({ kind: "range", origin, ...plainRange(utf8(""), null, 1_000) });
    return Object.fromEntries(rows.map((row) => [text(row.key), text(row.value)]));
  }

  key(name: string, origin: ClusterId | null = null): KeyValue | null {
    return this.query({ kind: "get", origin, key: utf8(name) }).row;
  }

  document(document: string, after = 0, limit = 1_000) {
    return this.query({ kind: "document", collection: "notes", document, after, limit });
  }
}

export function only<T>(items: readonly T[]): T {
  const [item] = items;
  if (item === undefined || items.length !== 1) throw new Error(`${items.length} items`);
  return item;
}

export const text = (bytes: Uint8Array): string => utf8Text(bytes) ?? "not text";
export const ok = (at: number): Outcome => ({ ok: true, revision: revision(at), response: null });
export const at = seq;

/** Bytes as hex, whatever holds them and whatever a decoder hung on them: for comparing. */
export function hexed(value: unknown): unknown {
  if (value instanceof Uint8Array) return `bytes ${toHex(value)}`;
  if (Array.isArray(value)) return value.map(hexed);
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([name, field]) => [name, hexed(field)]));
}
