/**
 * Provisional changes at one gateway (D5): what it has checked and is about to propose, it shows at once to its own clients
 * that may read it and are subscribed to it, and tells the site's other gateways, which show it to theirs. It is a hint: what
 * is lost, here or on the way, shows when it is committed. So every limit loses, and nothing waits.
 */
import { bringsDocument, type Subscription } from "../ledger/subscription.ts";
import type { Clock } from "../ports.ts";
import type { Principal } from "../sync/authority.ts";
import { encodeProvisional, isLittle, type ProvisionalChanges } from "./message.ts";
import { Pace } from "./pace.ts";

/** What one client may show to others in a second: far more than anybody types. */
const OFFERS_PER_SECOND_MAX = 250;
/** What one gateway tells the others in a second: each costs a signature, and a check of it everywhere. */
const PUBLISHED_PER_SECOND_MAX = 250;
/** What a gateway sends to its clients in a second, all together. */
const SENDS_PER_SECOND_MAX = 4_000;

export interface ViewerOptions {
  readonly principal: Principal;
  /** What it is subscribed to now; null where it did not ask for what is not committed. */
  subscription(): Subscription | null;
  /** False where the client does not read. */
  send(changes: ProvisionalChanges): boolean;
}

export interface ProvisionalOptions {
  readonly clock: Clock;
  /** Passes a message on to the other gateways, or loses it. */
  publish(message: Uint8Array): void;
}

/** Commands counted since the start; `shown` and `unread` for each client. */
export interface ProvisionalCounts {
  readonly offered: number;
  readonly heard: number;
  readonly shown: number;
  /** Lost as a client did not read. */
  readonly unread: number;
  /** Lost at a limit of size or of pace. */
  readonly limited: number;
}

/** One client's part: what it pushes, others see. */
export interface ProvisionalSession {
  /** Its command is checked, and about to be proposed. */
  offer(changes: ProvisionalChanges): void;
  close(): void;
}

export class ProvisionalGateway {
  readonly #options: ProvisionalOptions;
  /** Bounded where streams are taken. */
  readonly #viewers = new Set<ViewerOptions>();
  readonly #published: Pace;
  readonly #sends: Pace;
  readonly #counts = { offered: 0, heard: 0, shown: 0, unread: 0, limited: 0 };

  constructor(options: ProvisionalOptions) {
    this.#options = options;
    this.#published = new Pace(options.clock, PUBLISHED_PER_SECOND_MAX);
    this.#sends = new Pace(options.clock, SENDS_PER_SECOND_MAX);
  }

  /** A client is connected here; whoever calls closes the session with the connection. */
  join(viewer: ViewerOptions): ProvisionalSession {
    const pace = new Pace(this.#options.clock, OFFERS_PER_SECOND_MAX);
    this.#viewers.add(viewer);
    return {
      offer: (changes) => this.#offer(viewer, pace, changes),
      close: () => void this.#viewers.delete(viewer),
    };
  }

  /** Another gateway has checked it. */
  heard(changes: ProvisionalChanges): void {
    this.#counts.heard++;
    this.#show(changes, null);
  }

  counts(): ProvisionalCounts {
    return this.#counts;
  }

  #offer(author: ViewerOptions, pace: Pace, { collection, document, changes }: ProvisionalChanges): void {
    const offered: ProvisionalChanges = { collection, document, changes };
    this.#counts.offered++;
    if (!isLittle(offered) || !pace.take()) {
      this.#counts.limited++;
      return;
    }
    this.#show(offered, author);
    if (this.#published.take()) this.#options.publish(encodeProvisional(offered));
    else this.#counts.limited++;
  }

  #show(changes: ProvisionalChanges, author: ViewerOptions | null): void {
    for (const viewer of this.#viewers) {
      if (viewer === author || !sees(viewer, changes)) continue;
      if (!this.#sends.take()) {
        this.#counts.limited++;
        return;
      }
      if (viewer.send(changes)) this.#counts.shown++;
      else this.#counts.unread++;
    }
  }
}

function sees({ principal, subscription }: ViewerOptions, { collection, document }: ProvisionalChanges): boolean {
  const wanted = subscription();
  if (wanted === null || !bringsDocument(wanted, { collection, document })) return false;
  return principal.mayReadDocument(collection, document);
}
