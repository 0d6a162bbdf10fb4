/** How far each document change is safe: the facts, and who waits for them. */
import { OpenClawError } from "../errors.ts";
import { type ChangeHash, type Revision, revision } from "../ids.ts";
import { hashesOf } from "./outbox-row.ts";
import type { Awaiting, DownCursor, FailedRow, OutboxRow, Rung } from "./store.ts";

const ORDER: Readonly<Record<Rung, number>> = { device: 1, site: 2, hub: 3 };
const rank = (rung: Rung | null): number => (rung === null ? 0 : ORDER[rung]);

/** Committed changes whose own revision is remembered. */
const COMMITTED_MAX = 20_000;
/** Provisional changes that are remembered, also those that never came: what one of them says after that is of no use. */
const PROVISIONAL_MAX = 4_096;

interface Waiter {
  readonly rung: Rung;
  readonly resolve: () => void;
  readonly reject: (error: OpenClawError) => void;
}

export class Rungs {
  /** Made on this device, and since this page began or not yet at the hub then. */
  readonly #own = new Set<ChangeHash>();
  /** Made here and not stored: not yet, or never, as `#failed` then says. */
  readonly #unsaved = new Set<ChangeHash>();
  /** Others', shown before they are committed (D5): on no rung, and not stored. Until when each shows; oldest first. */
  readonly #provisional = new Map<ChangeHash, number>();
  /** In an outbox of this device. */
  readonly #queued = new Set<ChangeHash>();
  /** Committed by the site at this revision, and not known to be at the hub. */
  readonly #committed = new Map<ChangeHash, Revision>();
  readonly #failed = new Map<ChangeHash, OpenClawError>();
  readonly #waiters = new Map<ChangeHash, Waiter[]>();
  /** Callers who wait for a revision to reach the hub. */
  #revisionWaiters: {
    readonly at: Revision;
    readonly resolve: () => void;
    readonly reject: (error: OpenClawError) => void;
  }[] = [];
  /** Counts the sites, and the epochs of each, that this session followed: a revision says nothing in another one. */
  #life = 0;
  /** Why the last one is over. */
  #parting = anotherLife();
  #upstream = revision(0);
  /** Nonce of the hub's epoch in which that is so; null before the hub was heard of. */
  #upstreamEpoch: string | null = null;
  /** Changes that are stored, and of which no revision is known, are at most of this one; null: it is not known whether the site has them. */
  #storedTo: Revision | null = revision(0);

  /** What the device's storage knows at start. */
  restore(
    outbox: Iterable<OutboxRow>,
    awaiting: readonly Awaiting[],
    failed: readonly FailedRow[],
    { upstream, upstreamEpoch }: Pick<DownCursor, "upstream" | "upstreamEpoch">,
    storedTo: Revision | null,
  ): void {
    this.#upstream = upstream;
    this.#upstreamEpoch = upstreamEpoch;
    this.#storedTo = storedTo;
    this.restoreRows(outbox, failed);
    for (const { document, revision: at } of awaiting)
      for (const hash of document?.hashes ?? []) this.#committed.set(hash, at);
    for (const hash of this.#committed.keys()) this.#own.add(hash);
  }

  /** Rows that wait, and refused ones, that another session, or another device, made. */
  restoreRows(outbox: Iterable<OutboxRow>, failed: readonly FailedRow[]): void {
    for (const row of outbox) for (const hash of hashesOf(row)) this.#queued.add(hash);
    for (const row of failed)
      for (const hash of hashesOf(row)) this.#failed.set(hash, new OpenClawError(row.code, row.details));
    for (const hashes of [this.#queued, this.#failed.keys()])
      for (const hash of hashes) {
        this.#own.add(hash);
        this.#unsaved.delete(hash);
        this.#provisional.delete(hash);
      }
  }

  isOwn(hash: ChangeHash): boolean {
    return this.#own.has(hash);
  }

  get upstream(): Revision {
    return this.#upstream;
  }

  /** Grows when the site is met in another epoch, or another site is. */
  get life(): number {
    return this.#life;
  }

  /** Why what was known in the life before counts no more. */
  get parting(): OpenClawError {
    return this.#parting;
  }

  get upstreamEpoch(): string | null {
    return this.#upstreamEpoch;
  }

  /** Null while it is on no rung: not yet, or never, stored on this device. */
  rung(hash: ChangeHash): Rung | null {
    if (this.#unsaved.has(hash) || this.#provisional.has(hash)) return null;
    const at = this.#committed.get(hash);
    if (at !== undefined) return at <= this.#upstream ? "hub" : "site";
    if (this.#queued.has(hash) || this.#failed.has(hash) || this.#storedTo === null) return "device";
    // At a site that has no hub, or has not told of it, nothing is there.
    return this.#upstreamEpoch !== null && this.#storedTo <= this.#upstream ? "hub" : "site";
  }

  failure(hash: ChangeHash): OpenClawError | null {
    return this.#failed.get(hash) ?? null;
  }

  /** The rung on which all of them are; null while one is on none. */
  least(hashes: readonly ChangeHash[]): Rung | null {
    let least: Rung | null = "hub";
    for (const hash of hashes) {
      const rung = this.rung(hash);
      if (rank(rung) < rank(least)) least = rung;
    }
    return least;
  }

  /** Made here, or what that was made upon (D5). */
  made(hashes: readonly ChangeHash[]): void {
    for (const hash of hashes) {
      this.#own.add(hash);
      this.#unsaved.add(hash);
      this.#provisional.delete(hash);
    }
  }

  /** Others' that show, and are nowhere. */
  provisional(hashes: readonly ChangeHash[], until: number): void {
    for (const hash of hashes) this.#provisional.set(hash, until);
    for (const hash of this.#provisional.keys()) {
      if (this.#provisional.size <= PROVISIONAL_MAX) break;
      this.#provisional.delete(hash);
      this.#reject(hash, notInTime());
    }
  }

  /** Who waits for a provisional one whose time is over waits no more. @returns for how long others wait, ms */
  timeLeft(hash: ChangeHash, now: number): number {
    const left = (this.#provisional.get(hash) ?? 0) - now;
    if (left <= 0 && this.#provisional.has(hash)) this.#reject(hash, notInTime());
    return left;
  }

  /** They are stored here. */
  received(hashes: readonly ChangeHash[]): void {
    for (const hash of hashes) this.#provisional.delete(hash);
  }

  /** Another session of this device has stored them. */
  elsewhere(hashes: readonly ChangeHash[]): void {
    for (const hash of hashes) {
      this.#own.add(hash);
      if (this.#unsaved.delete(hash)) this.#failed.delete(hash);
      this.#provisional.delete(hash);
      if (!this.#committed.has(hash)) this.#queued.add(hash);
    }
  }

  stored(hashes: readonly ChangeHash[]): void {
    for (const hash of hashes) {
      if (this.#unsaved.delete(hash)) this.#failed.delete(hash);
      this.#queued.add(hash);
      this.#tell(hash);
    }
  }

  notStored(hashes: readonly ChangeHash[], error: OpenClawError): void {
    for (const hash of hashes) {
      // What the edit followed (D5), and came with the site's stream meanwhile, is stored by that.
      if (this.#committed.has(hash)) continue;
      this.#failed.set(hash, error);
      this.#reject(hash, error);
    }
  }

  /** The site holds them at `at`: an outcome says so, or an event that brought them. They are stored here. */
  committed(hashes: readonly ChangeHash[], at: Revision): void {
    for (const hash of hashes) {
      // One that was discarded when it was on its way there has come back.
      this.#unsaved.delete(hash);
      this.#provisional.delete(hash);
      this.#queued.delete(hash);
      this.#failed.delete(hash);
      const known = this.#committed.get(hash);
      if (known === undefined || known > at) this.#committed.set(hash, at);
      this.#tell(hash);
    }
    if (this.#committed.size > COMMITTED_MAX) this.#forgetOldest();
  }

  /** They are stored on this device, and refused, or kept out of their document. */
  failed(hashes: readonly ChangeHash[], error: OpenClawError): void {
    for (const hash of hashes) {
      this.#unsaved.delete(hash);
      this.#queued.delete(hash);
      if (this.#committed.has(hash)) continue;
      this.#failed.set(hash, error);
      this.#reject(hash, error);
    }
  }

  /** Refused ones wait for the site again. */
  queuedAgain(hashes: readonly ChangeHash[]): void {
    for (const hash of hashes) if (this.#failed.delete(hash)) this.#queued.add(hash);
  }

  /** They are on this device no more, unless the site has them. */
  discarded(hashes: readonly ChangeHash[], error: OpenClawError): void {
    for (const hash of hashes) {
      this.#queued.delete(hash);
      this.#failed.delete(hash);
      if (this.#committed.has(hash)) continue;
      this.#unsaved.add(hash);
      this.#failed.set(hash, error);
      this.#reject(hash, error);
    }
  }

  /**
   * The hub holds the site's ledger up to here. True if that is news: within an epoch of the hub's only what is more; in
   * another one the rung of what lies above is withdrawn (L3).
   */
  hubHolds(upstream: Revision, epoch: string | null): boolean {
    if (epoch === this.#upstreamEpoch ? upstream <= this.#upstream : epoch === null) return false;
    this.#upstream = upstream;
    this.#upstreamEpoch = epoch;
    for (const hash of [...this.#waiters.keys()]) this.#tell(hash);
    const reached = this.#revisionWaiters.filter(({ at }) => at <= upstream);
    this.#revisionWaiters = this.#revisionWaiters.filter(({ at }) => at > upstream);
    for (const { resolve } of reached) resolve();
    return true;
  }

  /**
   * L3: the site is in another epoch, and its revisions mean something else. What is not known to be at the hub is only
   * known to be on this device, until it is told anew.
   */
  withdraw(): void {
    for (const [hash, at] of this.#committed) if (at > this.#upstream) this.#queued.add(hash);
    this.#committed.clear();
    if (this.#storedTo !== null) this.#storedTo = this.#storedTo > this.#upstream ? null : revision(0);
    this.#begin(anotherLife());
  }

  /** Another site is followed: what the one before confirmed says nothing of it, until it is told what this one has. */
  leave(to: string): void {
    for (const hash of this.#committed.keys()) this.#queued.add(hash);
    this.#committed.clear();
    this.#storedTo = null;
    this.#upstreamEpoch = null;
    this.#begin(new OpenClawError("WRONG_CLUSTER", `this device follows ${to} by now, another site than this write's`));
  }

  /** Every stored change that waits in no outbox is at the site, at a revision of at most this one. */
  matched(at: Revision): void {
    this.#storedTo = at;
  }

  /** A revision at which the site holds it; null where it is on `device`, or on no rung. */
  heldAt(hash: ChangeHash): Revision | null {
    const rung = this.rung(hash);
    return rung === null || rung === "device" ? null : (this.#committed.get(hash) ?? this.#storedTo);
  }

  #begin(parting: OpenClawError): void {
    this.#upstream = revision(0);
    this.#life++;
    this.#parting = parting;
    const waiters = this.#revisionWaiters;
    this.#revisionWaiters = [];
    for (const { reject } of waiters) reject(parting);
  }

  /** @throws OpenClawError what the edit failed with */
  settled(hash: ChangeHash, rung: Rung): Promise<void> {
    const failure = this.#failed.get(hash);
    if (failure !== undefined && (rung !== "device" || this.#unsaved.has(hash))) return Promise.reject(failure);
    if (rank(this.rung(hash)) >= rank(rung)) return Promise.resolve();
    return new Promise((resolve, reject) => {
      const waiters = this.#waiters.get(hash);
      const waiter = { rung, resolve, reject };
      if (waiters === undefined) this.#waiters.set(hash, [waiter]);
      else waiters.push(waiter);
    });
  }

  /**
   * Whoever asks for what the site has just committed at a revision hears when that is at the hub.
   * @throws OpenClawError from what it returns: WRONG_EPOCH, the site went on in another epoch; WRONG_CLUSTER, another one
   * is followed
   */
  atHub(at: Revision): () => Promise<void> {
    const life = this.#life;
    return () => {
      if (life !== this.#life) return Promise.reject(this.#parting);
      if (at <= this.#upstream) return Promise.resolve();
      return new Promise((resolve, reject) => this.#revisionWaiters.push({ at, resolve, reject }));
    };
  }

  #tell(hash: ChangeHash): void {
    const waiters = this.#waiters.get(hash);
    if (waiters === undefined) return;
    const reached = rank(this.rung(hash));
    const left = waiters.filter((waiter) => rank(waiter.rung) > reached);
    for (const waiter of waiters) if (rank(waiter.rung) <= reached) waiter.resolve();
    if (left.length === 0) this.#waiters.delete(hash);
    else this.#waiters.set(hash, left);
  }

  #reject(hash: ChangeHash, error: OpenClawError): void {
    for (const waiter of this.#waiters.get(hash) ?? []) waiter.reject(error);
    this.#waiters.delete(hash);
  }

  /** The oldest half counts from now on with the newest revision among it. */
  #forgetOldest(): void {
    for (const [hash, at] of this.#committed) {
      if (this.#committed.size <= COMMITTED_MAX / 2) break;
      this.#committed.delete(hash);
      if (this.#storedTo !== null && at > this.#storedTo) this.#storedTo = at;
    }
  }
}

const notInTime = (): OpenClawError => new OpenClawError("UNAVAILABLE", "it was shown, and not committed in time");

const anotherLife = (): OpenClawError =>
  new OpenClawError("WRONG_EPOCH", "the site went on in another epoch, which may lack this write; read, then decide");
