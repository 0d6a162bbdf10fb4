/**
 * What of this device is not at its site yet, as an app sees it: what waits, of this page and of those before it, and what
 * the site refused for good. Nothing leaves it unseen: an app tries it again, or discards it, with a copy kept first.
 */
import { OpenClawError } from "../errors.ts";
import type { LinkId, Seq } from "../ids.ts";
import type { UserCommand } from "../state-machine/command.ts";
import { isNothing } from "./nothing.ts";
import { allRows, isAmong, type Row, type RowName } from "./outbox-row.ts";
import type { discardEntries, exportOutbox, Imported, importOutbox, TransferHost } from "./outbox-transfer.ts";
import type { OutboxRow } from "./store.ts";

export interface OutboxEntry {
  /** The session that made it, and its number there: together its name. */
  readonly link: LinkId;
  readonly seq: Seq;
  readonly command: UserCommand;
  /** The site that a write of keys waits for, or was refused by; null before one was met, and for what any site may take. */
  readonly site: string | null;
  /** Why the site refused it for good; null while it waits. */
  readonly refusal: OpenClawError | null;
}

interface OutboxHost extends Omit<TransferHost, "rows"> {
  readonly transfer: () => Promise<{
    readonly discardEntries: typeof discardEntries;
    readonly exportOutbox: typeof exportOutbox;
    readonly importOutbox: typeof importOutbox;
  }>;
}

export class OutboxEntries {
  readonly #host: OutboxHost;
  readonly #transferHost: TransferHost;

  constructor(host: OutboxHost) {
    this.#host = host;
    this.#transferHost = { ...host, rows: () => this.#rows() };
  }

  /** What waits, in its order, then what was refused, oldest first. @throws OpenClawError CLIENT_STORAGE_FAILED */
  async list(): Promise<readonly OutboxEntry[]> {
    const rows = (await this.#rows()).filter(({ command }) => !isNothing(command));
    return rows.map((row) => ({
      link: row.link,
      seq: row.seq,
      command: row.command,
      site: row.command.kind === "change" ? null : (row.site?.cluster ?? this.#host.cluster()),
      refusal: "code" in row ? new OpenClawError(row.code, row.details) : null,
    }));
  }

  /**
   * Sends refused ones again, as new edits; what waits is sent anyway.
   * @throws OpenClawError CLIENT_STORAGE_FAILED; WRONG_CLUSTER: a write of keys of another site, none was sent
   */
  async retry(entries: readonly RowName[]): Promise<void> {
    const { settlement, changed, cluster } = this.#host;
    const rows = settlement.failed.filter(isAmong(entries));
    const here = cluster();
    const other = rows.find(({ command, site }) => command.kind !== "change" && (site?.cluster ?? here) !== here);
    if (other !== undefined)
      throw new OpenClawError("WRONG_CLUSTER", `it is for ${other.site?.cluster}; this is ${here}`);
    await settlement.retry(rows);
    await changed();
  }

  /**
   * Drops them, and of documents what follows them: all of it is given to `keep` first, as `import` takes it, and nothing
   * is dropped before that has resolved. What the site has stays; what was under way may have come there, and then comes
   * back with the stream.
   * @throws OpenClawError OVERLOADED: one is just being sent, or of another open page; CLIENT_STORAGE_FAILED; UNAVAILABLE: a
   * page could not load the code for it; what `keep` throws
   */
  async discard(entries: readonly RowName[], keep: (exported: Uint8Array) => unknown): Promise<void> {
    const { discardEntries } = await this.#host.transfer();
    await discardEntries(this.#transferHost, entries, keep);
  }

  /**
   * All of it, as `import` takes it; also what stands for what was discarded, so that no stream has a hole (Q2).
   * @throws OpenClawError CLIENT_STORAGE_FAILED; UNAVAILABLE: a page could not load the code for it
   */
  async export(): Promise<Uint8Array> {
    const { exportOutbox } = await this.#host.transfer();
    return exportOutbox(this.#transferHost);
  }

  /**
   * Takes what was exported on another device, or at another origin of the site: each waits here under the name that it had,
   * so that the site runs it once, whoever sends it first, and a second import adds nothing.
   * @throws OpenClawError BAD_REQUEST, CHANGE_INVALID, CHANGE_TOO_LARGE, WRONG_CLUSTER: nothing was taken;
   * CLIENT_STORAGE_FAILED; UNAVAILABLE: a page could not load the code for it
   */
  async import(exported: Uint8Array): Promise<Imported> {
    const { importOutbox } = await this.#host.transfer();
    return importOutbox(this.#transferHost, exported);
  }

  async #rows(): Promise<readonly Row[]> {
    const { store, journal, settlement } = this.#host;
    // What is on its way into the store is part of it.
    await journal.commit({});
    const rows: OutboxRow[] = [];
    for (const link of await store.outboxLinks()) rows.push(...(await allRows(store, link)));
    return [...rows, ...settlement.failed];
  }
}
