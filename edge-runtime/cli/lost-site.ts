/** What the hub says of a site that is to be made again. */
import { OpenClawError } from "@openclaw/core/errors.ts";
import { z } from "zod";
import type { ApiClient } from "./client.ts";

const Sites = z.array(z.object({ cluster: z.string(), connected: z.boolean(), clusterKey: z.string().nullable() }));
type Site = z.infer<typeof Sites>[number];

/** Null where the hub has no row of it. */
export async function siteAt(hub: ApiClient, site: string): Promise<Site | null> {
  const sites = Sites.parse(await hub.json({ method: "GET", path: "/v1/sites" }));
  return sites.find(({ cluster }) => cluster === site) ?? null;
}

/** @throws OpenClawError `refusal`, when the site has a link with the hub */
export function requireNoLink(site: Site | null, refusal: "RESTORE_REFUSED" | "RESCUE_REFUSED"): void {
  if (site?.connected === true)
    throw new OpenClawError(
      refusal,
      `${site.cluster} has a link with the hub: it is not lost; stop its nodes first (a box that lost its power has one for a minute more)`,
    );
}
