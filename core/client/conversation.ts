/** A session's own connections to its site: what the beginning of one, its end and each outcome mean for its parts. */
import { asOpenClawError, OpenClawError } from "../errors.ts";
import type { DocumentName } from "../ledger/document-names.ts";
import type { ChildLinkOwner, Welcome } from "../sync/child-link.ts";
import type { Documents } from "./documents.ts";
import type { Down } from "./down.ts";
import type { Drainer } from "./drain.ts";
import type { Journal } from "./journal.ts";
import type { Keys } from "./keys.ts";
import type { LinkOwnerHost } from "./link-owner.ts";
import type { Meeting } from "./meeting.ts";
import type { Outbox } from "./outbox.ts";
import type { Presence } from "./presence.ts";
import type { Roaming } from "./roaming.ts";
import type { Rungs } from "./rungs.ts";
import type { Answered, Settlement } from "./settlement.ts";
import type { LinkCode, SiteLink } from "./site-link.ts";
import type { Trouble } from "./trouble.ts";
import type { Upstream } from "./upstream.ts";

export interface ConversationHost extends Pick<LinkOwnerHost, "inspection" | "nextTurn"> {
  readonly site: SiteLink;
  readonly journal: Journal;
  readonly rungs: Rungs;
  readonly settlement: Settlement;
  readonly meeting: Meeting;
  readonly down: Down;
  readonly upstream: Upstream;
  readonly drainer: Drainer;
  readonly roaming: Roaming;
  readonly documents: Documents;
  readonly keys: Keys;
  readonly presence: Presence;
  readonly trouble: Trouble;
  changed(): void;
}

export class Conversation {
  readonly #host: ConversationHost;
  #settling: Promise<unknown> = Promise.resolve();

  constructor(host: ConversationHost) {
    this.#host = host;
  }

  /** Resolves when the outcomes that came are stored. */
  get settling(): Promise<unknown> {
    return this.#settling;
  }

  owner({ linkOwner }: LinkCode): Omit<ChildLinkOwner, "closed"> {
    const { outbox } = this.#host.journal;
    return linkOwner({
      ...this.#host,
      welcomed: (welcome) => this.#welcomed(welcome),
      settle: (outcomes, to) => this.#settle(outbox, outcomes, to),
      fail: (error) => this.fail(error),
    });
  }

  #welcomed(welcome: Welcome): void {
    const { meeting, upstream, drainer, roaming, keys, presence, down, changed } = this.#host;
    meeting.welcomed(welcome);
    upstream.holds(welcome.upstream, welcome.upstreamEpoch);
    drainer.start();
    roaming.welcomed();
    keys.welcomed();
    presence.welcomed();
    down.turn();
    changed();
  }

  /** @param outbox what was sent over the connection that they came by */
  #settle(outbox: Outbox, outcomes: readonly Answered[], to: number): void {
    const settled = this.#host.settlement.settle(outbox, outcomes, to).then(
      (moved) => this.settled(moved),
      (error: unknown) => this.fail(error),
    );
    this.#settling = Promise.all([this.#settling, settled]);
  }

  /** Rows were answered, or went, or came. @param moved documents whose rungs moved; any, unless given */
  settled(moved?: readonly DocumentName[]): void {
    const { site, roaming, documents, changed } = this.#host;
    site.link?.wake();
    roaming.settled();
    documents.rungsMoved(moved);
    changed();
  }

  storeUpstream(): void {
    const { down, rungs, journal } = this.#host;
    // Not the cursor of events that are on their way into the store: those may fail where this does not.
    const stored = down.stored();
    const write = { hubHolds: rungs.upstream, ...(stored === null ? {} : { down: stored }) };
    journal.commit({ write }).catch((error: unknown) => this.fail(error));
  }

  async ended(reason: OpenClawError | null): Promise<void> {
    const { drainer, roaming, keys, presence, meeting, trouble, changed } = this.#host;
    drainer.pause();
    roaming.parted();
    keys.parted();
    presence.parted();
    try {
      await meeting.ended(reason);
    } catch (error) {
      // The next connection ends for the same reason, and this is tried again.
      trouble.note(error);
    }
    changed();
  }

  /** Storage, or the parent, cannot go on: the connection ends, and the next one takes up where storage is. */
  fail(error: unknown): void {
    const { site, trouble } = this.#host;
    if (error instanceof OpenClawError && error.code === "CLIENT_STORAGE_FAILED") trouble.note(error);
    site.link?.fail(asOpenClawError(error));
  }
}
