/**
 * What a parent streams down to one child: its ledger from the child's cursor on, selected by subscription and by what
 * the principal may read at each event. Paged from the ledger while the child is behind, then live. A run of nothing
 * waits for a body to travel with, and goes alone only after a while: an idle link stays idle (L1). A snapshot stands in
 * the place of what the ledger no longer tells, or the child did not hold so far (S4).
 */
import { OpenClawError } from "../errors.ts";
import { type ClusterId, type Revision, revision } from "../ids.ts";
import { spansOf } from "../ledger/lineage.ts";
import type { LinkItem } from "../ledger/record.ts";
import { common } from "../ledger/scope.ts";
import { recordOf, selectForChild } from "../ledger/selection.ts";
import type { SnapshotStep } from "../ledger/snapshot.ts";
import { sectionsOf } from "../ledger/snapshot-sections.ts";
import type { Subscription } from "../ledger/subscription.ts";
import { BATCH_BYTES_MAX, BATCH_ITEMS_MAX } from "../limits.ts";
import type { Clock, StoredRecord } from "../ports.ts";
import { mayReadEvent } from "./admission.ts";
import type { Principal } from "./authority.ts";
import type { ParentBackend } from "./backend.ts";
import { snapshotFor, turningSnapshot, wholeSnapshot } from "./down-snapshot.ts";
import { type ChildMessage, EVENTS_IN_FLIGHT_MAX, type ParentMessage } from "./message.ts";
import { joinRuns, runEnd } from "./run.ts";
import { isCompacted, type SnapshotSource } from "./snapshot-source.ts";

/** How long a run of nothing waits for a body before it goes alone, ms. */
export const SKIP_DELAY_MS = 1_000;
/** To a site: what its many neighbours write passes it by, and is told it all the same. */
const SITE_SKIP_DELAY_MS = 5_000;

/** Records of one frame: a held skip may come before them. */
const RECORDS_MAX = BATCH_ITEMS_MAX - 1;

export interface DownStreamOptions {
  readonly backend: ParentBackend;
  readonly clock: Clock;
  readonly principal: Principal;
  /** The child's cluster; null for a client. */
  readonly child: ClusterId | null;
  readonly down: Wanted;
  /** False when the child does not read: `wake` is called when it does again. */
  send(message: ParentMessage): boolean;
  failed(error: unknown): void;
}

type Wanted = NonNullable<Extract<ChildMessage, { kind: "hello" }>["down"]>;

export class DownStream {
  readonly #options: DownStreamOptions;
  /** Last revision that was read and selected. */
  #readTo: Revision;
  /** Last revision that was sent. What lies between waits in `#held`. */
  #sentTo: Revision;
  /** At most one skip. */
  #held: readonly LinkItem[] = [];
  #cancelHeld: (() => void) | null = null;
  readonly #inFlight: Revision[] = [];
  /** What the child asked to go on with; null once that is settled. */
  #asked: Wanted | null;
  /** What it holds of all that is sent. */
  #heldScope: Subscription;
  #subscription: Subscription;
  /** What the stream turns to, once what is under way is sent; null: it stays as it is. */
  #next: Subscription | null = null;
  #snapshot: SnapshotSource | null = null;
  #stepsInFlight = 0;
  #writable = true;
  #reading = false;
  #closed = false;

  constructor(options: DownStreamOptions) {
    this.#options = options;
    this.#readTo = options.down.cursor;
    this.#sentTo = options.down.cursor;
    this.#asked = options.down;
    this.#heldScope = options.down.held;
    this.#subscription = options.down.subscription;
  }

  /** There may be something to read, or room to send it. */
  wake(): void {
    this.#writable = true;
    if (!this.#reading) void this.#read();
  }

  /** New records, if they are at hand. Spares reading them back when the child is level with the ledger. */
  advanced(records: readonly StoredRecord[]): void {
    const live = !this.#reading && this.#follows && records[0]?.revision === this.#readTo + 1 && fitsFrame(records);
    if (live && this.#maySend()) this.#pass(records);
    else if (!this.#reading) void this.#read();
  }

  /** From here on it is to bring that: of what is new first what stood (S4). */
  subscribe(subscription: Subscription): void {
    this.#next = subscription;
    if (!this.#reading) void this.#read();
  }

  /** @throws OpenClawError MALFORMED_FRAME for a cursor that was never sent */
  taken(cursor: Revision): void {
    if (cursor > this.#sentTo)
      throw new OpenClawError("MALFORMED_FRAME", `${cursor} was taken, ${this.#sentTo} was sent`);
    while (this.#inFlight[0] !== undefined && this.#inFlight[0] <= cursor) this.#inFlight.shift();
    if (!this.#reading) void this.#read();
  }

  /** @throws OpenClawError MALFORMED_FRAME for a step that was never sent */
  snapshotTaken(): void {
    if (this.#stepsInFlight === 0) throw new OpenClawError("MALFORMED_FRAME", "a step was taken that was not sent");
    this.#stepsInFlight--;
    if (!this.#reading) void this.#read();
  }

  close(): void {
    this.#closed = true;
    this.#cancelHeld?.();
  }

  #maySend(): boolean {
    const inFlight = this.#inFlight.length + this.#stepsInFlight;
    return !this.#closed && this.#writable && inFlight < EVENTS_IN_FLIGHT_MAX;
  }

  /** Nothing stands between the child and the ledger's next record. */
  get #follows(): boolean {
    return this.#asked === null && this.#snapshot === null;
  }

  async #read(): Promise<void> {
    this.#reading = true;
    try {
      while (this.#maySend()) {
        if (this.#asked !== null) {
          this.#snapshot = await snapshotFor(this.#options, this.#asked);
          this.#asked = null;
          if (this.#snapshot === null) this.#heldScope = this.#subscription;
        } else if (this.#snapshot !== null) await this.#sendStep(this.#snapshot);
        else if (this.#next !== null) await this.#turn(this.#next);
        else if (this.#readTo >= this.#options.backend.position().revision || !(await this.#readPage())) break;
      }
    } catch (error) {
      if (!this.#closed) this.#options.failed(error);
    } finally {
      this.#reading = false;
    }
  }

  /** L3: no run goes past where an epoch departed, so that the child can follow it there. */
  #withinEpoch(records: readonly StoredRecord[]): readonly StoredRecord[] {
    const end = records.findIndex((record) => this.#isDeparture(record.revision));
    return end === -1 ? records : records.slice(0, end + 1);
  }

  #isDeparture(at: Revision): boolean {
    const position = this.#options.backend.position();
    return position.ancestors.length > 0 && spansOf(position).some(({ to }) => to === at);
  }

  /** False: there is nothing to read, or no room to send it. */
  async #readPage(): Promise<boolean> {
    const { backend } = this.#options;
    try {
      const slice = await backend.ledger(revision(this.#readTo + 1), BATCH_BYTES_MAX);
      const records = this.#withinEpoch(slice.records.slice(0, RECORDS_MAX));
      if (records.length === 0 || !this.#maySend()) return false;
      this.#pass(records);
    } catch (error) {
      if (!isCompacted(error)) throw error;
      // The child was overtaken while it was reading: what it has goes with all the rest into one snapshot.
      this.#forgetHeld();
      await this.#beginWhole();
    }
    return true;
  }

  async #sendStep(snapshot: SnapshotSource): Promise<void> {
    let step: SnapshotStep;
    try {
      step = await this.#told(await snapshot.next());
    } catch (error) {
      if (!isCompacted(error)) throw error;
      return this.#beginWhole();
    }
    if (this.#closed) return;
    this.#stepsInFlight++;
    if (step.kind === "end") {
      this.#snapshot = null;
      this.#heldScope = this.#subscription;
      this.#readTo = step.at;
      this.#sentTo = step.at;
    }
    this.#writable = this.#options.send({ kind: "snapshot", step });
  }

  /** A client shows how far it is. */
  async #told(step: SnapshotStep): Promise<SnapshotStep> {
    const { backend, child } = this.#options;
    if (step.kind !== "begin" || child !== null) return step;
    const { items } = await backend.history({ kind: "extent", sections: sectionsOf(step.head) });
    return { ...step, extent: items };
  }

  async #beginWhole(): Promise<void> {
    this.#snapshot = await wholeSnapshot(this.#options, this.#standing());
  }

  /** To another subscription, as of what was sent: what was read beyond that is read again behind it, as it may be wanted. */
  async #turn(subscription: Subscription): Promise<void> {
    this.#next = null;
    this.#forgetHeld();
    this.#heldScope = common(this.#heldScope, subscription);
    this.#subscription = subscription;
    this.#snapshot = await turningSnapshot(this.#options, this.#standing());
  }

  /** As the child would ask for it. */
  #standing(): Wanted {
    const { down } = this.#options;
    return {
      ...down,
      subscription: this.#subscription,
      held: this.#heldScope,
      cursor: this.#sentTo,
      snapshot: null,
    };
  }

  #forgetHeld(): void {
    this.#held = [];
    this.#cancelHeld?.();
    this.#cancelHeld = null;
  }

  #pass(records: readonly StoredRecord[]): void {
    const { principal, child } = this.#options;
    const selected = selectForChild(records, child, this.#subscription).map((item): LinkItem => {
      if (item.kind !== "body" || mayRead(item.record, principal)) return item;
      const hash = hashAt(records, item.revision);
      return { kind: "skip", from: item.revision, to: item.revision, hash };
    });
    let items = this.#held;
    for (const item of selected) items = joinRuns(items, [item]);
    const end = runEnd(items, this.#sentTo);
    this.#readTo = end;

    const last = items.at(-1);
    const held = last?.kind === "skip" && !this.#isDeparture(end) ? last : null;
    const bodies = held === null ? items : items.slice(0, -1);
    this.#held = held === null ? [] : [held];
    if (bodies.length > 0) {
      const to = runEnd(bodies, this.#sentTo);
      this.#send(bodies, to, hashAt(records, to));
    }
    if (this.#held.length === 0) {
      this.#cancelHeld?.();
      this.#cancelHeld = null;
    } else {
      this.#cancelHeld ??= this.#options.clock.after(this.#skipDelayMs, () => this.#sendHeld());
    }
  }

  get #skipDelayMs(): number {
    return this.#options.child === null ? SKIP_DELAY_MS : SITE_SKIP_DELAY_MS;
  }

  #sendHeld(): void {
    this.#cancelHeld = null;
    const [held] = this.#held;
    if (held?.kind !== "skip" || this.#closed) return;
    if (!this.#maySend()) {
      this.#cancelHeld = this.#options.clock.after(this.#skipDelayMs, () => this.#sendHeld());
      return;
    }
    this.#held = [];
    this.#send([held], held.to, held.hash);
  }

  #send(items: readonly LinkItem[], to: Revision, hash: Uint8Array): void {
    this.#sentTo = to;
    this.#inFlight.push(to);
    this.#writable = this.#options.send({ kind: "events", items, hash });
  }
}

function mayRead(record: Uint8Array, principal: Principal): boolean {
  return recordOf(record).events.every((event) => mayReadEvent(event, principal));
}

function hashAt(records: readonly StoredRecord[], at: Revision): Uint8Array {
  const first = records[0]?.revision ?? at;
  const stored = records[at - first];
  if (stored === undefined || stored.revision !== at)
    throw new OpenClawError("INTERNAL", `the ledger has a hole at ${at}`);
  return stored.hash;
}

function fitsFrame(records: readonly StoredRecord[]): boolean {
  if (records.length > RECORDS_MAX) return false;
  let bytes = 0;
  for (const stored of records) bytes += stored.record.length;
  return bytes <= BATCH_BYTES_MAX;
}
