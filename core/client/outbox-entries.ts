/**
 * What of this device is not at its site yet, as an app sees it: what waits, of this page and of those before it, and what
 * the site refused for good. Nothing leaves it unseen: an app tries it again, or discards it, with a copy kept first.
 */
import { OpenClawError } from "../errors.ts";
import type { ChangeHash, LinkId, Seq } from "../ids.ts";
import type { UserCommand } from "../state-machine/command.ts";
import { withDependents } from "./dependents.ts";
import type { Documents } from "./documents.ts";
import { allRows, type Claim } from "./drain.ts";
import type { Inspection } from "./inspection.ts";
import type { Journal } from "./journal.ts";
import { isNothing, nothingAt } from "./nothing.ts";
import type { LoadOutboxFile, OutboxFile } from "./outbox-file.ts";
import { hashesOf, type Rungs } from "./rungs.ts";
import type { Settlement } from "./settlement.ts";
import type { ClientStore, ClientWrite, FailedRow, OutboxRow, SiteLife } from "./store.ts";

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

export interface Imported {
  /** Rows that wait, or stand among the refused, on this device from now on. */
  readonly taken: number;
  /** Rows that this device had, or has had. */
  readonly known: number;
}

export interface OutboxHost {
  readonly store: ClientStore;
  readonly inspection: Inspection;
  readonly journal: Journal;
  readonly rungs: Rungs;
  readonly settlement: Settlement;
  readonly documents: Documents;
  readonly claim: Claim;
  readonly outboxFile: LoadOutboxFile;
  /** Links of this session. */
  readonly own: ReadonlySet<LinkId>;
  cluster(): string | null;
  /** The site that is followed, in the epoch in which it is known here; null before it was met. */
  site(): SiteLife | null;
  /** Rows came, or went, that this session did not make. */
  changed(): Promise<void>;
}

type Row = OutboxRow | FailedRow;
type Name = Pick<OutboxRow, "link" | "seq">;

export class OutboxEntries {
  readonly #host: OutboxHost;

  constructor(host: OutboxHost) {
    this.#host = host;
  }

  /** What waits, in its order, then what was refused, oldest first. @throws OpenClawError CLIENT_STORAGE_FAILED */
  async list(): Promise<readonly OutboxEntry[]> {
    return (await this.#rows()).filter(isSomething).map((row) => ({
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
  async retry(entries: readonly Name[]): Promise<void> {
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
   * @throws OpenClawError OVERLOADED: one is just being sent, or of another open page; CLIENT_STORAGE_FAILED; what `keep`
   * throws
   */
  async discard(entries: readonly Name[], keep: (exported: Uint8Array) => unknown): Promise<void> {
    const { documents, own, claim, journal } = this.#host;
    const releases: (() => void)[] = [];
    try {
      for (let kept = new Set<string>(); ; ) {
        const rows = await this.#falling(entries);
        const links = new Set(rows.filter((row) => !("code" in row)).map(({ link }) => link));
        for (const link of links) {
          if (own.has(link)) continue;
          const release = await claim(link);
          if (release === null) throw new OpenClawError("OVERLOADED", "it is being sent, or of another open page");
          releases.push(release);
        }
        if (rows.some((row) => !kept.has(nameOf(row)))) {
          await keep(await this.#file([], rows.map(discarded)));
          kept = new Set(rows.map(nameOf));
        }
        const resume = documents.pause(documentsOf(rows));
        releases.push(resume);
        // An edit that was made while that was kept may follow one of them.
        await journal.commit({});
        const now = await this.#falling(entries);
        if (now.every((row) => kept.has(nameOf(row))) && (await this.#drop(now))) return;
        resume();
      }
    } finally {
      for (const release of releases) release();
    }
  }

  /**
   * All of it, as `import` takes it; also what stands for what was discarded, so that no stream has a hole (Q2).
   * @throws OpenClawError CLIENT_STORAGE_FAILED; UNAVAILABLE: a page could not load the code for it
   */
  async export(): Promise<Uint8Array> {
    const rows = await this.#rows();
    return this.#file(
      rows.filter((row) => !("code" in row)),
      rows.filter((row) => "code" in row),
    );
  }

  /**
   * Takes what was exported on another device, or at another origin of the site: each waits here under the name that it had,
   * so that the site runs it once, whoever sends it first, and a second import adds nothing.
   * @throws OpenClawError BAD_REQUEST, CHANGE_INVALID, CHANGE_TOO_LARGE, WRONG_CLUSTER: nothing was taken;
   * CLIENT_STORAGE_FAILED
   */
  async import(exported: Uint8Array): Promise<Imported> {
    const { store, journal, rungs, settlement, changed, cluster } = this.#host;
    const file = (await this.#host.outboxFile()).decodeOutboxFile(exported);
    const here = cluster();
    if (file.cluster !== null && here !== null && file.cluster !== here)
      throw new OpenClawError("WRONG_CLUSTER", `an outbox for ${file.cluster}; this device holds data of ${here}`);
    const { waiting: allWaiting, refused: allRefused } = this.#sited(file);
    const all: readonly Row[] = [...allWaiting, ...allRefused];
    await requireSound(this.#host.inspection, all);
    await journal.commit({});
    const next = new Map<LinkId, Seq>();
    for (const { link } of allWaiting) if (!next.has(link)) next.set(link, await store.nextSeq(link));
    const waiting = allWaiting.filter(({ link, seq }) => seq >= (next.get(link) ?? 1)).sort((a, b) => a.seq - b.seq);
    const refused = allRefused.filter((row) => !settlement.failed.some(isAmong([row])));
    settlement.requireRoom(refused.length);
    const taken: readonly Row[] = [...waiting, ...refused];
    const changes = taken.flatMap(({ command }) => (command.kind === "change" ? [command] : []));
    await journal.commit({ write: { enqueue: waiting, failed: refused, changes } });
    rungs.restoreRows(waiting, refused);
    settlement.restore([...settlement.failed, ...refused]);
    for (const command of changes) this.#host.documents.received(command.collection, command.document, command.changes);
    await changed();
    const edits = taken.filter(isSomething).length;
    return { taken: edits, known: all.filter(isSomething).length - edits };
  }

  async #rows(): Promise<readonly Row[]> {
    const { store, journal, settlement } = this.#host;
    // What is on its way into the store is part of it.
    await journal.commit({});
    const rows: OutboxRow[] = [];
    for (const link of await store.outboxLinks()) rows.push(...(await allRows(store, link)));
    return [...rows, ...settlement.failed];
  }

  async #falling(entries: readonly Name[]): Promise<readonly Row[]> {
    return withDependents(await this.#rows(), isAmong(entries), (hash) => this.#isOnlyHere(hash));
  }

  #isOnlyHere(hash: ChangeHash): boolean {
    return this.#host.rungs.rung(hash) === "device";
  }

  /** False if meanwhile one of them was sent again under another number: nothing was dropped. */
  async #drop(rows: readonly Row[]): Promise<boolean> {
    const { journal, rungs, settlement, documents, changed } = this.#host;
    const refused = rows.filter((row) => "code" in row);
    // A number is never missing from a stream: a command that does nothing takes the place of what is dropped.
    const replaced = rows
      .filter((row) => !("code" in row))
      .map(({ link, seq, site = null }) => nothingAt(link, seq, site));
    const step: { dropped: NonNullable<ClientWrite["dropped"]> | null } = { dropped: null };
    // In one step with what decides it: what the site told of before is the document's as anybody's changes are.
    const late = (): ClientWrite => {
      step.dropped = this.#isSentAgain(rows) ? null : rows.flatMap((row) => this.#droppedOf(row));
      return step.dropped === null ? {} : { replaced, forgetFailed: refused, dropped: step.dropped };
    };
    await journal.commit({ late });
    const { dropped } = step;
    if (dropped === null) return false;
    const discarding = new OpenClawError("DISCARDED");
    for (const row of replaced) for (const edit of journal.outbox.replace(row)) edit.refused(discarding);
    settlement.forget(refused);
    rungs.discarded(
      dropped.flatMap(({ changes }) => changes.map(({ hash }) => hash)),
      discarding,
    );
    await documents.readAgain(documentsOf(rows));
    await changed();
    return true;
  }

  /** Of a row that was sent again with what the site might lack, the site may have some. */
  #droppedOf({ command }: Row): NonNullable<ClientWrite["dropped"]> {
    if (command.kind !== "change") return [];
    const { collection, document } = command;
    return [{ collection, document, changes: command.changes.filter(({ hash }) => this.#isOnlyHere(hash)) }];
  }

  /** The site lacked what one of them follows (D3), or forgot this session: it waits anew. */
  #isSentAgain(rows: readonly Row[]): boolean {
    const isOne = isAmong(rows);
    const hashes = new Set(rows.flatMap(hashesOf).filter((hash) => this.#isOnlyHere(hash)));
    const { outbox } = this.#host.journal;
    return [...outbox.rows()].some(({ row }) => !isOne(row) && hashesOf(row).some((hash) => hashes.has(hash)));
  }

  async #file(waiting: readonly OutboxRow[], refused: readonly FailedRow[]): Promise<Uint8Array> {
    const { encodeOutboxFile } = await this.#host.outboxFile();
    return encodeOutboxFile({ cluster: this.#host.cluster(), ...this.#sited({ waiting, refused }) });
  }

  /** A row that names no site is of the one that is followed: it says so before another one may be. */
  #sited({ waiting, refused }: Pick<OutboxFile, "waiting" | "refused">): Pick<OutboxFile, "waiting" | "refused"> {
    const site = this.#host.site();
    if (site === null) return { waiting, refused };
    return { waiting: waiting.map((row) => ({ site, ...row })), refused: refused.map((row) => ({ site, ...row })) };
  }
}

const nameOf = ({ link, seq }: Name): string => `${link} ${seq}`;

const isSomething = ({ command }: Row): boolean => !isNothing(command);

function isAmong(entries: readonly Name[]): (row: Name) => boolean {
  const names = new Set(entries.map(nameOf));
  return (row) => names.has(nameOf(row));
}

const discarded = (row: Row): FailedRow => ("code" in row ? row : { ...row, code: "DISCARDED", details: "" });

const documentsOf = (rows: readonly Row[]) =>
  rows.flatMap(({ command }) =>
    command.kind === "change" ? [{ collection: command.collection, document: command.document }] : [],
  );

/** @throws OpenClawError CHANGE_INVALID, CHANGE_TOO_LARGE */
async function requireSound(inspection: Inspection, rows: readonly Row[]): Promise<void> {
  const changes = rows.flatMap(({ command }) => (command.kind === "change" ? command.changes : []));
  for (const [i, fault] of (await inspection.changes(changes)).entries())
    if (fault !== null) throw new OpenClawError(fault.code, `${changes[i]?.hash}: ${fault.details}`);
}
