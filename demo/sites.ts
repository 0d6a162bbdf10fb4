/** The fleet's sites, and which seismic networks report to which. */
import { Refusal } from "./refusal.ts";

export interface SitePlan {
  readonly name: string;
  readonly networks: readonly string[];
}

export const HUB = "hub";
/** Keys of the hub that tell where each site's pages are; every site mirrors them, and the page shows them. */
export const SITES_PREFIX = "sites/";
/** A hub that lost one of its nodes goes on, and the sites look for another one of them. */
export const HUB_NODES = 3;
export const GATEWAYS = 3;

const STANDARD: readonly SitePlan[] = [
  { name: "california", networks: ["ci", "nc"] },
  { name: "alaska", networks: ["ak"] },
];

/** Names of the networks in the week's file, as sites of their own. */
const FURTHER: ReadonlyMap<string, string> = new Map([
  ["us", "united-states"],
  ["nn", "nevada"],
  ["pr", "puerto-rico"],
  ["hv", "hawaii"],
  ["mb", "montana"],
  ["uu", "utah"],
  ["uw", "washington"],
  ["se", "southeast"],
  ["nm", "new-madrid"],
]);

/** The two sites, and one for each further network. @throws Refusal for a network that has no site */
export function sitesFor(networks: readonly string[]): readonly SitePlan[] {
  const further = [...new Set(networks)].map((network): SitePlan => {
    const name = FURTHER.get(network);
    if (name !== undefined) return { name, networks: [network] };
    const known = [...FURTHER.keys()].join(", ");
    throw new Refusal(`--sites takes seismic networks that have no site yet (${known}), not "${network}"`);
  });
  return [...STANDARD, ...further];
}
