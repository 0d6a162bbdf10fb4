/**
 * What the parent streams down: stored first, in one write with the cursor, then shown, then acknowledged (S1). Knows how
 * far it is, and what it holds.
 */
import { asOpenClawError, InvariantViolation, OpenClawError } from "../errors.ts";
import { type ClusterId, type Epoch, isClusterId, PARTITION, type Revision, revision } from "../ids.ts";
import type { DocumentName } from "../ledger/document-names.ts";
import type { PositionToken } from "../ledger/position-token.ts";
import { common, isSame } from "../ledger/scope.ts";
import type { SnapshotStep } from "../ledger/snapshot.ts";
import { isWhole } from "../ledger/snapshot.ts";
import { bringsDocument, NOTHING, type Subscription } from "../ledger/subscription.ts";
import { SUBSCRIPTION_ITEMS_MAX } from "../limits.ts";
import type { ChildLink, Hello } from "../sync/child-link.ts";
import { isBare } from "../sync/run.ts";
import type { Documents } from "./documents.ts";
import type { Inspection } from "./inspection.ts";
import type { Journal } from "./journal.ts";
import type { Keys } from "./keys.ts";
import type { SyncProgress } from "./options.ts";
import type { Quarantines, ReceivedChanges } from "./quarantines.ts";
import { type Run, stepsOf, takeRuns } from "./run-steps.ts";
import type { Rungs } from "./rungs.ts";
import type { ClientStore, DownCursor, SiteLife } from "./store.ts";
import { covers, coversPrefix, fits, isEmpty, union, withRoom } from "./subscription.ts";
import type { Taken } from "./taken.ts";
import type { Place, snapshotAfter, takenOfPiece } from "./taken-snapshot.ts";

/** Bare revisions that may be taken without being written down: a restart asks for them again. */
const UNWRITTEN_MAX = 4_096;
const BEGINNING: Place = { cursor: revision(0), held: NOTHING, snapshot: null };

/** What it takes the stream with. */
interface Taking {
  readonly Taken: typeof Taken;
  readonly snapshotAfter: typeof snapshotAfter;
  readonly takenOfPiece: typeof takenOfPiece;
}

export interface DownHost {
  readonly inspection: Inspection;
  readonly journal: Journal;
  readonly store: Pick<ClientStore, "mirror">;
  readonly rungs: Rungs;
  readonly documents: Documents;
  readonly keys: Keys;
  readonly quarantines: Quarantines;
  online(): Promise<Taking>;
  /** Everything up to here is stored. */
  taken(cursor: Revision): void;
  /** The next step of a snapshot is stored. */
  snapshotTaken(): void;
  failed(error: OpenClawError): void;
  /** `progress` changed. */
  changed(): void;
  /** The connection that there is. */
  link(): Pick<ChildLink, "open" | "subscribe"> | null;
  /** Ends it, and makes another one. */
  restart(): void;
}

export class Down {
  readonly #host: DownHost;
  #wanted: Subscription;
  /** What the parent was asked for last, over the connection that there is; null: for nothing so far. */
  #asked: Subscription | null = null;
  /** What is here: `held` as of the cursor. Moves when it is stored, so that nobody reads less than was told. */
  #place: Place;
  #written: Revision;
  #cluster: string | null = null;
  #epoch: Epoch | null = null;
  /** What storage says. */
  #stored: DownCursor | null;
  /** Bounded by the credit that the parent has. */
  #waiting: (Run | SnapshotStep)[] = [];
  #storing: Promise<void> | null = null;
  #beginning: Promise<void> = Promise.resolve();
  /** This device came from another site, and has not offered this one all its documents. */
  #isUnmatched: boolean;
  /** The site said that it has nothing, and nothing came since. */
  #isNothingThere = false;

  constructor(host: DownHost, stored: DownCursor | null, wanted: Subscription) {
    this.#host = host;
    this.#stored = stored;
    this.#isUnmatched = stored?.unmatched === true;
    this.#place =
      stored === null ? BEGINNING : { cursor: stored.cursor, held: stored.subscription, snapshot: stored.snapshot };
    // What earlier sessions wanted gives way: a subscription is never given up while its session lives.
    const both = withRoom(union(this.#place.held, wanted), (name) => bringsDocument(wanted, name));
    this.#wanted = fits(both) ? both : fitting(wanted);
    this.#written = this.#place.cursor;
  }

  get cursor(): Revision {
    return this.#place.cursor;
  }

  /** The site's name; null before one was met. */
  get cluster(): string | null {
    return this.#cluster ?? this.#stored?.cluster ?? null;
  }

  progress(): SyncProgress {
    const { snapshot } = this.#place;
    if (snapshot !== null) return { kind: "snapshot", received: snapshot.received, expected: snapshot.expected };
    // What is stored, and not what the parent was asked for: that may bring more than is here.
    const isHere = this.#isNothingThere || covers(this.#stored?.subscription ?? NOTHING, this.#wanted);
    return { kind: isHere ? "streaming" : "waiting" };
  }

  /** Something is to come of the site, and nothing came yet. */
  get awaitsFirst(): boolean {
    return this.#place.cursor === 0 && !this.#isNothingThere && !isEmpty(this.#wanted);
  }

  /** Nothing will: the site has nothing, and so all of it is here. */
  nothingThere(): void {
    if (!this.awaitsFirst) return;
    this.#isNothingThere = true;
    this.#host.changed();
  }

  /** Nonce of the epoch in which the site is known here; null before it was met. */
  get epoch(): string | null {
    return this.#epoch?.nonce ?? this.#stored?.epoch ?? null;
  }

  /** The site that is followed, in the epoch in which it is known here; null before it was met. */
  get site(): SiteLife | null {
    const { cluster, epoch } = this;
    return cluster === null || epoch === null ? null : { cluster, epoch };
  }

  get isUnmatched(): boolean {
    return this.#isUnmatched;
  }

  /** A revision of the ledger that the site was last met with; null before it was. */
  position(at: Revision): PositionToken | null {
    const { cluster, epoch } = this;
    if (!isClusterId(cluster) || epoch === null) return null;
    return { cluster, partition: PARTITION, epoch, revision: at };
  }

  /** True if the mirror on this device holds all of that prefix, as of the cursor. */
  coversPrefix(prefix: Uint8Array, mirrored: boolean): boolean {
    return this.#stored !== null && coversPrefix(this.#stored.subscription, prefix, mirrored);
  }

  /** @throws OpenClawError OVERLOADED: one stream brings no more */
  want(more: Subscription): void {
    if (!covers(this.#wanted, more)) this.#want(fitting(union(this.#wanted, more)));
  }

  /**
   * A document that is opened is kept up to date from now on, and after it is closed. Of more than one stream brings, those
   * give way that were opened longest ago and are not open: what is here of them stays.
   */
  wantDocument(name: DocumentName): void {
    // Also one that is wanted already: it was opened last.
    const both = union(this.#wanted, { ...NOTHING, documents: [name] });
    this.#want(fitting(withRoom(both, (one) => this.#host.documents.isOpen(one))));
  }

  #want(wanted: Subscription): void {
    const isMore = !covers(this.#wanted, wanted);
    this.#wanted = wanted;
    if (!isMore) return;
    this.turn();
    this.#host.changed();
  }

  /**
   * Has the stream bring what is wanted, where it does not; one that begins later is asked for what is wanted by then. What
   * is half replaced the parent makes whole first.
   */
  turn(): void {
    const link = this.#host.link();
    if (link?.open !== true || isEmpty(this.#wanted)) return;
    // Nothing is streamed: that begins with a connection.
    if (this.#asked === null) return this.#host.restart();
    if (isSame(this.#asked, this.#wanted)) return;
    this.#asked = this.#wanted;
    link.subscribe(this.#wanted);
  }

  /**
   * What to ask of the parent when a connection begins. What the one before brought is stored by then, or known not to be:
   * coming later, it would move a cursor that was told already.
   */
  async hello(): Promise<Hello["down"]> {
    await this.#storing;
    if (isEmpty(this.#wanted)) return null;
    const { cursor } = this.#place;
    let { held, snapshot } = this.#place;
    const begun = snapshot?.head.subscription ?? null;
    // What it was begun with comes first, however much is wanted by now: a large one would never be done.
    const subscription = begun !== null && covers(this.#wanted, begun) ? begun : this.#wanted;
    if (snapshot !== null && subscription !== begun) {
      // What was half replaced is of no revision: all of it has to come again.
      if (isWhole(snapshot.head)) held = NOTHING;
      snapshot = null;
    }
    // A stream from the first revision on brings whatever it is asked for; a later one what it brought so far.
    held = cursor === 0 ? subscription : common(held, subscription);
    this.#place = { cursor, held, snapshot };
    this.#written = cursor;
    this.#asked = subscription;
    const provisional = true;
    return { subscription, cursor, epoch: this.epoch, hash: null, held, snapshot, record: null, provisional };
  }

  /** @throws OpenClawError WRONG_CLUSTER; WRONG_EPOCH: what is here is of another epoch, `forget` it */
  welcomed(cluster: ClusterId, epoch: Epoch): void {
    const knownCluster = this.cluster ?? cluster;
    if (knownCluster !== cluster)
      throw new OpenClawError(
        "WRONG_CLUSTER",
        `this device holds data of ${knownCluster}, not of ${cluster}: another \`name\` keeps them apart, \`roaming\` takes its documents along`,
      );
    const known = this.epoch ?? epoch.nonce;
    if (known !== epoch.nonce)
      throw new OpenClawError("WRONG_EPOCH", `this device knew epoch ${known}, the site is in ${epoch.nonce}`);
    this.#cluster = cluster;
    this.#epoch = epoch;
    if (this.#stored === null) this.#beginning = this.#begin({ cluster, epoch: epoch.nonce });
  }

  /**
   * True when it stands in storage which site is followed. Nothing is sent before: of a row that names no site, a session
   * after a crash would not know that this one may have run it (Q1).
   */
  async begun(): Promise<boolean> {
    await this.#beginning;
    return this.#stored !== null;
  }

  /** Which life of the site this device has met is known to its next session, whatever that subscribes to (L3). */
  async #begin(site: Pick<DownCursor, "cluster" | "epoch">): Promise<void> {
    const down = { ...site, cursor: revision(0), subscription: NOTHING, snapshot: null, ...this.#upstream() };
    try {
      await this.#host.journal.commit({ write: { down } });
      this.#stored ??= down;
    } catch (error) {
      this.#host.failed(asOpenClawError(error));
    }
  }

  /** L3: the parent is in another epoch. The stream begins from nothing. */
  forget(): void {
    this.#cluster = this.cluster;
    this.#epoch = null;
    this.#stored = null;
    this.#place = BEGINNING;
    this.#isNothingThere = false;
  }

  /** Another site is followed: that stands in storage. The stream begins from nothing. */
  moved(to: DownCursor): void {
    this.forget();
    this.#cluster = to.cluster;
    this.#stored = to;
    this.#isUnmatched = to.unmatched === true;
  }

  /** The site was offered every document of this device. */
  matched(): void {
    this.#isUnmatched = false;
  }

  /** That could not be stored: it is offered them again. */
  notMatched(): void {
    this.#isUnmatched = true;
  }

  /** What stands in storage, with how far the parent's parent is now; null while nothing does. */
  stored(): DownCursor | null {
    if (this.#stored === null) return null;
    const { unmatched: _, ...stored } = this.#stored;
    return { ...stored, ...this.#upstream() };
  }

  #upstream(): Pick<DownCursor, "upstream" | "upstreamEpoch" | "unmatched"> {
    const { upstream, upstreamEpoch } = this.#host.rungs;
    return { upstream, upstreamEpoch, ...(this.#isUnmatched ? { unmatched: true } : {}) };
  }

  /** What stands in storage with what is taken next, or null while nothing may. */
  #position({ cursor, held, snapshot }: Place): DownCursor | null {
    if (this.#cluster === null || this.#epoch === null || isEmpty(this.#wanted)) return null;
    const { nonce: epoch } = this.#epoch;
    return { cluster: this.#cluster, epoch, cursor, subscription: held, snapshot, ...this.#upstream() };
  }

  events(run: Run): void {
    this.#waiting.push(...stepsOf(run));
    this.#storing ??= this.#store();
  }

  /** S4. What it replaces is replaced here piece by piece, each in one write with the place that it leads to. */
  snapshot(step: SnapshotStep): void {
    this.#waiting.push(step);
    this.#storing ??= this.#store();
  }

  async #store(): Promise<void> {
    try {
      const taking = await this.#host.online();
      while (this.#waiting.length > 0) {
        const runs = takeRuns(this.#waiting);
        if (runs.length > 0) await this.#take(taking, runs);
        else await this.#takeStep(taking);
        // What is stored is acknowledged at once; the rest waits here, within the parent's credit.
        await this.#host.documents.room();
      }
    } catch (error) {
      if (error instanceof InvariantViolation) throw error;
      this.#waiting = [];
      this.#host.failed(asOpenClawError(error));
    } finally {
      // In the turn that found nothing left: what comes in the next one begins anew.
      this.#storing = null;
    }
  }

  async #take({ Taken }: Taking, runs: readonly Run[]): Promise<void> {
    const to = runs.at(-1)?.to ?? this.#place.cursor;
    const bodies = runs.flatMap(({ items }) => items.flatMap((item) => (item.kind === "body" ? [item.record] : [])));
    const taken = new Taken();
    if (bodies.length > 0) for (const read of await this.#host.inspection.records(bodies)) taken.record(read);
    // A parent that goes on with records has nothing to add: an addition that a cut left open is settled.
    const { snapshot } = this.#place;
    const begun = snapshot !== null && isWhole(snapshot.head) ? snapshot : null;
    const place = { ...this.#place, cursor: to, snapshot: begun };
    // But the first one: from then on it is known that the mirror holds all of what was asked for, if only nothing.
    const isKnown =
      this.#stored !== null && this.#stored.snapshot === begun && isSame(this.#stored.subscription, place.held);
    const unwritten = isKnown && runs.every(({ items }) => isBare(items)) && to - this.#written < UNWRITTEN_MAX;
    // Bare revisions bring nothing but how far this is.
    if (unwritten) this.#show(new Taken(), [], place);
    else await this.#keep(taken, place);
    this.#host.taken(to);
  }

  async #takeStep({ Taken, snapshotAfter, takenOfPiece }: Taking): Promise<void> {
    const step = this.#waiting.shift();
    if (step === undefined || "items" in step) return;
    const place = snapshotAfter(this.#place, step);
    const { head } = this.#place.snapshot ?? {};
    const taken =
      step.kind === "piece" && head !== undefined ? await takenOfPiece(this.#host, head, step.piece) : new Taken();
    await this.#keep(taken, place);
    this.#host.snapshotTaken();
  }

  /** Stores it, then shows it. */
  async #keep(taken: Taken, place: Place): Promise<void> {
    const { journal, quarantines } = this.#host;
    const sifted = quarantines.sift(taken.documents.values());
    const down = this.#position(place);
    const write = { ...taken.write(), ...sifted.write, changes: sifted.documents };
    await journal.commit({ write: { ...write, ...(down === null ? {} : { down }) } });
    this.#written = place.cursor;
    if (down !== null) this.#stored = down;
    quarantines.wrote(sifted.write);
    this.#show(taken, sifted.documents, place);
    this.#host.documents.quarantined(sifted.write.quarantined ?? []);
  }

  #show(taken: Taken, received: readonly ReceivedChanges[], place: Place): void {
    const { rungs, documents, keys } = this.#host;
    this.#place = place;
    this.#isNothingThere &&= place.cursor === 0;
    for (const { hashes, at } of taken.committed) rungs.committed(hashes, at);
    for (const { collection, document, changes } of received) documents.received(collection, document, changes);
    keys.received(taken.events, place.cursor);
    documents.rungsMoved([...taken.documents.values()]);
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
