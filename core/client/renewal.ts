/** The site no longer knows this session's stream: what is left of it goes on under another name. */
import type { Journal } from "./journal.ts";
import type { OwnLinks } from "./own-link.ts";
import type { Settlement } from "./settlement.ts";
import type { SiteLife } from "./store.ts";

export interface RenewalHost {
  readonly journal: Journal;
  readonly links: OwnLinks;
  readonly settlement: Settlement;
}

/** @throws OpenClawError CLIENT_STORAGE_FAILED: to be done again */
export async function renewOutbox({ journal, links, settlement }: RenewalHost, site: SiteLife | null): Promise<void> {
  const { outbox } = journal;
  const fresh = await links.fresh(outbox, site);
  // Rows may have been on their way into it meanwhile.
  do {
    await settlement.abandon(outbox, fresh);
  } while (outbox.size > 0);
}
