/**
 * Another site is met than the one that this device follows, as when a van drives from one shop to the next, and the app
 * lets its documents go along (`roaming`). Documents have no home: what the other site lacks of them is offered to it. Keys
 * have one: their writes stay in this device's outbox until their own site is met again, and so does nothing of that
 * site's mirror. All of it is one write, after which this device is the other site's; until then it is done again at each
 * connection.
 */
import { OpenClawError } from "../errors.ts";
import { revision } from "../ids.ts";
import { NOTHING as NO_SUBSCRIPTION } from "../ledger/subscription.ts";
import { deletion, type SiteChangeHost } from "./another-epoch.ts";
import type { Leases } from "./leases.ts";
import type { Neighbours } from "./neighbours.ts";
import { nothingAt } from "./nothing.ts";
import type { Outbox } from "./outbox.ts";
import { allRows } from "./outbox-row.ts";
import type { ClientStore, DownCursor, OutboxRow, SiteLife } from "./store.ts";

export interface AnotherSiteHost extends SiteChangeHost {
  readonly leases: Leases;
  readonly neighbours: Neighbours;
  failed(error: unknown): void;
  /** Rows of this session that wait for the site before. */
  left(outbox: Outbox): void;
}

/** @throws OpenClawError CLIENT_STORAGE_FAILED: to be done again */
export async function followSite(host: AnotherSiteHost, to: SiteLife): Promise<void> {
  const { store, journal, rungs, keys, documents, session, drainer, down } = host;
  await drainer.stop();
  // What the site before said of its rows counts.
  await host.settled();
  const gone = keys.watched ? await store.mirrored() : [];
  const { outbox: old } = journal;
  const fresh = await host.links.fresh(old, to);
  const cursor = revision(0);
  const beginning: DownCursor = {
    ...to,
    cursor,
    subscription: NO_SUBSCRIPTION,
    snapshot: null,
    upstream: cursor,
    upstreamEpoch: null,
    unmatched: true,
  };
  const replaced = [...(await unclaimed(store, down.site)), ...withdrawn(old)];
  const hubHolds = revision(Number.MAX_SAFE_INTEGER);
  await journal.commit({ moved: fresh, write: { replaced, mirrorReset: true, hubHolds, down: beginning } });
  rungs.leave(to.cluster);
  down.moved(beginning);
  keys.forget();
  session.forget();
  host.leases.leave(to.cluster);
  host.neighbours.leave();
  keys.received(gone.map(deletion), cursor);
  documents.rungsMoved();
  // The other site is followed by now: what storage refuses from here on keeps nobody from hearing of it.
  const failed = (error: unknown): void => host.failed(error);
  // What was made for the site before, and was on its way into the outbox just then, is in it, or was not stored.
  await journal.commit({}).catch(failed);
  host.left(old);
  const late = withdrawn(old);
  tell(old, late, to);
  // Else it is done when this site is asked what it lacks.
  await journal.commit({ write: { replaced: late } }).catch(failed);
}

/** Rows that name no site are the one's that was known so far: from here on they say so. */
async function unclaimed(store: ClientStore, met: SiteLife | null): Promise<readonly OutboxRow[]> {
  const known = (await store.down()) ?? met;
  if (known === null) return [];
  const { cluster, epoch } = known;
  const rows: OutboxRow[] = [];
  for (const link of await store.outboxLinks())
    for (const row of await allRows(store, link))
      if (row.site === undefined) rows.push({ ...row, site: { cluster, epoch } });
  return rows;
}

/** In the place of what is of use now or never: its callers are told, and repeat it or do not. */
const withdrawn = (outbox: Outbox): readonly OutboxRow[] =>
  outbox.passing().map(({ row: { link, seq: at, site = outbox.site } }) => nothingAt(link, at, site));

/** A document's edits go along; whoever wrote a key hears that it waits, or that it does not. */
function tell(outbox: Outbox, withdrawn: readonly OutboxRow[], { cluster }: SiteLife): void {
  const before = outbox.site?.cluster ?? "its site";
  const gone = new OpenClawError(
    "WRONG_CLUSTER",
    `this device follows ${cluster}: whether ${before} ran it is not known`,
  );
  for (const row of withdrawn) for (const edit of outbox.replace(row)) edit.refused(gone);
  const waits = new OpenClawError("WRONG_CLUSTER", `this device follows ${cluster}: it waits here for ${before}`);
  for (const { row, edits } of outbox.rows())
    if (row.command.kind !== "change") for (const edit of edits) edit.refused(waits);
}
