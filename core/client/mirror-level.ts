/**
 * Whether this device's mirror is level with its site: it holds all that the gateway held when the connection began, and
 * the stream brings the rest as it comes. The gateway is asked once a connection, and only while somebody looks.
 */
import { type Revision, revision } from "../ids.ts";
import type { Clock } from "../ports.ts";

/** Until an answer is given up, and until the next try after one that failed, ms. */
const ANSWER_MS_MAX = 10_000;
const RETRY_MS = 5_000;

/** The mirror may lack what others wrote. */
export interface Stale {
  /** It was level until then: ms since 1970 by this device's clock. Null where that was before this session, if ever. */
  readonly since: number | null;
}

export interface MirrorLevelHost {
  readonly clock: Clock;
  /** @throws OpenClawError UNAVAILABLE, OVERLOADED */
  head(timeoutMs: number): Promise<Revision>;
  /** `stale`, or `isNothing`, changed. */
  changed(): void;
}

export class MirrorLevel {
  readonly #host: MirrorLevelHost;
  #stale: Stale | null = { since: null };
  /** Everything up to here is in the mirror. */
  #cursor = revision(0);
  /** Where the gateway's ledger ended; null until this connection was asked. */
  #head: Revision | null = null;
  /** Stands for the connection; null while there is none. */
  #connection: object | null = null;
  #isAsked = false;
  #cancel = (): void => {};

  constructor(host: MirrorLevelHost) {
    this.#host = host;
  }

  /** Null while it is level. The same object until that changes. */
  get stale(): Stale | null {
    return this.#stale;
  }

  /** The site has nothing, and so the mirror, of which no place is stored, is whole. */
  get isNothing(): boolean {
    return this.#stale === null && this.#cursor === 0;
  }

  /** Somebody looks. */
  look(): void {
    if (this.#connection === null || this.#isAsked) return;
    this.#isAsked = true;
    void this.#ask(this.#connection);
  }

  welcomed(): void {
    this.parted();
    this.#connection = {};
  }

  parted(): void {
    this.#connection = null;
    this.#isAsked = false;
    this.#head = null;
    this.#cancel();
    if (this.#stale !== null) return;
    this.#stale = { since: this.#host.clock.wall() };
    this.#host.changed();
  }

  taken(cursor: Revision): void {
    this.#cursor = cursor;
    if (this.#stale === null || this.#head === null || cursor < this.#head) return;
    this.#stale = null;
    this.#host.changed();
  }

  async #ask(connection: object): Promise<void> {
    let head: Revision | null;
    try {
      head = await this.#host.head(ANSWER_MS_MAX);
    } catch {
      // It stays as stale as it is known to be.
      head = null;
    }
    if (this.#connection !== connection) return;
    if (head === null) {
      this.#cancel = this.#host.clock.after(RETRY_MS, () => {
        this.#isAsked = false;
        this.look();
      });
      return;
    }
    this.#head = head;
    this.taken(this.#cursor);
  }
}
