/**
 * An outbox that leaves its device, or comes to one: exported, imported, and discarded with a copy kept first. What each
 * does, `OutboxEntries` says.
 */
import { OpenClawError } from "../errors.ts";
import type { ChangeHash, LinkId, Seq } from "../ids.ts";
import { withDependents } from "./dependents.ts";
import type { Documents } from "./documents.ts";
import type { Claim } from "./drain.ts";
import type { Inspection } from "./inspection.ts";
import type { Journal } from "./journal.ts";
import { isNothing, nothingAt } from "./nothing.ts";
import { decodeOutboxFile, encodeOutboxFile, type OutboxFile } from "./outbox-file.ts";
import { hashesOf, isAmong, nameOf, type Row, type RowName } from "./outbox-row.ts";
import type { Rungs } from "./rungs.ts";
import type { Settlement } from "./settlement.ts";
import type { ClientStore, ClientWrite, FailedRow, OutboxRow, SiteLife } from "./store.ts";

export interface Imported {
  /** Rows that wait, or stand among the refused, on this device from now on. */
  readonly taken: number;
  /** Rows that this device had, or has had. */
  readonly known: number;
}

export interface TransferHost {
  readonly store: ClientStore;
  readonly inspection: Inspection;
  readonly journal: Journal;
  readonly rungs: Rungs;
  readonly settlement: Settlement;
  readonly documents: Documents;
  readonly claim: Claim;
  /** Links of this session. */
  readonly own: ReadonlySet<LinkId>;
  cluster(): string | null;
  /** The site that is followed, in the epoch in which it is known here; null before it was met. */
  site(): SiteLife | null;
  /** What waits, in its order, then what was refused. */
  rows(): Promise<readonly Row[]>;
  /** Rows came, or went, that this session did not make. */
  changed(): Promise<void>;
}

export async function discardEntries(
  host: TransferHost,
  entries: readonly RowName[],
  keep: (exported: Uint8Array) => unknown,
): Promise<void> {
  const { documents, own, claim, journal } = host;
  const releases: (() => void)[] = [];
  try {
    for (let kept = new Set<string>(); ; ) {
      const rows = await falling(host, entries);
      const links = new Set(rows.filter((row) => !("code" in row)).map(({ link }) => link));
      for (const link of links) {
        if (own.has(link)) continue;
        const release = await claim(link);
        if (release === null) throw new OpenClawError("OVERLOADED", "it is being sent, or of another open page");
        releases.push(release);
      }
      if (rows.some((row) => !kept.has(nameOf(row)))) {
        await keep(fileOf(host, [], rows.map(discarded)));
        kept = new Set(rows.map(nameOf));
      }
      const resume = documents.pause(documentsOf(rows));
      releases.push(resume);
      // An edit that was made while that was kept may follow one of them.
      await journal.commit({});
      const now = await falling(host, entries);
      if (now.every((row) => kept.has(nameOf(row))) && (await drop(host, now))) return;
      resume();
    }
  } finally {
    for (const release of releases) release();
  }
}

export async function exportOutbox(host: TransferHost): Promise<Uint8Array> {
  const rows = await host.rows();
  return fileOf(
    host,
    rows.filter((row) => !("code" in row)),
    rows.filter((row) => "code" in row),
  );
}

export async function importOutbox(host: TransferHost, exported: Uint8Array): Promise<Imported> {
  const { store, journal, rungs, settlement, changed, cluster } = host;
  const file = decodeOutboxFile(exported);
  const here = cluster();
  if (file.cluster !== null && here !== null && file.cluster !== here)
    throw new OpenClawError("WRONG_CLUSTER", `an outbox for ${file.cluster}; this device holds data of ${here}`);
  const { waiting: allWaiting, refused: allRefused } = sited(host, file);
  const all: readonly Row[] = [...allWaiting, ...allRefused];
  await requireSound(host.inspection, all);
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
  for (const command of changes) host.documents.received(command.collection, command.document, command.changes);
  await changed();
  const edits = taken.filter(isSomething).length;
  return { taken: edits, known: all.filter(isSomething).length - edits };
}

async function falling(host: TransferHost, entries: readonly RowName[]): Promise<readonly Row[]> {
  return withDependents(await host.rows(), isAmong(entries), (hash) => isOnlyHere(host, hash));
}

const isOnlyHere = ({ rungs }: TransferHost, hash: ChangeHash): boolean => rungs.rung(hash) === "device";

/** False if meanwhile one of them was sent again under another number: nothing was dropped. */
async function drop(host: TransferHost, rows: readonly Row[]): Promise<boolean> {
  const { journal, rungs, settlement, documents, changed } = host;
  const refused = rows.filter((row) => "code" in row);
  // A number is never missing from a stream: a command that does nothing takes the place of what is dropped.
  const replaced = rows
    .filter((row) => !("code" in row))
    .map(({ link, seq, site = null }) => nothingAt(link, seq, site));
  const step: { dropped: NonNullable<ClientWrite["dropped"]> | null } = { dropped: null };
  // In one step with what decides it: what the site told of before is the document's as anybody's changes are.
  const late = (): ClientWrite => {
    step.dropped = isSentAgain(host, rows) ? null : rows.flatMap((row) => droppedOf(host, row));
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
function droppedOf(host: TransferHost, { command }: Row): NonNullable<ClientWrite["dropped"]> {
  if (command.kind !== "change") return [];
  const { collection, document } = command;
  return [{ collection, document, changes: command.changes.filter(({ hash }) => isOnlyHere(host, hash)) }];
}

/** The site lacked what one of them follows (D3), or forgot this session: it waits anew. */
function isSentAgain(host: TransferHost, rows: readonly Row[]): boolean {
  const isOne = isAmong(rows);
  const hashes = new Set(rows.flatMap(hashesOf).filter((hash) => isOnlyHere(host, hash)));
  const { outbox } = host.journal;
  return [...outbox.rows()].some(({ row }) => !isOne(row) && hashesOf(row).some((hash) => hashes.has(hash)));
}

const fileOf = (host: TransferHost, waiting: readonly OutboxRow[], refused: readonly FailedRow[]): Uint8Array =>
  encodeOutboxFile({ cluster: host.cluster(), ...sited(host, { waiting, refused }) });

/** A row that names no site is of the one that is followed: it says so before another one may be. */
function sited(
  host: TransferHost,
  { waiting, refused }: Pick<OutboxFile, "waiting" | "refused">,
): Pick<OutboxFile, "waiting" | "refused"> {
  const site = host.site();
  if (site === null) return { waiting, refused };
  return { waiting: waiting.map((row) => ({ site, ...row })), refused: refused.map((row) => ({ site, ...row })) };
}

const isSomething = ({ command }: Row): boolean => !isNothing(command);

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
