/** How a session begins: what the device holds is read back before anything is sent. */
import { type LinkId, revision, seq } from "../ids.ts";
import type { Digest } from "../ports.ts";
import { Client } from "./client.ts";
import type { ClientOptions } from "./options.ts";
import { Outbox } from "./outbox.ts";
import { allRows } from "./outbox-row.ts";
import { drawLink } from "./own-link.ts";
import { Quarantines } from "./quarantines.ts";
import type { Beside } from "./restored.ts";
import { Rungs } from "./rungs.ts";
import type { ClientStore, OutboxRow } from "./store.ts";

/** Opens what the device holds, and begins to connect. @throws OpenClawError CLIENT_STORAGE_FAILED */
export async function restoreClient(options: ClientOptions, beside: Beside, digest: Digest): Promise<Client> {
  const { store, random } = options;
  const claim = options.claim ?? (async () => () => undefined);
  const wanted = options.link ?? drawLink(random);
  // What it left at another site waits there; this session sends to the one that is followed.
  const link = (await isElsewhere(store, wanted)) ? drawLink(random) : wanted;
  // Held while this session lives, so that no other drains what it is still sending.
  const release = await claim(link);
  const rows: OutboxRow[] = [];
  for (const queued of await store.outboxLinks()) rows.push(...(await allRows(store, queued)));
  const own = rows.filter((row) => row.link === link);
  const outbox = new Outbox(link, own[0]?.seq ?? (await store.nextSeq(link)));
  outbox.restore(own);
  const [down, awaiting, failed, quarantined] = await Promise.all([
    store.down(),
    store.awaiting(),
    store.failed(),
    store.quarantined(),
  ]);
  const rungs = new Rungs();
  const upstream = down ?? { upstream: revision(0), upstreamEpoch: null };
  // Of the documents of another site it is not known which ones this one has.
  const storedTo = down?.unmatched === true ? null : (down?.cursor ?? revision(0));
  rungs.restore(rows, awaiting, failed, upstream, storedTo);
  if (down !== null) outbox.meet(down);
  const client = new Client(options, {
    outbox,
    rungs,
    down,
    failed,
    quarantines: new Quarantines(quarantined),
    claim,
    release,
    ...beside,
    digest,
    foreign: rows.filter((row) => row.link !== link),
  });
  client.goOnline();
  return client;
}

async function isElsewhere(store: ClientStore, link: LinkId): Promise<boolean> {
  const [first] = await store.outbox(link, seq(1), 1);
  return first?.site !== undefined && first.site.cluster !== (await store.down())?.cluster;
}
