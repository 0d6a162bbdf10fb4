/** One stream of many watches: what it holds, and what its reader is sent (etcd's watch stream, as server-sent events). */
import { OpenClawError } from "@openclaw/core/errors.ts";
import { PARTITION, type Revision } from "@openclaw/core/ids.ts";
import type { KeyEvent, LedgerRecord } from "@openclaw/core/ledger/record.ts";
import { errorBody } from "./answers.ts";
import type { ReplicaDoor } from "./deps.ts";
import type { EventStream } from "./event-stream.ts";
import { base64 } from "./key-text.ts";
import type { Before, PreviousRows } from "./previous-rows.ts";
import type { ServerEvent } from "./stream-format.ts";
import { type LanesSink, type LaneWatch, WatchLanes } from "./watch-lanes.ts";
import { WatchProgress } from "./watch-progress.ts";
import { type Selection, selectedEvents, type WatchedRecord } from "./watch-selection.ts";

/** Watches of one stream; one more is OVERLOADED. */
export const STREAM_WATCHES_MAX = 1_000;
/** Bytes of keys and values that wait to be sent before more of the ledger is looked at: one record may go beyond. */
const PENDING_BYTES_MAX = 1_048_576;

export interface WatchCreate {
  /** Named by the reader; each event carries it. */
  readonly watch: number;
  readonly selection: Selection;
  /** The first revision to see, past or future; null: what comes next. */
  readonly from: number | null;
  /** Whether its events tell what was there before. */
  readonly previous: boolean;
}

export class WatchStream implements LanesSink {
  readonly id: string;
  readonly #stream: EventStream;
  readonly #replica: ReplicaDoor;
  readonly #lanes: WatchLanes;
  readonly #watches = new Map<number, LaneWatch>();
  readonly #progress: WatchProgress;
  readonly #rows: PreviousRows;
  /** What is to be sent, made when its turn has come. */
  #pending: (() => ServerEvent | Promise<ServerEvent>)[] = [];
  /** Both lanes flush: what one of them took goes out before what the other one takes. */
  #flushing: Promise<void> = Promise.resolve();
  #pendingBytes = 0;
  #asked = false;

  constructor(id: string, stream: EventStream, replica: ReplicaDoor, rows: PreviousRows) {
    this.id = id;
    this.#rows = rows;
    this.#stream = stream;
    this.#replica = replica;
    this.#lanes = new WatchLanes(replica, this, stream.signal);
    this.#progress = new WatchProgress(stream, replica.position().revision);
  }

  /** Serves until either side ends it. @throws what reading the ledger throws; OpenClawError OVERLOADED */
  async run(watches: readonly WatchCreate[]): Promise<void> {
    const { cluster, epoch, revision } = this.#replica.position();
    const hello = { cluster, partition: PARTITION, epoch: epoch.nonce, revision, stream: this.id };
    try {
      await this.#stream.send([{ event: "hello", data: hello }]);
      this.create(watches);
      await this.flush();
      await this.#lanes.run();
    } finally {
      this.#progress.stop();
    }
  }

  get size(): number {
    return this.#watches.size;
  }

  /** @throws OpenClawError BAD_REQUEST for an id that is in use, OVERLOADED: then none of them was created */
  create(watches: readonly WatchCreate[]): void {
    if (this.#watches.size + watches.length > STREAM_WATCHES_MAX)
      throw new OpenClawError("OVERLOADED", `${STREAM_WATCHES_MAX} watches on a stream`);
    const named = new Set(this.#watches.keys());
    for (const { watch } of watches) {
      if (named.has(watch)) throw new OpenClawError("BAD_REQUEST", `watch ${watch} is there already`);
      named.add(watch);
    }
    for (const { watch, selection, from, previous } of watches) {
      const next = from ?? this.#replica.position().revision + 1;
      this.#push(() => ({ event: "created", data: { watch, from: next } }), 0);
      const lane: LaneWatch = {
        next,
        offer: (watched) => this.#offer(watch, selection, previous, watched),
        cancelled: (error) => this.#cancelled(watch, error),
      };
      this.#watches.set(watch, lane);
      this.#lanes.add(lane);
    }
  }

  /** Of what is not there it does nothing, as in etcd. */
  cancel(watch: number): void {
    const lane = this.#watches.get(watch);
    if (lane === undefined) return;
    this.#lanes.remove(lane);
    this.#cancelled(watch, null);
  }

  /** Tells how far all watches are: at once, or when the last of them has caught up. */
  askProgress(): void {
    const { reached } = this.#lanes;
    this.#asked = reached === null || reached < this.#replica.position().revision;
    if (!this.#asked && reached !== null) this.#progress.tellNow(reached);
  }

  get full(): boolean {
    return this.#pendingBytes >= PENDING_BYTES_MAX;
  }

  flush(): Promise<void> {
    const flushed = this.#flushing.then(() => this.#send());
    // Whoever asked for it is told of a failure; who comes next fails by itself.
    this.#flushing = flushed.catch(() => {});
    return flushed;
  }

  async #send(): Promise<void> {
    const pending = this.#pending;
    this.#pending = [];
    this.#pendingBytes = 0;
    let events: ServerEvent[] = [];
    for (const make of pending) {
      const made = make();
      if (!(made instanceof Promise)) {
        events.push(made);
        continue;
      }
      // One at a time: the rows that it waits for may be far more than its events.
      await this.#stream.send([...events, await made]);
      events = [];
    }
    await this.#stream.send(events);
  }

  caughtUp(at: Revision): void {
    if (this.#asked) this.#progress.tellNow(at);
    else this.#progress.tell(at);
    this.#asked = false;
  }

  #offer(watch: number, selection: Selection, previous: boolean, watched: WatchedRecord): void {
    // Asked again at every event: rights are not a matter of connecting only (pitfall 50).
    const events = selectedEvents(watched, selection).filter(({ key }) => selection.principal.mayReadKey(key));
    if (events.length === 0) return;
    const { record } = watched;
    const told = (before: readonly Before[] | null): ServerEvent => ({
      event: "events",
      // All of a revision in one message: atomic, wherever the stream breaks off.
      data: {
        watch,
        ...headerJson(record),
        events: events.map((event, i) => ({ ...eventJson(event), ...before?.[i] })),
      },
    });
    const make = previous ? async () => told(await this.#rows.before(record, events)) : () => told(null);
    this.#push(
      make,
      events.reduce((sum, event) => sum + eventBytes(event), 0),
    );
  }

  #cancelled(watch: number, error: OpenClawError | null): void {
    this.#watches.delete(watch);
    this.#push(() => ({ event: "canceled", data: { watch, ...(error === null ? {} : errorBody(error)) } }), 0);
  }

  #push(make: () => ServerEvent | Promise<ServerEvent>, bytes: number): void {
    this.#pending.push(make);
    this.#pendingBytes += bytes;
  }
}

const headerJson = ({ revision, origin, principal, time, snapshot }: LedgerRecord) => ({
  revision,
  origin,
  principal,
  time,
  ...(snapshot ? { snapshot } : {}),
});

const eventJson = (event: KeyEvent) => ({
  kind: event.kind,
  key: base64(event.key),
  ...(event.kind === "put" ? { value: base64(event.value) } : {}),
});

const eventBytes = (event: KeyEvent): number => event.key.length + (event.kind === "put" ? event.value.length : 0);
