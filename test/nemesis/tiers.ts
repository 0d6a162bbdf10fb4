/** The clusters of a run: one, or a site and its hub, which mirrors the site's keys and gives it its own. */
import { fileURLToPath } from "node:url";
import { siteTokens } from "@openclaw/edge-runtime/enrol.ts";
import { parseSiteToken } from "@openclaw/edge-runtime/site-token.ts";
import { layOutBoxes, layOutCluster, PROGRAM, type RealCluster } from "./cluster.ts";
import type { Namespaces } from "./namespaces.ts";
import { UNIQUE_PREFIX } from "./unique-keys.ts";
import type { Load } from "./workload.ts";

const HUB_PROGRAM = fileURLToPath(new URL("../../hub/cli.ts", import.meta.url));
const ALL: Load = { registers: 5, writers: 2, natives: 1 };
/** Beside a site under its whole load, and for its mirror. */
const FEW: Load = { registers: 2, writers: 1, natives: 0 };

export interface Tiers {
  readonly site: RealCluster;
  readonly hub: RealCluster | null;
}

export interface TiersOptions {
  readonly folder: string;
  readonly tiers: 1 | 2;
  /** Of each tier. */
  readonly nodes: number;
  readonly namespaces: Namespaces | null;
  readonly report: (text: string) => void;
}

/** Nothing runs yet. */
export async function layOutTiers({ folder, tiers, nodes, namespaces, report }: TiersOptions): Promise<Tiers> {
  const boxes = await layOutBoxes(tiers * nodes, namespaces);
  const common = { folder, report };
  const program = PROGRAM;
  if (tiers === 1) {
    const site = await layOutCluster({ ...common, name: "nemesis", boxes, program, parent: null });
    return { site, hub: null };
  }
  const [below, above] = [boxes.slice(0, nodes), boxes.slice(nodes)];
  const hub = await layOutCluster({ ...common, name: "hub", boxes: above, program: HUB_PROGRAM, parent: null });
  const grant = { directory: hub.directory, count: 1, site: "site", approved: true, members: null };
  const [token = ""] = await siteTokens(grant);
  const parent = {
    token: await parseSiteToken(token),
    subscribe: { collections: [], prefixes: [UNIQUE_PREFIX], mirrors: false },
  };
  const site = await layOutCluster({ ...common, name: "site", boxes: below, program, parent });
  return { site, hub };
}

export const loadOf = ({ site }: Tiers, cluster: RealCluster): Load => (cluster === site ? ALL : FEW);
