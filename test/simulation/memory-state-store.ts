/**
 * A StateStore in memory: one call after the other, at once or, between `hold` and `release`, when the test says so.
 * `crash` gives the store as a power cut would leave it: as of its last checkpoint or install.
 */
import { concatBytes, EMPTY_BYTES, equalBytes } from "@openclaw/core/bytes.ts";
import { invariant, OpenClawError } from "@openclaw/core/errors.ts";
import { baseParts } from "@openclaw/core/history/base.ts";
import { encodeBasePart } from "@openclaw/core/history/base-codec.ts";
import { History } from "@openclaw/core/history/history.ts";
import type { HistoryAnswer, HistoryQuery } from "@openclaw/core/history/history-query.ts";
import type { Index, Revision, Term } from "@openclaw/core/ids.ts";
import { PARTITION, revision } from "@openclaw/core/ids.ts";
import type { LedgerFault } from "@openclaw/core/ledger/fault.ts";
import { beginningOf, seamsOf } from "@openclaw/core/ledger/lineage.ts";
import { LedgerCheck, type LedgerMark } from "@openclaw/core/ledger/verify.ts";
import type {
  Applied,
  LedgerChecked,
  LedgerSlice,
  SnapshotChunks,
  SnapshotContent,
  SnapshotHeader,
  StateBase,
  StateSnapshot,
  StateStore,
  StoredRecord,
  StoredState,
} from "@openclaw/core/ports.ts";
import type { Membership } from "@openclaw/core/raft/membership.ts";
import { membershipAfter } from "@openclaw/core/raft/membership-codec.ts";
import type { Entry, SnapshotMeta } from "@openclaw/core/raft/message.ts";
import { APPLY_VERSIONS, type ApplyVersions, createApply } from "@openclaw/core/state-machine/apply.ts";
import { readPosition } from "@openclaw/core/state-machine/position.ts";
import type { Answer, Query, RowsHash } from "@openclaw/core/state-machine/query.ts";
import { query } from "@openclaw/core/state-machine/query-run.ts";
import { StateScan } from "@openclaw/core/state-machine/state-scan.ts";
import type { Apply, CommandAnswer } from "@openclaw/core/state-machine/view.ts";
import { decodeImage, emptyImage, encodeImage, type Image, type MemoryStateOptions, metaOf } from "./memory-image.ts";
import { MemoryView } from "./memory-view.ts";
import { sha256 } from "./sha256.ts";
import { snapshotPieces } from "./snapshot-pieces.ts";

const CHUNK_BYTES = 65_536;
/** Records of the ledger that are forgotten at once. */
const CUT_RECORDS = 16;

export type StateCall = "apply" | "scan" | "read" | "history" | "ledger" | "checkpoint" | "snapshot" | "install";

export class MemoryStateStore implements StateStore {
  /** How long the worker takes for a call: resolves when it is its turn to take effect. Null: at once. */
  latency: ((call: StateCall) => Promise<void>) | null = null;
  /** The round that told of the state that was replaced last; null: none was. */
  aside: Index | null = null;
  /** Is shown what is applied at the moment that it is, also where nobody lives to hear of it. */
  witness: ((entries: readonly Entry[], applied: Applied) => void) | null = null;
  readonly #options: MemoryStateOptions;
  #apply: Apply;
  #view: MemoryView;
  #index: MemoryView;
  #ledger: StoredRecord[];
  #base: LedgerMark | null;
  #applied: Index;
  #appliedTerm: Term;
  #membership: Membership;
  #installed: Index;
  #durable: Image;
  #copy: { readonly content: SnapshotContent; readonly bytes: Uint8Array } | null = null;
  /** What came of a snapshot whose transfer broke off. */
  #partial: { readonly hash: Uint8Array; bytes: Uint8Array } | null = null;
  #staged: { readonly header: SnapshotHeader; readonly image: Image } | null = null;
  #scan: { readonly round: Index; readonly rows: StateScan } | null = null;
  #lastCall: Promise<unknown> = Promise.resolve();
  #held: { readonly released: Promise<void>; readonly release: () => void } | null = null;

  constructor(options: MemoryStateOptions, durable: Image = emptyImage(options)) {
    this.#options = options;
    this.#apply = createApply(sha256, options.cluster, APPLY_VERSIONS);
    this.#durable = durable;
    this.#view = new MemoryView(durable.rows);
    this.#index = new MemoryView(durable.history);
    this.#ledger = [...durable.ledger];
    this.#base = durable.base;
    this.#applied = durable.applied;
    this.#appliedTerm = durable.appliedTerm;
    this.#membership = durable.membership;
    this.#installed = durable.installed;
  }

  /** The store that starts after a power cut. This one must not be used any more. */
  crash(): MemoryStateStore {
    return new MemoryStateStore(this.#options, this.#durable);
  }

  /** Another release of the software runs. */
  runs(versions: ApplyVersions): void {
    this.#apply = createApply(sha256, this.#options.cluster, versions);
  }

  /** What is on the disk now; a store made of it is an old copy of this one. */
  get durable(): Image {
    return this.#durable;
  }

  /** The rows themselves, for tests that alter a replica behind its back. */
  get view(): MemoryView {
    return this.#view;
  }

  /** The worker does nothing until `release`. */
  hold(): void {
    if (this.#held !== null) return;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#held = { released: promise, release: resolve };
  }

  release(): void {
    this.#held?.release();
    this.#held = null;
  }

  async open(): Promise<StoredState> {
    return this.#stored();
  }

  apply(entries: readonly Entry[]): Promise<Applied> {
    return this.#inTurn("apply", () => this.#applyNow(entries));
  }

  read<Q extends Query>(question: Q): Promise<Answer<Q>> {
    return this.#inTurn("read", () => query(this.#view, question, sha256));
  }

  history<Q extends HistoryQuery>(question: Q): Promise<HistoryAnswer<Q>> {
    return this.#inTurn("history", () => atOnce(this.#past().read(question)));
  }

  ledger(from: Revision, maxBytes: number): Promise<LedgerSlice> {
    return this.#inTurn("ledger", () => this.#ledgerNow(from, maxBytes));
  }

  checkLedger(from: Revision, to: Revision | null, maxBytes: number): Promise<LedgerChecked> {
    return this.#inTurn("ledger", () => this.#checkLedgerNow(from, to, maxBytes));
  }

  async compare(round: Index): Promise<RowsHash | null> {
    const scan = this.#scan;
    if (scan?.round !== round) return null;
    for (;;) {
      const step = await this.#inTurn("scan", () => scan.rows.advance());
      // Another round began, or a snapshot took the state's place.
      if (scan !== this.#scan || step.kind === "gaveUp") return null;
      if (step.kind === "done") return step.sum;
    }
  }

  checkpoint(): Promise<StoredState> {
    return this.#inTurn("checkpoint", () => this.checkpointNow());
  }

  snapshot(atLeast: Index): Promise<StateSnapshot> {
    return this.#inTurn("snapshot", () => this.#snapshotNow(atLeast));
  }

  base(atLeast: Index): Promise<StateBase> {
    return this.#inTurn("snapshot", () => {
      invariant(this.#applied >= atLeast, "a base is of what was applied");
      const copy = new MemoryStateStore(this.#options, this.#image());
      return { parts: () => copy.#baseParts(), dispose: async () => {} };
    });
  }

  async *#baseParts(): AsyncGenerator<Uint8Array> {
    const source = {
      state: this.#view,
      index: this.#index,
      records: (from: Revision, maxBytes: number) => this.#records(from, maxBytes),
    };
    for (const part of baseParts(source, sha256)) yield encodeBasePart(part);
  }

  install(meta: SnapshotMeta): Promise<StoredState> {
    return this.#inTurn("install", () => this.#installNow(meta));
  }

  replace(meta: SnapshotMeta, round: Index): Promise<StoredState> {
    return this.#inTurn("install", () => {
      this.aside = round;
      this.#copy = null;
      return this.#installNow(meta);
    });
  }

  /** What a disk may do by itself at any time: everything applied so far becomes durable. */
  checkpointNow(): StoredState {
    this.#durable = this.#image();
    return this.#stored();
  }

  #past(): History {
    return new History({
      sha256,
      state: this.#view,
      index: this.#index,
      records: (from, maxBytes) => this.#records(from, maxBytes),
      write: (writes) => this.#index.write(writes),
      cut: (below) => {
        const kept = this.#ledger.findIndex((record) => record.revision >= below);
        const last = this.#ledger.splice(0, Math.min(kept, CUT_RECORDS)).at(-1);
        if (last === undefined) return false;
        this.#base = { revision: last.revision, hash: last.hash };
        return true;
      },
    });
  }

  #inTurn<T>(call: StateCall, run: () => T): Promise<T> {
    const turn = this.#lastCall.then(async () => {
      if (this.latency !== null) await this.latency(call);
      await this.#held?.released;
      return run();
    });
    // Whoever called is told; the next call goes on.
    this.#lastCall = turn.catch(() => undefined);
    return turn;
  }

  #applyNow(entries: readonly Entry[]): Applied {
    for (const entry of entries) {
      invariant(entry.index === this.#applied + 1, `entry ${entry.index} does not follow ${this.#applied}`);
      this.#applied = entry.index;
      this.#appliedTerm = entry.term;
    }
    this.#membership = membershipAfter(this.#membership, entries);
    const records: StoredRecord[] = [];
    const results: CommandAnswer[] = [];
    for (let rest = entries; rest.length > 0; ) {
      const outcome = this.#apply(this.#view, rest);
      this.#scan?.rows.before(outcome.writes);
      this.#view.write(outcome.writes);
      if (outcome.comparison !== null)
        this.#scan = { round: outcome.comparison, rows: new StateScan(this.#view, sha256) };
      records.push(...outcome.records);
      results.push(...outcome.results);
      rest = rest.slice(outcome.entries);
    }
    this.#ledger.push(...records);
    const applied = { index: this.#applied, results, records, position: readPosition(this.#view) };
    atOnce(this.#past().prune());
    this.witness?.(entries, applied);
    return applied;
  }

  #ledgerNow(from: Revision, maxBytes: number): LedgerSlice {
    const { revision: at, compacted } = readPosition(this.#view);
    if (from < compacted) throw new OpenClawError("COMPACTED", `the ledger is kept from revision ${compacted}`);
    return { records: this.#records(from, maxBytes), revision: at };
  }

  #records(from: Revision, maxBytes: number): StoredRecord[] {
    const first = this.#ledger[0]?.revision ?? revision(1);
    invariant(from >= first, `revision ${from} is kept`);
    const records: StoredRecord[] = [];
    let bytes = 0;
    for (const record of this.#ledger.slice(from - first)) {
      if (records.length > 0 && bytes + record.record.length > maxBytes) break;
      records.push(record);
      bytes += record.record.length;
    }
    return records;
  }

  #checkLedgerNow(from: Revision, to: Revision | null, maxBytes: number): LedgerChecked {
    const position = readPosition(this.#view);
    if (from > position.revision + 1)
      throw new OpenClawError("BAD_REQUEST", `the ledger ends at revision ${position.revision}`);
    const hash = beginningOf(sha256, position.cluster, PARTITION, position);
    const base = this.#ledger.find((record) => record.revision === from - 1) ??
      this.#base ?? { revision: revision(0), hash };
    const check = new LedgerCheck(sha256, base, seamsOf(sha256, position.cluster, PARTITION, position));
    const found = (fault: LedgerFault | null, done: boolean): LedgerChecked => ({
      from: check.from,
      sound: check.sound.revision,
      revision: position.revision,
      fault,
      done,
    });
    if (to !== null && base.revision >= to) return found(null, true);
    let bytes = 0;
    for (const record of this.#ledger.filter((stored) => stored.revision > base.revision)) {
      const fault = check.take(record);
      if (fault !== null) return found(fault, true);
      if (check.doubts) continue;
      if (to !== null && record.revision >= to) return found(null, true);
      bytes += record.record.length;
      if (bytes >= maxBytes) return found(null, false);
    }
    return found(check.end(position), true);
  }

  /** The last copy serves as long as it is new enough, as on a disk. */
  #snapshotNow(atLeast: Index): StateSnapshot {
    if (this.#copy === null || this.#copy.content.meta.index < atLeast) {
      const image = this.#image();
      const bytes = encodeImage(image);
      const { epoch } = readPosition(this.#view);
      this.#copy = { content: { meta: metaOf(image), epoch, ...snapshotPieces(bytes) }, bytes };
    }
    const { content, bytes } = this.#copy;
    return {
      ...content,
      async *chunks(from) {
        for (let at = from; at < bytes.length; at += CHUNK_BYTES) yield bytes.slice(at, at + CHUNK_BYTES);
      },
      async dispose() {},
    };
  }

  async stage(header: SnapshotHeader, chunks: SnapshotChunks): Promise<void> {
    this.#staged = null;
    if (this.#partial === null || !equalBytes(this.#partial.hash, header.hash))
      this.#partial = { hash: header.hash, bytes: EMPTY_BYTES };
    const partial = this.#partial;
    for await (const chunk of chunks(partial.bytes.length)) partial.bytes = concatBytes([partial.bytes, chunk]);
    const { bytes } = partial;
    if (bytes.length === header.bytes) this.#partial = null;
    if (bytes.length !== header.bytes || !equalBytes(snapshotPieces(bytes).hash, header.hash)) {
      this.#partial = null;
      throw new OpenClawError("DATA_CORRUPT", "the snapshot's hash is wrong");
    }
    this.#staged = { header, image: decodeImage(bytes) };
  }

  #installNow(meta: SnapshotMeta): StoredState {
    const staged = this.#staged;
    if (staged === null || staged.header.meta.index !== meta.index || staged.header.meta.term !== meta.term) {
      throw new OpenClawError("DATA_CORRUPT", "no such snapshot is staged");
    }
    const image = { ...staged.image, installed: meta.index };
    this.#staged = null;
    this.#durable = image;
    this.#scan = null;
    this.#view = new MemoryView(image.rows);
    this.#index = new MemoryView(image.history);
    this.#ledger = [...image.ledger];
    this.#base = image.base;
    this.#applied = image.applied;
    this.#appliedTerm = image.appliedTerm;
    this.#membership = image.membership;
    this.#installed = image.installed;
    return this.#stored();
  }

  async close(): Promise<void> {
    this.checkpointNow();
  }

  #image(): Image {
    return {
      applied: this.#applied,
      appliedTerm: this.#appliedTerm,
      membership: this.#membership,
      rows: this.#view.rows(),
      history: this.#index.rows(),
      ledger: [...this.#ledger],
      base: this.#base,
      installed: this.#installed,
    };
  }

  #stored(): StoredState {
    return {
      applied: this.#applied,
      appliedTerm: this.#appliedTerm,
      membership: this.#membership,
      position: readPosition(this.#view),
      installed: this.#installed,
    };
  }
}

/** Nothing else happens between the steps here. */
function atOnce<T>(steps: Iterator<void, T, void>): T {
  for (;;) {
    const step = steps.next();
    if (step.done === true) return step.value;
  }
}
