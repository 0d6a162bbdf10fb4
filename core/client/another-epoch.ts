/**
 * The site is met in another epoch: it was restored, or rescued, and what was committed in the one before may be gone (L3).
 * A document's changes are sent again, which harms nothing; a key's write that may have taken place is not (Q1). Every
 * step may be repeated, and the last one makes that epoch the known one: after a crash, or where storage failed, the next
 * connection ends for the same reason, and all of it is done again.
 */
import { EMPTY_BYTES } from "../bytes.ts";
import { revision } from "../ids.ts";
import type { Documents } from "./documents.ts";
import type { Down } from "./down.ts";
import type { Drainer } from "./drain.ts";
import type { KeyEvent } from "./key-row.ts";
import type { Keys } from "./keys.ts";
import { hashesOf } from "./outbox-row.ts";
import type { ReadSession } from "./read-session.ts";
import { type RenewalHost, renewOutbox } from "./renewal.ts";
import type { Rungs } from "./rungs.ts";
import type { ClientStore, MirrorRow, SiteLife } from "./store.ts";
import { unconfirmedChanges } from "./unconfirmed.ts";

export interface SiteChangeHost extends RenewalHost {
  readonly store: ClientStore;
  readonly rungs: Rungs;
  readonly keys: Keys;
  readonly documents: Documents;
  readonly session: ReadSession;
  readonly drainer: Drainer;
  readonly down: Down;
  /** Resolves when the outcomes that came are stored. */
  settled(): Promise<unknown>;
}

/** @throws OpenClawError CLIENT_STORAGE_FAILED: to be done again */
export async function followEpoch(host: SiteChangeHost, to: SiteLife): Promise<void> {
  const { store, journal, rungs, keys, documents, session, drainer, down } = host;
  await drainer.stop();
  // What the site said before counts for the epoch in which it said so.
  await host.settled();
  rungs.withdraw();
  keys.forget();
  session.forget();
  const gone = keys.watched ? await store.mirrored() : [];
  const drafts = await unconfirmedChanges(store);
  await journal.commit({ drafts, write: { mirrorReset: true, hubHolds: revision(Number.MAX_SAFE_INTEGER) } });
  for (const { command } of drafts) rungs.stored(hashesOf({ command }));
  // The stream begins from nothing, and does not tell of a key that was never in the ledger of this epoch.
  keys.received(gone.map(deletion), revision(0));
  // A restored site does not know these streams, but may hold what came of them.
  journal.outbox.lostSight();
  await renewOutbox(host, to);
  await drainer.abandon();
  down.forget();
  documents.rungsMoved();
}

/** As a watcher of keys hears that one is not there any more. */
export const deletion = ({ key, origin, modRevision }: MirrorRow): KeyEvent => ({
  kind: "delete",
  key,
  value: EMPTY_BYTES,
  origin,
  revision: modRevision,
  principal: null,
  time: null,
  snapshot: true,
});
