/** How a session begins: what the device holds is read back before anything is sent. */
import { revision } from "../ids.ts";
import { Client } from "./client.ts";
import { allRows } from "./drain.ts";
import type { ClientOptions } from "./options.ts";
import { Outbox } from "./outbox.ts";
import { drawLink } from "./own-link.ts";
import { Quarantines } from "./quarantines.ts";
import { Rungs } from "./rungs.ts";
import type { OutboxRow } from "./store.ts";

/** Opens what the device holds, and begins to connect. @throws OpenClawError CLIENT_STORAGE_FAILED */
export async function openClient(options: ClientOptions): Promise<Client> {
  const { store, random } = options;
  const claim = options.claim ?? (async () => () => undefined);
  const link = options.link ?? drawLink(random);
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
  rungs.restore(rows, awaiting, failed, upstream, down?.cursor ?? revision(0));
  const client = new Client(options, {
    outbox,
    rungs,
    down,
    failed,
    quarantines: new Quarantines(quarantined),
    claim,
    release,
    foreign: rows.filter((row) => row.link !== link),
  });
  client.goOnline();
  return client;
}
