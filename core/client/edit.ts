/** What a local write gives its caller: promises for the rungs it climbs (DESIGN §1). */
import { invariant, type OpenClawError, unreachable } from "../errors.ts";
import type { ChangeHash, Revision } from "../ids.ts";
import type { UserCommand } from "../state-machine/command.ts";
import type { Response, TxnResponse } from "../state-machine/operation.ts";

/** Whether it changes what an app holds. What keeps leases, or cuts the past, is upkeep: nobody waits to see it saved. */
export function isEdit({ kind }: UserCommand): boolean {
  switch (kind) {
    case "leaseGrant":
    case "leaseKeepAlive":
    case "leaseRevoke":
    case "compact":
      return false;
    case "put":
    case "deleteRange":
    case "txn":
    case "change":
      return true;
    default:
      return unreachable(kind);
  }
}

export interface Edit {
  /** The document changes it made; empty for a key, and for an edit that changed nothing. */
  readonly hashes: readonly ChangeHash[];
  /** Resolves when the edit can no longer be lost by this device (S1). @throws OpenClawError CLIENT_STORAGE_FAILED, OVERLOADED */
  readonly device: Promise<void>;
  /**
   * Resolves with the site's revision when a majority of the site has it on disk.
   * @throws OpenClawError what the site refused it with: COMPARE_FAILED, FORBIDDEN, QUARANTINED, SESSION_EXPIRED, …;
   * STOPPED: the client was stopped before it was told, and what is stored goes to the site with the next session
   */
  readonly site: Promise<Revision>;
  /** Resolves when a majority of the site's parent has it on disk: never at a site without a parent. */
  hub(): Promise<void>;
}

export interface TxnEdit extends Edit {
  /** Resolves with what the transaction did, when `site` does. @throws OpenClawError as `site`; NOT_FOUND, RESPONSE_TOO_LARGE, … */
  readonly response: Promise<TxnResponse>;
}

/** The side of an edit that its owner settles. */
export class LocalEdit implements Edit {
  readonly hashes: readonly ChangeHash[];
  readonly device: Promise<void>;
  readonly site: Promise<Revision>;
  readonly #whenHub: (at: Revision) => Promise<void>;
  #stored: () => void = () => {};
  #committed: (at: Revision) => void = () => {};
  #failDevice: (error: OpenClawError) => void = () => {};
  #failSite: (error: OpenClawError) => void = () => {};

  constructor(hashes: readonly ChangeHash[], whenHub: (at: Revision) => Promise<void>) {
    this.hashes = hashes;
    this.#whenHub = whenHub;
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
    return this.site.then((at) => this.#whenHub(at));
  }

  stored(): void {
    this.#stored();
  }

  /** @param _response what an edit of a kind that asks for one is told */
  committed(at: Revision, _response: Response | null): void {
    this.#stored();
    this.#committed(at);
  }

  /** It never reached this device's storage. */
  notStored(error: OpenClawError): void {
    this.#failDevice(error);
    this.#failSite(error);
  }

  /** It is stored here, and the parent refused it. */
  refused(error: OpenClawError): void {
    this.#failSite(error);
  }
}

export class LocalTxnEdit extends LocalEdit implements TxnEdit {
  readonly response: Promise<TxnResponse>;
  #respond: (response: TxnResponse) => void = () => {};

  constructor(whenHub: (at: Revision) => Promise<void>) {
    super([], whenHub);
    const told = new Promise<TxnResponse>((resolve) => {
      this.#respond = resolve;
    });
    this.response = this.site.then(() => told);
    this.response.catch(() => undefined);
  }

  override committed(at: Revision, response: Response | null): void {
    invariant(response?.kind === "txn", "a transaction is answered as one");
    this.#respond(response);
    super.committed(at, response);
  }
}

/**
 * The transaction of whoever repeats it until it succeeds, or has no use for it later: a refusal is told to its caller
 * alone, and is not kept among the failed edits.
 */
export class AttemptEdit extends LocalTxnEdit {}
