/**
 * Other sessions of this device: tabs beside this one, and those that are over and left rows behind. What one has stored
 * (S1) the others show at once, offline too, and they follow it on its way to the site.
 */
import { OpenClawError } from "../errors.ts";
import type { LinkId, Revision } from "../ids.ts";
import { BATCH_BYTES_MAX, BATCH_ITEMS_MAX } from "../limits.ts";
import { commandBytes } from "../state-machine/command-size.ts";
import type { DeviceNews, NeighboursPort } from "./device-news.ts";
import type { Documents } from "./documents.ts";
import type { Drainer } from "./drain.ts";
import type { Keys } from "./keys.ts";
import { allRows, hashesOf, nameOf, type RowName } from "./outbox-row.ts";
import type { Rungs } from "./rungs.ts";
import type { Settlement } from "./settlement.ts";
import type { ClientStore, ClientWrite, FailedRow, OutboxRow, SiteLife } from "./store.ts";

/** Bytes of commands in one piece of news. */
const NEWS_BYTES_MAX = BATCH_BYTES_MAX;
/** Others' writes of keys that are followed to the site; a further one shows when it comes back from there. */
const FOLLOWED_MAX = 10_000;

export interface NeighboursHost {
  readonly store: ClientStore;
  /** Links of this session. */
  readonly own: ReadonlySet<LinkId>;
  readonly rungs: Rungs;
  readonly documents: Documents;
  readonly keys: Keys;
  readonly settlement: Settlement;
  readonly drainer: Drainer;
  /** The site that this session follows, in the epoch in which it knows it. */
  site(): SiteLife | null;
  changed(): void;
  failed(error: unknown): void;
}

interface Followed {
  readonly resolve: (at: Revision) => void;
  readonly reject: (error: OpenClawError) => void;
}

export class Neighbours {
  readonly #host: NeighboursHost;
  readonly #port: NeighboursPort | null;
  readonly #followed = new Map<string, Followed>();
  /** One after the other, and once more for all that was asked meanwhile. */
  #rereading: Promise<void> | null = null;
  #again = false;

  /** @param rows of other sessions, as the store had them when this one began */
  constructor(host: NeighboursHost, port: NeighboursPort | null, rows: readonly OutboxRow[]) {
    this.#host = host;
    this.#port = port;
    for (const row of rows) this.#follow(row);
    port?.listen((news) => this.#heard(news));
  }

  stop(): void {
    this.#port?.close();
  }

  /** Another site is followed: writes for the one before show no more. */
  leave(): void {
    for (const { reject } of this.#followed.values()) reject(notTold());
    this.#followed.clear();
  }

  /** This session has stored it. */
  wrote(write: ClientWrite): void {
    const { enqueue = [], answered = [], awaiting = [], failed = [], forgetFailed = [], dropped = [] } = write;
    const names = answered.map(({ link, seq: number, at = null }) => ({ link, seq: number, at }));
    // What it sent for a session that is over.
    this.#settle(names);
    if (this.#port === null) return;
    const parts = [enqueue, answered, awaiting, failed, forgetFailed, dropped];
    if (parts.every((part) => part.length === 0)) return;
    const forgotten = forgetFailed.map(({ link, seq: number }) => ({ link, seq: number }));
    const epoch = this.#host.site()?.epoch ?? null;
    const news: DeviceNews = {
      kind: "stored",
      epoch,
      queued: enqueue,
      answered: names,
      awaiting,
      failed,
      forgotten,
      dropped,
    };
    this.#port.tell(isTooMuch(enqueue) ? { kind: "reread" } : news);
  }

  #heard(news: DeviceNews): void {
    if (news.kind === "reread") return this.#reread();
    const { rungs, settlement, drainer, documents, changed, site } = this.#host;
    const answered = news.answered.filter(({ link }) => !this.#host.own.has(link));
    // Of another epoch a revision says nothing (L3): this session meets the site there itself.
    const isKnown = news.epoch === (site()?.epoch ?? null);
    this.#settle(isKnown ? answered : answered.map((row) => ({ ...row, at: null })));
    if (isKnown) {
      for (const { document, revision } of news.awaiting) rungs.committed(document?.hashes ?? [], revision);
    }
    this.#refused(news.failed);
    settlement.elsewhere(news.failed, news.forgotten);
    this.#dropped(news.dropped);
    this.#queued(news.queued);
    drainer.moved(news.queued.length - answered.length);
    documents.rungsMoved();
    changed();
  }

  #queued(rows: readonly OutboxRow[]): void {
    const { rungs, documents } = this.#host;
    for (const row of rows) {
      const { command } = row;
      rungs.elsewhere(hashesOf(row));
      if (command.kind === "change") documents.received(command.collection, command.document, command.changes);
      else this.#follow(row);
    }
  }

  #refused(rows: readonly FailedRow[]): void {
    const { rungs, documents } = this.#host;
    for (const row of rows) {
      const { command, code, details } = row;
      rungs.elsewhere(hashesOf(row));
      rungs.failed(hashesOf(row), new OpenClawError(code, details));
      // Of an imported one this session has not heard before.
      if (command.kind === "change") documents.received(command.collection, command.document, command.changes);
    }
  }

  #dropped(dropped: NonNullable<ClientWrite["dropped"]>): void {
    if (dropped.length === 0) return;
    const { rungs, documents } = this.#host;
    for (const { changes } of dropped)
      rungs.discarded(
        changes.map(({ hash }) => hash),
        new OpenClawError("DISCARDED"),
      );
    void documents.readAgain(dropped);
  }

  /** Shows a write of keys until the mirror does. */
  #follow(row: OutboxRow): void {
    const name = nameOf(row);
    if (row.command.kind === "change" || this.#followed.has(name) || this.#followed.size >= FOLLOWED_MAX) return;
    // What waits for another site is not to show among the keys of this one.
    if (row.site !== undefined && row.site.cluster !== this.#host.site()?.cluster) return;
    const { promise, resolve, reject } = Promise.withResolvers<Revision>();
    if (this.#host.keys.elsewhere(row.command, promise)) this.#followed.set(name, { resolve, reject });
  }

  #settle(answered: readonly (RowName & { readonly at: Revision | null })[]): void {
    for (const { at, ...row } of answered) {
      const followed = this.#followed.get(nameOf(row));
      this.#followed.delete(nameOf(row));
      if (at === null) followed?.reject(notTold());
      else followed?.resolve(at);
    }
  }

  #reread(): void {
    this.#again = true;
    this.#rereading ??= this.#readAll().then(
      () => this.#read(null),
      (error: unknown) => this.#read(error),
    );
  }

  #read(error: unknown): void {
    this.#rereading = null;
    if (error !== null) this.#host.failed(error);
    this.#host.documents.rungsMoved();
    this.#host.changed();
  }

  async #readAll(): Promise<void> {
    const { store, own, documents, settlement, drainer } = this.#host;
    while (this.#again) {
      this.#again = false;
      const gone = new Set(this.#followed.keys());
      for (const link of await store.outboxLinks()) {
        if (own.has(link)) continue;
        const rows = await allRows(store, link);
        for (const row of rows) gone.delete(nameOf(row));
        this.#queued(rows);
      }
      // What became of them, the site's stream tells.
      for (const name of gone) {
        this.#followed.get(name)?.reject(notTold());
        this.#followed.delete(name);
      }
      const failed = await store.failed();
      const names = new Set(failed.map(nameOf));
      settlement.elsewhere(
        [],
        settlement.failed.filter((row) => !names.has(nameOf(row))),
      );
      settlement.restore(failed);
      this.#refused(failed);
      await documents.reread();
      await drainer.recount();
    }
  }
}

const isTooMuch = (rows: readonly OutboxRow[]): boolean =>
  rows.length > BATCH_ITEMS_MAX || rows.reduce((sum, { command }) => sum + commandBytes(command), 0) > NEWS_BYTES_MAX;

const notTold = (): OpenClawError => new OpenClawError("STOPPED", "its session does not follow it any more");
