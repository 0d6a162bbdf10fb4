/**
 * What stands between a replica and its stores: every call, and every answer, is a point at which the process may die,
 * and a process that is stopped hears its answers afterwards. Whatever stores are behind it, the gate is the same.
 */
import type { HistoryAnswer, HistoryQuery } from "@openclaw/core/history/history-query.ts";
import type { Index, Revision } from "@openclaw/core/ids.ts";
import type {
  Applied,
  LedgerChecked,
  LedgerSlice,
  LogBase,
  LogStore,
  SnapshotChunks,
  SnapshotHeader,
  StateBase,
  StateSnapshot,
  StateStore,
  StoredLog,
  StoredState,
} from "@openclaw/core/ports.ts";
import type { Entry, HardState, SnapshotMeta } from "@openclaw/core/raft/message.ts";
import type { Answer, Query, RowsHash } from "@openclaw/core/state-machine/query.ts";
import type { ProcessClock } from "./virtual-clock.ts";

/** What passes through, as whoever watches a cluster sees it. */
export interface StoreObserver {
  /** The log is asked to write these: a leader's are made at this moment. */
  appending(entries: readonly Entry[]): void;
  /** These entries, and this hard state if there was one, are on the disk. */
  logged(entries: readonly Entry[]): void;
  applied(entries: readonly Entry[], applied: Applied): void;
  installed(meta: SnapshotMeta, stored: StoredState): void;
}

export class StoreGate {
  readonly #process: ProcessClock;
  readonly #point: () => void;

  /** @param point called at each point; may end the process */
  constructor(process: ProcessClock, point: () => void) {
    this.#process = process;
    this.#point = point;
  }

  pass<T>(call: () => Promise<T>, effect: (value: T) => void = () => {}): Promise<T> {
    this.#point();
    if (this.#process.ended) return new Promise(() => {});
    return new Promise((resolve, reject) => {
      const answer = (tell: () => void): void => {
        if (this.#process.ended) return;
        this.#point();
        this.#process.run(tell);
      };
      call().then(
        (value) => {
          if (!this.#process.ended) effect(value);
          answer(() => resolve(value));
        },
        (error: unknown) => answer(() => reject(error)),
      );
    });
  }
}

export class GatedLogStore implements LogStore {
  readonly #store: LogStore;
  readonly #gate: StoreGate;
  readonly #observer: StoreObserver | null;

  constructor(store: LogStore, gate: StoreGate, observer: StoreObserver | null) {
    this.#store = store;
    this.#gate = gate;
    this.#observer = observer;
  }

  open(): Promise<StoredLog> {
    return this.#gate.pass(() => this.#store.open());
  }
  append(hardState: HardState | null, entries: readonly Entry[]): Promise<void> {
    this.#observer?.appending(entries);
    return this.#gate.pass(
      () => this.#store.append(hardState, entries),
      () => this.#observer?.logged(entries),
    );
  }
  compact(base: LogBase): Promise<void> {
    return this.#gate.pass(() => this.#store.compact(base));
  }
  reset(base: LogBase, missing?: Index): Promise<void> {
    return this.#gate.pass(() => this.#store.reset(base, missing));
  }
  close(): Promise<void> {
    return this.#gate.pass(() => this.#store.close());
  }
}

export class GatedStateStore implements StateStore {
  readonly #store: StateStore;
  readonly #gate: StoreGate;
  readonly #observer: StoreObserver | null;

  constructor(store: StateStore, gate: StoreGate, observer: StoreObserver | null) {
    this.#store = store;
    this.#gate = gate;
    this.#observer = observer;
  }

  open(): Promise<StoredState> {
    return this.#gate.pass(() => this.#store.open());
  }
  apply(entries: readonly Entry[]): Promise<Applied> {
    return this.#gate.pass(
      () => this.#store.apply(entries),
      (applied) => this.#observer?.applied(entries, applied),
    );
  }
  read<Q extends Query>(query: Q): Promise<Answer<Q>> {
    return this.#gate.pass(() => this.#store.read(query));
  }
  history<Q extends HistoryQuery>(query: Q): Promise<HistoryAnswer<Q>> {
    return this.#gate.pass(() => this.#store.history(query));
  }
  ledger(from: Revision, maxBytes: number): Promise<LedgerSlice> {
    return this.#gate.pass(() => this.#store.ledger(from, maxBytes));
  }
  checkLedger(from: Revision, to: Revision | null, maxBytes: number): Promise<LedgerChecked> {
    return this.#gate.pass(() => this.#store.checkLedger(from, to, maxBytes));
  }
  compare(round: Index): Promise<RowsHash | null> {
    return this.#gate.pass(() => this.#store.compare(round));
  }
  checkpoint(): Promise<StoredState> {
    return this.#gate.pass(() => this.#store.checkpoint());
  }
  snapshot(atLeast: Index): Promise<StateSnapshot> {
    return this.#gate.pass(() => this.#store.snapshot(atLeast));
  }
  base(atLeast: Index): Promise<StateBase> {
    return this.#gate.pass(() => this.#store.base(atLeast));
  }
  stage(header: SnapshotHeader, chunks: SnapshotChunks): Promise<void> {
    return this.#gate.pass(() => this.#store.stage(header, chunks));
  }
  install(meta: SnapshotMeta): Promise<StoredState> {
    return this.#gate.pass(
      () => this.#store.install(meta),
      (stored) => this.#observer?.installed(meta, stored),
    );
  }
  replace(meta: SnapshotMeta, round: Index): Promise<StoredState> {
    return this.#gate.pass(
      () => this.#store.replace(meta, round),
      (stored) => this.#observer?.installed(meta, stored),
    );
  }
  close(): Promise<void> {
    return this.#gate.pass(() => this.#store.close());
  }
}
