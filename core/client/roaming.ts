/**
 * What a device that came from another site does at the one that it follows: it offers that what it holds of documents, over
 * as many connections as that takes. Nothing of it is lost when it is broken off: that it is to be done stands in storage
 * until it is.
 */
import { asOpenClawError, InvariantViolation, OpenClawError } from "../errors.ts";
import type { LinkId } from "../ids.ts";
import type { carryDocuments, followCarried, OfferHost, offerDocuments } from "./document-offer.ts";
import type { Documents } from "./documents.ts";
import type { Down } from "./down.ts";
import { isNothing } from "./nothing.ts";
import type { Outbox } from "./outbox.ts";
import type { OwnLinks } from "./own-link.ts";

/** Rows that may wait for the site when the next ones are queued. */
const WAITING_ROWS_MAX = 1_024;

export interface RoamingHost extends OfferHost {
  readonly documents: Documents;
  readonly down: Down;
  readonly links: OwnLinks;
  online(): Promise<{
    readonly carryDocuments: typeof carryDocuments;
    readonly followCarried: typeof followCarried;
    readonly offerDocuments: typeof offerDocuments;
  }>;
  /** The site was offered everything. */
  done(): void;
  /** The connection ends, and the next one begins anew. */
  failed(error: OpenClawError): void;
}

export class Roaming {
  readonly #host: RoamingHost;
  /** Of this session, for sites before: its documents' edits have callers who wait. */
  #left: readonly Outbox[] = [];
  /** Counts the connections: what one began, another does not go on with. */
  #connection = 0;
  #running: Promise<void> | null = null;
  #moved = (): void => {};

  constructor(host: RoamingHost) {
    this.#host = host;
  }

  /** Edits of this session that wait for sites before. */
  get waiting(): number {
    return this.#left.reduce((sum, { edits }) => sum + edits, 0);
  }

  left(outbox: Outbox): void {
    this.#left = [...this.#left, outbox];
  }

  welcomed(): void {
    const connection = ++this.#connection;
    if (!this.#host.down.isUnmatched) return;
    const before = this.#running ?? Promise.resolve();
    this.#running = before
      .then(() => this.#match(connection))
      .catch((error: unknown) => {
        if (error instanceof InvariantViolation) throw error;
        this.#host.failed(asOpenClawError(error));
      });
  }

  parted(): void {
    this.#connection++;
    this.#moved();
  }

  /** Rows were answered: there may be room for more. */
  settled(): void {
    this.#moved();
  }

  /** Those who wait for an outcome are told that it will not be seen here. */
  stop(): void {
    this.parted();
    const error = new OpenClawError(
      "STOPPED",
      "the client stopped before the site answered; the next session sends it",
    );
    for (const outbox of this.#left)
      for (const { row, edits } of outbox.rows())
        if (row.command.kind === "change") for (const edit of edits) edit.refused(error);
  }

  async #match(connection: number): Promise<void> {
    const { rungs, down, journal, documents, links } = this.#host;
    const isOver = (): boolean => connection !== this.#connection;
    const { carryDocuments, followCarried, offerDocuments } = await this.#host.online();
    const at = await offerDocuments(this.#host, { isOver, room: () => this.#room(isOver) });
    if (isOver()) return;
    for (const outbox of this.#left) {
      await this.#withdraw(outbox);
      await carryDocuments(this.#host, outbox.link);
      // Another site may be followed by now, and this one's outbox be among them.
      if (isOver()) return;
      for (const unanswered of outbox.rows())
        if (unanswered.row.command.kind === "change") followCarried(this.#host, unanswered);
      links.letGo(outbox.link);
    }
    this.#left = [];
    if (isOver()) return;
    down.matched();
    const stored = down.stored();
    if (stored !== null) {
      await journal.commit({ write: { down: stored } }).catch((error: unknown) => {
        down.notMatched();
        throw error;
      });
    }
    rungs.matched(at);
    documents.rungsMoved();
    // Where the connection ended meanwhile, the next one may be to another site: nothing is sent before that is known.
    if (!isOver()) this.#host.done();
  }

  /** What was withdrawn when its site was left, once more: storing that may have failed then. */
  async #withdraw(outbox: Outbox): Promise<void> {
    const withdrawn = [...outbox.rows()].flatMap(({ row }) => (isNothing(row.command) ? [row] : []));
    if (withdrawn.length > 0) await this.#host.journal.commit({ write: { replaced: withdrawn } });
  }

  async #room(isOver: () => boolean): Promise<void> {
    while (this.#host.journal.outbox.size >= WAITING_ROWS_MAX && !isOver()) {
      const { promise, resolve } = Promise.withResolvers<void>();
      const before = this.#moved;
      this.#moved = () => {
        before();
        resolve();
      };
      await promise;
    }
  }

  /** Another session's outbox of another site, once this one was offered all documents. @throws OpenClawError CLIENT_STORAGE_FAILED */
  async carry(link: LinkId): Promise<void> {
    if (this.#host.down.isUnmatched) return;
    const { carryDocuments } = await this.#host.online();
    await carryDocuments(this.#host, link);
  }
}
