/**
 * What the parent streams down: stored first, in one write with the cursor, then shown, then acknowledged (S1). Knows how
 * far it is, and with which subscription.
 */
import { asOpenClawError, InvariantViolation, OpenClawError } from "../errors.ts";
import {
  type ChangeHash,
  type ClusterId,
  type Epoch,
  isClusterId,
  PARTITION,
  type Revision,
  revision,
} from "../ids.ts";
import type { PositionToken } from "../ledger/position-token.ts";
import type { DocumentChange, LedgerRecord } from "../ledger/record.ts";
import { decodeRecord } from "../ledger/record-codec.ts";
import { SUBSCRIPTION_ITEMS_MAX } from "../limits.ts";
import type { EventRun, Hello } from "../sync/child-link.ts";
import type { Subscription } from "../sync/message.ts";
import { isBare } from "../sync/run.ts";
import type { Documents } from "./documents.ts";
import { type Journal, mirrorName } from "./journal.ts";
import type { KeyEvent } from "./key-row.ts";
import type { Keys } from "./keys.ts";
import type { Rungs } from "./rungs.ts";
import type { ClientWrite, DownCursor, MirrorRow } from "./store.ts";
import { covers, coversEvent, coversPrefix, fits, isEmpty, NOTHING, union } from "./subscription.ts";

/** Bare revisions that may be taken without being written down: a restart asks for them again. */
const UNWRITTEN_MAX = 4_096;

export interface DownHost {
  readonly journal: Journal;
  readonly rungs: Rungs;
  readonly documents: Documents;
  readonly keys: Keys;
  /** Everything up to here is stored. */
  taken(cursor: Revision): void;
  failed(error: OpenClawError): void;
}

export class Down {
  readonly #host: DownHost;
  /** What is stored: a stream that was begun anew counts only when it is past the old one. */
  #stored: DownCursor | null;
  #wanted: Subscription;
  /** What the present stream was begun with. */
  #streamed: Subscription = NOTHING;
  #cursor: Revision;
  #written: Revision;
  #cluster: ClusterId | null = null;
  #epoch: Epoch | null = null;
  #runs: EventRun[] = [];
  #storing: Promise<void> | null = null;

  constructor(host: DownHost, stored: DownCursor | null, wanted: Subscription) {
    this.#host = host;
    this.#stored = stored;
    // What earlier sessions wanted gives way: a subscription is never given up while its session lives.
    const both = union(stored?.subscription ?? NOTHING, wanted);
    this.#wanted = fits(both) ? both : fitting(wanted);
    this.#cursor = stored?.cursor ?? revision(0);
    this.#written = this.#cursor;
    this.#streamed = stored?.subscription ?? NOTHING;
  }

  get cursor(): Revision {
    return this.#cursor;
  }

  /** A revision of the ledger that the site was last met with; null before it was. */
  position(at: Revision): PositionToken | null {
    const cluster = this.#cluster ?? this.#stored?.cluster ?? null;
    const epoch = this.#epoch?.nonce ?? this.#stored?.epoch ?? null;
    if (!isClusterId(cluster) || epoch === null) return null;
    return { cluster, partition: PARTITION, epoch, revision: at };
  }

  /** True if the mirror on this device holds all of that prefix, as of the cursor. */
  coversPrefix(prefix: Uint8Array, mirrored: boolean): boolean {
    return this.#stored !== null && coversPrefix(this.#stored.subscription, prefix, mirrored);
  }

  /** True if the stream has to begin anew to bring it. @throws OpenClawError OVERLOADED: one stream brings no more */
  want(more: Subscription): boolean {
    if (covers(this.#wanted, more)) return false;
    this.#wanted = fitting(union(this.#wanted, more));
    return true;
  }

  /**
   * What to ask of the parent when a connection begins. What the one before brought is stored by then, or known not to be:
   * coming later, it would move the cursor of a stream that begins anew past what that has to bring.
   */
  async hello(): Promise<Hello["down"]> {
    await this.#storing;
    if (isEmpty(this.#wanted)) return null;
    // What was streamed on goes on; a wider wish begins again, as what was left out before is wanted now.
    const goesOn = covers(this.#streamed, this.#wanted);
    if (!goesOn) this.#cursor = revision(0);
    this.#streamed = this.#wanted;
    this.#written = this.#cursor;
    return {
      subscription: this.#wanted,
      cursor: this.#cursor,
      epoch: this.#epoch?.nonce ?? this.#stored?.epoch ?? null,
      hash: null,
    };
  }

  /** @throws OpenClawError WRONG_CLUSTER; WRONG_EPOCH: what is here is of another epoch, `forget` it */
  welcomed(cluster: ClusterId, epoch: Epoch): void {
    const knownCluster = this.#cluster ?? this.#stored?.cluster ?? cluster;
    if (knownCluster !== cluster)
      throw new OpenClawError("WRONG_CLUSTER", `this device holds data of ${knownCluster}, not of ${cluster}`);
    const known = this.#epoch?.nonce ?? this.#stored?.epoch ?? epoch.nonce;
    if (known !== epoch.nonce)
      throw new OpenClawError("WRONG_EPOCH", `this device knew epoch ${known}, the site is in ${epoch.nonce}`);
    this.#cluster = cluster;
    this.#epoch = epoch;
  }

  /** L3: the parent is in another epoch. The stream begins from nothing. */
  forget(): void {
    this.#epoch = null;
    this.#stored = null;
    this.#cursor = revision(0);
    this.#streamed = NOTHING;
  }

  /** What stands in storage, with how far the parent's parent is now; null while nothing does. */
  stored(): DownCursor | null {
    return this.#stored === null ? null : { ...this.#stored, ...this.#upstream() };
  }

  #upstream(): Pick<DownCursor, "upstream" | "upstreamEpoch"> {
    const { upstream, upstreamEpoch } = this.#host.rungs;
    return { upstream, upstreamEpoch };
  }

  /** What stands in storage with the next events, or null while nothing new may. */
  #position(): DownCursor | null {
    if (this.#cluster === null || this.#epoch === null || isEmpty(this.#streamed)) return null;
    // A stream that was begun anew is behind what is stored, and brings what is known: the old cursor stands till then.
    if (
      this.#stored !== null &&
      this.#cursor < this.#stored.cursor &&
      !covers(this.#stored.subscription, this.#streamed)
    )
      return null;
    return {
      cluster: this.#cluster,
      epoch: this.#epoch.nonce,
      cursor: this.#cursor,
      subscription: this.#streamed,
      ...this.#upstream(),
    };
  }

  received(run: EventRun): void {
    this.#runs.push(run);
    this.#storing ??= this.#store();
  }

  async #store(): Promise<void> {
    try {
      while (this.#runs.length > 0) await this.#take(this.#runs.splice(0));
    } catch (error) {
      if (error instanceof InvariantViolation) throw error;
      this.#runs = [];
      this.#host.failed(asOpenClawError(error));
    } finally {
      // In the turn that found nothing left: a run that comes in the next one begins anew.
      this.#storing = null;
    }
  }

  async #take(runs: readonly EventRun[]): Promise<void> {
    const to = runs.at(-1)?.to ?? this.#cursor;
    const taken = new Taken();
    for (const { items } of runs) {
      for (const item of items)
        if (item.kind === "body")
          taken.add(decodeRecord(item.record), (event, mirrored) => this.#isKnown(event, mirrored, item.revision));
    }
    const before = this.#cursor;
    this.#cursor = to;
    const down = this.#position();
    if (!runs.every(({ items }) => isBare(items)) || to - this.#written >= UNWRITTEN_MAX) {
      const write: ClientWrite = { ...taken.write(), ...(down === null ? {} : { down }) };
      try {
        await this.#host.journal.commit({ write });
      } catch (error) {
        this.#cursor = before;
        throw error;
      }
      this.#written = to;
    }
    if (down !== null) this.#stored = down;
    for (const { hashes, at } of taken.committed) this.#host.rungs.committed(hashes, at);
    for (const { collection, document, changes } of taken.documents.values())
      this.#host.documents.received(collection, document, changes);
    this.#host.keys.received(taken.events, to);
    if (taken.committed.length > 0) this.#host.documents.rungsMoved();
    this.#host.taken(to);
  }

  /** In a stream that was begun anew: this was taken before, and what came after it since then must not be undone. */
  #isKnown(event: LedgerRecord["events"][number], mirrored: boolean, at: Revision): boolean {
    return (
      this.#stored !== null && at <= this.#stored.cursor && coversEvent(this.#stored.subscription, event, mirrored)
    );
  }
}

/** @throws OpenClawError OVERLOADED */
function fitting(subscription: Subscription): Subscription {
  if (fits(subscription)) return subscription;
  throw new OpenClawError(
    "OVERLOADED",
    `more than ${SUBSCRIPTION_ITEMS_MAX} prefixes, or collections, in one subscription; a shorter prefix brings many`,
  );
}

/** Records sorted by what they concern. */
class Taken {
  readonly documents = new Map<string, { collection: string; document: string; changes: DocumentChange[] }>();
  readonly committed: { readonly hashes: readonly ChangeHash[]; readonly at: Revision }[] = [];
  readonly events: KeyEvent[] = [];
  readonly #mirror = new Map<
    string,
    { readonly key: Uint8Array; readonly origin: string | null; readonly row: MirrorRow | null }
  >();

  add(record: LedgerRecord, isKnown: (event: LedgerRecord["events"][number], mirrored: boolean) => boolean): void {
    const origin = record.origin?.cluster ?? null;
    const at = record.origin?.revision ?? record.revision;
    const { principal, time } = record;
    const hashes: ChangeHash[] = [];
    for (const event of record.events) {
      if (event.kind === "change") hashes.push(event.change.hash);
      if (isKnown(event, origin !== null)) continue;
      switch (event.kind) {
        case "change":
          this.#change(event.collection, event.document, event.change);
          break;
        case "put": {
          const { key, value } = event;
          this.events.push({ kind: "put", key, value, origin, revision: at, principal, time });
          this.#mirrored({ key, origin, row: { key, origin, value, modRevision: at } });
          break;
        }
        case "delete":
          this.events.push({
            kind: "delete",
            key: event.key,
            value: new Uint8Array(0),
            origin,
            revision: at,
            principal,
            time,
          });
          this.#mirrored({ key: event.key, origin, row: null });
          break;
      }
    }
    if (hashes.length > 0) this.committed.push({ hashes, at: record.revision });
  }

  write(): ClientWrite {
    const rows = [...this.#mirror.values()];
    return {
      changes: [...this.documents.values()],
      mirrorPuts: rows.flatMap(({ row }) => (row === null ? [] : [row])),
      mirrorDeletes: rows.filter(({ row }) => row === null),
    };
  }

  #change(collection: string, document: string, change: DocumentChange): void {
    const name = JSON.stringify([collection, document]);
    const known = this.documents.get(name);
    if (known === undefined) this.documents.set(name, { collection, document, changes: [change] });
    else known.changes.push(change);
  }

  #mirrored(entry: { readonly key: Uint8Array; readonly origin: string | null; readonly row: MirrorRow | null }): void {
    const name = mirrorName(entry);
    // Inserted anew, so that the last write stands last.
    this.#mirror.delete(name);
    this.#mirror.set(name, entry);
  }
}
