/**
 * What a device that came from another site does at the one that it follows: of each document that it holds, the heads are
 * asked for, and the changes that the site lacks are queued for it, own and received ones alike, each after what it depends
 * on. What the site has, it streams down. Nothing of it is lost when it is broken off: that it is to be done stands in
 * storage until it is.
 */
import { asOpenClawError, InvariantViolation, OpenClawError } from "../errors.ts";
import { type ChangeHash, type LinkId, type Revision, revision } from "../ids.ts";
import type { DocumentChange } from "../ledger/record.ts";
import { ancestorsOf } from "./causal-order.ts";
import type { Documents } from "./documents.ts";
import type { Down } from "./down.ts";
import { allRows } from "./drain.ts";
import type { Draft, Journal } from "./journal.ts";
import { isNothing, nothingAt } from "./nothing.ts";
import type { Outbox, Unanswered } from "./outbox.ts";
import type { OwnLinks } from "./own-link.ts";
import type { Quarantines } from "./quarantines.ts";
import type { Questions } from "./questions.ts";
import { hashesOf, type Rungs } from "./rungs.ts";
import type { ClientStore } from "./store.ts";

/** Documents whose heads are asked for at once. */
const DOCUMENTS_AT_ONCE = 16;
/** Changes that are queued in one write, and rows that may wait for the site when the next ones are. */
const CHANGES_AT_ONCE = 256;
const WAITING_ROWS_MAX = 1_024;

export interface RoamingHost {
  readonly store: ClientStore;
  readonly journal: Journal;
  readonly rungs: Rungs;
  readonly quarantines: Quarantines;
  readonly documents: Documents;
  readonly down: Down;
  readonly ask: Questions["ask"];
  readonly links: OwnLinks;
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
    const { store, rungs, down, journal, documents } = this.#host;
    const isOver = (): boolean => connection !== this.#connection;
    let at = revision(0);
    for (const collection of await store.collections()) {
      const names = await store.documents(collection);
      for (let i = 0; i < names.length; i += DOCUMENTS_AT_ONCE) {
        if (isOver()) return;
        const offers = names
          .slice(i, i + DOCUMENTS_AT_ONCE)
          .map((document) => this.#offer(collection, document, isOver));
        for (const seen of await Promise.all(offers)) if (seen > at) at = seen;
      }
    }
    if (isOver()) return;
    for (const outbox of this.#left) {
      await this.#withdraw(outbox);
      await this.#carry(outbox.link);
      // Another site may be followed by now, and this one's outbox be among them.
      if (isOver()) return;
      for (const unanswered of outbox.rows()) if (unanswered.row.command.kind === "change") this.#follow(unanswered);
      this.#host.links.letGo(outbox.link);
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

  /** Resolves with the revision as of which the site was asked. */
  async #offer(collection: string, document: string, isOver: () => boolean): Promise<Revision> {
    const { store, rungs, journal, quarantines } = this.#host;
    const { heads, refused, at } = await this.#headsOf(collection, document);
    const kept = new Set([...quarantines.of(collection, document).map(({ hash }) => hash), ...refused]);
    const stored = (await store.document(collection, document)).filter(({ hash }) => !kept.has(hash));
    // What this site answered says nothing of one that is followed by now.
    if (isOver()) return at;
    const known = ancestorsOf(stored, heads);
    rungs.committed(
      [...known].filter((hash) => rungs.isOwn(hash)),
      at,
    );
    const queued = new Set<ChangeHash>();
    for (const { row } of journal.outbox.rows()) for (const hash of hashesOf(row)) queued.add(hash);
    const lacking = stored.filter(
      ({ hash }) =>
        !known.has(hash) && !queued.has(hash) && rungs.heldAt(hash) === null && rungs.failure(hash) === null,
    );
    for (let i = 0; i < lacking.length && !isOver(); i += CHANGES_AT_ONCE) {
      await this.#room(isOver);
      const drafts = lacking.slice(i, i + CHANGES_AT_ONCE).map((change) => draftOf(collection, document, [change]));
      if (isOver()) break;
      await journal.commit({ drafts });
      for (const draft of drafts) rungs.stored(hashesOf(draft));
    }
    return at;
  }

  async #headsOf(collection: string, document: string) {
    try {
      const query = { kind: "document", collection, document, after: Number.MAX_SAFE_INTEGER, limit: 1 } as const;
      const { answer, seen } = await this.#host.ask(query, { kind: "local" });
      return { heads: answer.heads, refused: answer.quarantined.map(({ hash }) => hash), at: seen.position.revision };
    } catch (error) {
      // Who may not read it there may be let write it: each change is offered, and a refusal is told.
      if (error instanceof OpenClawError && error.code === "FORBIDDEN")
        return { heads: [], refused: [], at: revision(0) };
      throw error;
    }
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

  /**
   * Takes the documents' changes out of an outbox of another site's, once this one was offered them all: what neither is
   * there nor waits for it does so now. Writes of keys stay, each under its number. @throws OpenClawError CLIENT_STORAGE_FAILED
   */
  async carry(link: LinkId): Promise<void> {
    if (!this.#host.down.isUnmatched) await this.#carry(link);
  }

  async #carry(link: LinkId): Promise<void> {
    const { store, journal, rungs } = this.#host;
    const queued = new Set<ChangeHash>();
    for (const { row } of journal.outbox.rows()) for (const hash of hashesOf(row)) queued.add(hash);
    const isLacking = ({ hash }: DocumentChange): boolean => !queued.has(hash) && rungs.heldAt(hash) === null;
    const rows = await allRows(store, link);
    const changes = rows.flatMap((row) => (row.command.kind === "change" ? [{ ...row, command: row.command }] : []));
    const drafts = changes.flatMap(({ command }) => {
      const lacking = command.changes.filter(isLacking);
      return lacking.length === 0 ? [] : [draftOf(command.collection, command.document, lacking)];
    });
    const last = rows.findLast(({ command }) => command.kind !== "change" && !isNothing(command))?.seq ?? 0;
    const replaced = changes.flatMap(({ seq, site = null }) => (seq < last ? [nothingAt(link, seq, site)] : []));
    const answered = rows.flatMap(({ seq }) => (seq > last ? [{ link, seq }] : []));
    if (replaced.length + answered.length === 0) return;
    await journal.commit({ drafts, write: { replaced, answered } });
    for (const draft of drafts) rungs.stored(hashesOf(draft));
  }

  /** Whoever waits for one of them hears of it from the site that is followed by now. */
  #follow({ row, edits }: Unanswered): void {
    const { rungs } = this.#host;
    const hashes = hashesOf(row);
    const at = (): Revision => revision(Math.max(0, ...hashes.map((hash) => rungs.heldAt(hash) ?? 0)));
    for (const edit of edits)
      Promise.all(hashes.map((hash) => rungs.settled(hash, "site"))).then(
        () => edit.committed(at(), null),
        (error: unknown) => edit.refused(asOpenClawError(error)),
      );
  }
}

const draftOf = (collection: string, document: string, changes: readonly DocumentChange[]): Draft => ({
  command: { kind: "change", collection, document, changes },
  edits: [],
  round: 0,
});
