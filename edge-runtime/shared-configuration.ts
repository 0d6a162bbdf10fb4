/** What all nodes of a cluster configure alike: a member hands it to a new one. The link to the parent is whichever leads. */
import type { NodeConfig } from "./config.ts";

const SHARED = ["auth", "parent", "uplink"] as const satisfies readonly (keyof NodeConfig)[];

export const sharedText = (config: Pick<NodeConfig, (typeof SHARED)[number]>): string =>
  JSON.stringify(Object.fromEntries(SHARED.map((name) => [name, config[name]])));

/** Only what we know: the configuration is checked whole when it is loaded. */
export function sharedFields(text: string): Record<string, unknown> {
  const fields: unknown = JSON.parse(text);
  if (typeof fields !== "object" || fields === null) return {};
  return Object.fromEntries(Object.entries(fields).filter(([name]) => SHARED.some((known) => known === name)));
}
