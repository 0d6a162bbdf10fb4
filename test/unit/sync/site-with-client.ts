/** The smallest world: a site of one, and a client that is connected. */
import type { Client } from "@openclaw/core/client/client.ts";
import { type TestCluster, World } from "./world.ts";

export async function siteWithClient(seed = 1): Promise<{ world: World; site: TestCluster; client: Client }> {
  const world = new World(seed);
  const site = await world.cluster("california");
  const client = await world.client(site);
  await world.flush();
  return { world, site, client };
}
