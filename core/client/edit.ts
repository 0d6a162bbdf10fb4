/** What a local write gives its caller: promises for the rungs it climbs (DESIGN §1). */
import { InvariantViolation, invariant, type OpenClawError, unreachable } from "../errors.ts";
import type { ChangeHash, Revision } from "../ids.ts";
import type { CommandResponse, Outcome, UserCommand } from "../state-machine/command.ts";
import type { TxnResponse } from "../state-machine/operation.ts";
import { isNothing } from "./nothing.ts";
import type { Rungs } from "./rungs.ts";
import type { Rung } from "./store.ts";

/** Whether it changes what an app holds. What keeps leases, or cuts the past, is upkeep: nobody waits to see it saved. */
export function isEdit(command: UserCommand): boolean {
  const { kind } = command;
  switch (kind) {
    case "leaseGrant":
    case "leaseKeepAlive":
    case "leaseRevoke":
    case "compact":
    case "setHome":
      return false;
    case "put":
    case "deleteRange":
    case "addressed":
    case "change":
      return true;
    case "txn":
      return !isNothing(command);
    default:
      return unreachable(kind);
  }
}

export interface Edit {
  /** The document changes it made; empty for a key, and for an edit that changed nothing. */
  readonly hashes: readonly ChangeHash[];
  /**
   * Resolves when the device's store has it for good (S1): in a browser at the end of a strict transaction and of the flush of a
   * second copy (docs/outbox.md). @throws OpenClawError CLIENT_STORAGE_FAILED, OVERLOADED
   */
  readonly device: Promise<void>;
  /**
   * Resolves with the site's revision when a majority of the site has it on disk.
   * @throws OpenClawError what the site refused it with: COMPARE_FAILED, FORBIDDEN, QUARANTINED, SESSION_EXPIRED, …;
   * STOPPED: the client was stopped before it was told, and what is stored goes to the site with the next session;
   * WRONG_CLUSTER: another site is followed, and a key's write waits here until its own is met again
   */
  readonly site: Promise<Revision>;
  /**
   * Resolves when a majority of the site's parent has it on disk: never at a site without a parent.
   * @throws OpenClawError as `site`; WRONG_EPOCH: the site was restored before it was known to be there, and may lack a key's
   * write (a document's change is sent again)
   */
  hub(): Promise<void>;
  /**
   * Resolves with the revision that it took at the home of its keys: the site's, or where that is elsewhere, the one after
   * it was queued there and has run (Q2).
   * @throws OpenClawError as `site`; what the home refused it with; OUTCOME_UNKNOWN, STOPPED
   */
  home(): Promise<Revision>;
  /** How far it is now; null while it is on no rung. `Client.subscribe` says when to look again. */
  rung(): Rung | null;
  /**
   * Why it climbs no further; null while it may. On no rung: it was not stored, or WRONG_EPOCH, as the site went on in
   * another epoch, which may lack it (L3), or WRONG_CLUSTER, as another site is followed.
   */
  failure(): OpenClawError | null;
}

/** What is known of rungs; and what becomes of a command that was queued at a revision. */
export type Further = readonly [rungs: Rungs, whenHome: WhenHome];
type WhenHome = (at: Revision) => Promise<Extract<Outcome, { ok: true }>>;

const neverQueued: WhenHome = () => Promise.reject(new InvariantViolation("only a command on keys is queued"));

export interface TxnEdit extends Edit {
  /** Resolves with what the transaction did, when `home` does. @throws OpenClawError as `home`; NOT_FOUND, RESPONSE_TOO_LARGE, … */
  readonly response: Promise<TxnResponse>;
}

/** The side of an edit that its owner settles. */
export class LocalEdit implements Edit {
  readonly hashes: readonly ChangeHash[];
  readonly device: Promise<void>;
  readonly site: Promise<Revision>;
  readonly #rungs: Rungs;
  readonly #whenHome: WhenHome;
  #atHub: () => Promise<void> = () => Promise.resolve();
  #home: Promise<Revision> | null = null;
  #isStored = false;
  #committedAt: { readonly revision: Revision; readonly life: number } | null = null;
  /** Why it never reached this device's storage. */
  #loss: OpenClawError | null = null;
  #refusal: OpenClawError | null = null;
  #stored: () => void = () => {};
  #committed: (at: Revision) => void = () => {};
  #failDevice: (error: OpenClawError) => void = () => {};
  #failSite: (error: OpenClawError) => void = () => {};

  constructor(hashes: readonly ChangeHash[], rungs: Rungs, whenHome: WhenHome = neverQueued) {
    this.hashes = hashes;
    this.#rungs = rungs;
    this.#whenHome = whenHome;
    this.device = new Promise((resolve, reject) => {
      this.#stored = resolve;
      this.#failDevice = reject;
    });
    this.site = new Promise((resolve, reject) => {
      this.#committed = resolve;
      this.#failSite = reject;
    });
    // A caller need not look at both. What failed is in the client's status and list of failed edits, too.
    this.device.catch(() => undefined);
    this.site.catch(() => undefined);
  }

  hub(): Promise<void> {
    return this.site.then(() => this.#atHub());
  }

  home(): Promise<Revision> {
    return this.site.then((at) => this.#home ?? at);
  }

  /** Called when it is committed: a revision says nothing in another epoch of the site. */
  #whenHub(at: Revision): () => Promise<void> {
    const atHub = this.#rungs.atHub(at);
    if (this.hashes.length === 0) return atHub;
    // Changes are sent again in that one, and have another revision.
    const inAnotherEpoch = async (): Promise<void> =>
      void (await Promise.all(this.hashes.map((hash) => this.#rungs.settled(hash, "hub"))));
    return () => atHub().catch(inAnotherEpoch);
  }

  rung(): Rung | null {
    if (this.#loss !== null) return null;
    // The rungs know more of a change than its edit: it may have come to the site by another way, or be sent again.
    if (this.hashes.length > 0) return this.#rungs.least(this.hashes);
    if (this.#committedAt === null) return this.#isStored ? "device" : null;
    if (this.#isOfAnotherLife()) return null;
    return this.#committedAt.revision <= this.#rungs.upstream ? "hub" : "site";
  }

  failure(): OpenClawError | null {
    if (this.#loss !== null) return this.#loss;
    for (const hash of this.hashes) {
      const failure = this.#rungs.failure(hash);
      if (failure !== null) return failure;
    }
    if (this.hashes.length > 0) return null;
    if (this.#isOfAnotherLife()) return this.#rungs.parting;
    return this.#refusal;
  }

  #isOfAnotherLife(): boolean {
    return this.#committedAt !== null && this.#committedAt.life !== this.#rungs.life;
  }

  stored(): void {
    this.#isStored = true;
    this.#stored();
  }

  committed(at: Revision, response: CommandResponse | null): void {
    this.#atHub = this.#whenHub(at);
    if (response?.kind === "queued") {
      const ran = this.#whenHome(at);
      this.#home = ran.then(({ revision }) => revision);
      // Nobody need look.
      this.#home.catch(() => undefined);
      ran.then(
        (outcome) => this.responded(outcome.response),
        (error: unknown) => this.notResponded(error),
      );
    } else {
      this.responded(response);
    }
    this.#committedAt = { revision: at, life: this.#rungs.life };
    this.#stored();
    this.#committed(at);
  }

  /** Of a kind that is told what it did. */
  protected responded(_response: CommandResponse | null): void {}
  protected notResponded(_error: unknown): void {}

  /** It never reached this device's storage. */
  notStored(error: OpenClawError): void {
    this.#loss = error;
    this.#failDevice(error);
    this.#failSite(error);
  }

  /** It is stored here, and the parent refused it; or STOPPED: what the parent says will not be heard in this session. */
  refused(error: OpenClawError): void {
    if (error.code !== "STOPPED") this.#refusal = error;
    this.#failSite(error);
  }
}

export class LocalTxnEdit extends LocalEdit implements TxnEdit {
  readonly response: Promise<TxnResponse>;
  #respond: (response: TxnResponse) => void = () => {};
  #fail: (error: unknown) => void = () => {};

  constructor(...further: Further) {
    super([], ...further);
    const told = new Promise<TxnResponse>((resolve, reject) => {
      this.#respond = resolve;
      this.#fail = reject;
    });
    told.catch(() => undefined);
    this.response = this.site.then(() => told);
    this.response.catch(() => undefined);
  }

  protected override responded(response: CommandResponse | null): void {
    invariant(response?.kind === "txn", "a transaction is answered as one");
    this.#respond(response);
  }

  protected override notResponded(error: unknown): void {
    this.#fail(error);
  }
}

/**
 * The transaction of whoever repeats it until it succeeds, or has no use for it later: a refusal is told to its caller
 * alone, and is not kept among the failed edits.
 */
export class AttemptEdit extends LocalTxnEdit {}
