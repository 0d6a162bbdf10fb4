/**
 * What a site that this device came to is offered: of each document that the device holds, the heads are asked for, and the
 * changes that the site lacks are queued for it, own and received ones alike, each after what it depends on. What the site
 * has, it streams down.
 */
import { asOpenClawError, OpenClawError } from "../errors.ts";
import { type ChangeHash, type LinkId, type Revision, revision } from "../ids.ts";
import type { DocumentChange } from "../ledger/record.ts";
import type { Draft, Journal } from "./journal.ts";
import { isNothing, nothingAt } from "./nothing.ts";
import type { Unanswered } from "./outbox.ts";
import { allRows, hashesOf } from "./outbox-row.ts";
import type { Quarantines } from "./quarantines.ts";
import type { Questions } from "./questions.ts";
import type { Rungs } from "./rungs.ts";
import type { ClientStore } from "./store.ts";

/** Documents whose heads are asked for at once. */
const DOCUMENTS_AT_ONCE = 16;
/** Changes that are queued in one write. */
const CHANGES_AT_ONCE = 256;

export interface OfferHost {
  readonly store: ClientStore;
  readonly journal: Journal;
  readonly rungs: Rungs;
  readonly quarantines: Quarantines;
  readonly ask: Questions["ask"];
}

/** Over one connection. */
export interface Offering {
  /** It has ended: what it began, another does not go on with. */
  isOver(): boolean;
  /** Resolves when there is room in the outbox, or it is over. */
  room(): Promise<void>;
}

/** Resolves with the revision as of which the site was asked of all of them, or sooner when it is over. */
export async function offerDocuments(host: OfferHost, offering: Offering): Promise<Revision> {
  let at = revision(0);
  for (const collection of await host.store.collections()) {
    const names = await host.store.documents(collection);
    for (let i = 0; i < names.length; i += DOCUMENTS_AT_ONCE) {
      if (offering.isOver()) return at;
      const offers = names
        .slice(i, i + DOCUMENTS_AT_ONCE)
        .map((document) => offer(host, offering, collection, document));
      for (const seen of await Promise.all(offers)) if (seen > at) at = seen;
    }
  }
  return at;
}

async function offer(
  host: OfferHost,
  { isOver, room }: Offering,
  collection: string,
  document: string,
): Promise<Revision> {
  const { store, rungs, journal, quarantines } = host;
  const { heads, refused, at } = await headsOf(host, collection, document);
  const kept = new Set([...quarantines.of(collection, document).map(({ hash }) => hash), ...refused]);
  const stored = (await store.document(collection, document)).filter(({ hash }) => !kept.has(hash));
  // What this site answered says nothing of one that is followed by now.
  if (isOver()) return at;
  const known = ancestorsOf(stored, heads);
  rungs.committed(
    [...known].filter((hash) => rungs.isOwn(hash)),
    at,
  );
  const queued = queuedHashes(journal);
  const lacking = stored.filter(
    ({ hash }) => !known.has(hash) && !queued.has(hash) && rungs.heldAt(hash) === null && rungs.failure(hash) === null,
  );
  for (let i = 0; i < lacking.length && !isOver(); i += CHANGES_AT_ONCE) {
    await room();
    const drafts = lacking.slice(i, i + CHANGES_AT_ONCE).map((change) => draftOf(collection, document, [change]));
    if (isOver()) break;
    await journal.commit({ drafts });
    for (const draft of drafts) rungs.stored(hashesOf(draft));
  }
  return at;
}

async function headsOf({ ask }: OfferHost, collection: string, document: string) {
  try {
    const query = { kind: "document", collection, document, after: Number.MAX_SAFE_INTEGER, limit: 1 } as const;
    const { answer, seen } = await ask(query, { kind: "local" });
    return { heads: answer.heads, refused: answer.quarantined.map(({ hash }) => hash), at: seen.position.revision };
  } catch (error) {
    // Who may not read it there may be let write it: each change is offered, and a refusal is told.
    if (error instanceof OpenClawError && error.code === "FORBIDDEN")
      return { heads: [], refused: [], at: revision(0) };
    throw error;
  }
}

/**
 * Takes the documents' changes out of an outbox of another site's, once this one was offered them all: what neither is
 * there nor waits for it does so now. Writes of keys stay, each under its number. @throws OpenClawError CLIENT_STORAGE_FAILED
 */
export async function carryDocuments({ store, journal, rungs }: OfferHost, link: LinkId): Promise<void> {
  const queued = queuedHashes(journal);
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
export function followCarried({ rungs }: OfferHost, { row, edits }: Unanswered): void {
  const hashes = hashesOf(row);
  const at = (): Revision => revision(Math.max(0, ...hashes.map((hash) => rungs.heldAt(hash) ?? 0)));
  for (const edit of edits)
    Promise.all(hashes.map((hash) => rungs.settled(hash, "site"))).then(
      () => edit.committed(at(), null),
      (error: unknown) => edit.refused(asOpenClawError(error)),
    );
}

function queuedHashes({ outbox }: Journal): ReadonlySet<ChangeHash> {
  const queued = new Set<ChangeHash>();
  for (const { row } of outbox.rows()) for (const hash of hashesOf(row)) queued.add(hash);
  return queued;
}

const draftOf = (collection: string, document: string, changes: readonly DocumentChange[]): Draft => ({
  command: { kind: "change", collection, document, changes },
  edits: [],
  round: 0,
});

/** The heads that are among the changes, and all that they follow. @param changes each after what it depends on */
function ancestorsOf(changes: readonly DocumentChange[], heads: readonly ChangeHash[]): ReadonlySet<ChangeHash> {
  const found = new Set(heads);
  for (const { hash, deps } of changes.toReversed()) if (found.has(hash)) for (const dep of deps) found.add(dep);
  return found;
}
