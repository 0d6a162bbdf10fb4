/**
 * Many watches on one stream, over at most two readers of the ledger: the live lane, which takes what is applied, and the
 * lane of those that begin in the past, who join it when they have caught up (etcd's synced and unsynced watchers). So an
 * old watch delays no other, and a thousand watches cost the buffers of two.
 */
import { OpenClawError } from "@openclaw/core/errors.ts";
import { type Revision, revision } from "@openclaw/core/ids.ts";
import type { ReplicaDoor } from "./deps.ts";
import { ledgerPages } from "./ledger-pages.ts";
import { type WatchedRecord, watchedRecord } from "./watch-selection.ts";

/** A watch's place in the ledger. */
export interface LaneWatch {
  /** The first revision that it was not offered yet. Moved by the lanes. */
  next: number;
  /** Takes what it selects of a record. */
  offer(watched: WatchedRecord): void;
  /** It cannot go on: it was taken out of its lane. */
  cancelled(error: OpenClawError): void;
}

export interface LanesSink {
  /** What was offered waits to be sent: no more is offered before a flush. */
  readonly full: boolean;
  /** Sends what was offered; resolves when the reader takes more. @throws OpenClawError OVERLOADED */
  flush(): Promise<void>;
  /** Every watch was offered everything up to here. */
  caughtUp(at: Revision): void;
}

type LedgerSource = Pick<ReplicaDoor, "ledger" | "follow" | "onAgreement" | "position">;

export class WatchLanes {
  readonly #source: LedgerSource;
  readonly #sink: LanesSink;
  readonly #signal: AbortSignal;
  readonly #live = new Set<LaneWatch>();
  readonly #lagging = new Set<LaneWatch>();
  /** The first revision that the live lane has not begun to offer, and the last one that it has sent. */
  #liveNext: number;
  #liveSent: number;
  #fail: (error: unknown) => void = () => {};
  #catchingUp = false;

  constructor(source: LedgerSource, sink: LanesSink, signal: AbortSignal) {
    this.#source = source;
    this.#sink = sink;
    this.#signal = signal;
    this.#liveSent = source.position().revision;
    this.#liveNext = this.#liveSent + 1;
  }

  /** Serves until the signal aborts. @throws what reading the ledger throws, and the sink */
  async run(): Promise<void> {
    const failed = new Promise<never>((_, reject) => {
      this.#fail = reject;
    });
    // Observed here, too: a catch-up that fails after the live lane has ended fails nobody.
    failed.catch(() => {});
    await Promise.race([this.#runLive(), failed]);
  }

  add(watch: LaneWatch): void {
    if (watch.next >= this.#liveNext) {
      this.#live.add(watch);
      return;
    }
    this.#lagging.add(watch);
    if (this.#catchingUp) return;
    void this.#catchUp().catch((error: unknown) => this.#fail(error));
  }

  remove(watch: LaneWatch): void {
    this.#live.delete(watch);
    this.#lagging.delete(watch);
  }

  /** How far every watch is, where none lags behind. */
  get reached(): Revision | null {
    return this.#lagging.size === 0 ? revision(this.#liveSent) : null;
  }

  async #runLive(): Promise<void> {
    for await (const { records } of ledgerPages(this.#source, revision(this.#liveNext), this.#signal)) {
      for (const stored of records) {
        this.#liveNext = stored.revision + 1;
        await this.#offer(this.#live, watchedRecord(stored));
      }
      await this.#sink.flush();
      this.#liveSent = this.#liveNext - 1;
      if (records.length === 0) this.#tellProgress();
    }
  }

  /** Reads for those that lag until none does. */
  async #catchUp(): Promise<void> {
    this.#catchingUp = true;
    try {
      while (this.#lagging.size > 0 && !this.#signal.aborted) {
        let from = this.#liveNext;
        for (const { next } of this.#lagging) from = Math.min(from, next);
        await this.#catchUpFrom(from).catch((error: unknown) => this.#cancelBehind(from, error));
      }
    } finally {
      // In the turn that found nobody left: who is added in the next one begins anew.
      this.#catchingUp = false;
    }
  }

  async #cancelBehind(from: number, error: unknown): Promise<void> {
    if (!(error instanceof OpenClawError) || error.code !== "COMPACTED") throw error;
    for (const watch of [...this.#lagging]) {
      if (watch.next > from) continue;
      this.#lagging.delete(watch);
      watch.cancelled(error);
    }
    await this.#sink.flush();
  }

  /** Returns when every one has joined the live lane, or one was added that begins before what was read. */
  async #catchUpFrom(from: number): Promise<void> {
    let next = from;
    for await (const { records } of ledgerPages(this.#source, revision(from), this.#signal)) {
      for (const stored of records) {
        next = stored.revision + 1;
        await this.#offer(this.#lagging, watchedRecord(stored));
      }
      await this.#sink.flush();
      // What the live lane has not offered yet, it will offer them: nothing lies between.
      for (const watch of [...this.#lagging]) {
        if (watch.next < this.#liveNext) continue;
        this.#lagging.delete(watch);
        this.#live.add(watch);
      }
      if (this.#lagging.size === 0) return this.#tellProgress();
      for (const watch of this.#lagging) if (watch.next < next) return;
    }
  }

  async #offer(watches: ReadonlySet<LaneWatch>, watched: WatchedRecord): Promise<void> {
    const { revision: at } = watched.record;
    for (const watch of watches) {
      // One of what is still to come waits; one that was added behind this record is read for from where it is.
      if (watch.next !== at) continue;
      watch.next = at + 1;
      watch.offer(watched);
      if (this.#sink.full) await this.#sink.flush();
    }
  }

  #tellProgress(): void {
    const { reached } = this;
    if (reached !== null) this.#sink.caughtUp(reached);
  }
}
