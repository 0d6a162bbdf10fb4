/** Tells the pages of all sites where the others are: the hub writes it, every site mirrors it (`page/sites.ts` reads it). */
import type { Fleet } from "./fleet.ts";
import { SiteClient } from "./site-client.ts";
import { SITES_PREFIX } from "./sites.ts";

/** At each start: ports may have changed. */
export async function publishSites(fleet: Fleet, signal?: AbortSignal): Promise<void> {
  const hub = new SiteClient(fleet.hub.urls);
  for (const { name, urls } of fleet.sites) {
    const key = SITES_PREFIX + name;
    const value = Buffer.from(JSON.stringify(urls.map((url) => `${url}/`)));
    const stored = await hub.get(key, signal);
    if (stored !== null && value.equals(stored.value)) continue;
    await hub.put(key, value, stored?.modRevision ?? 0, signal);
  }
}
