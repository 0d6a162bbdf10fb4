/** What a site gets from its parent, as options. */
import type { Command } from "commander";
import type { Subscribed } from "../parent-configuration.ts";
import { collected } from "./reach.ts";

export interface Subscribing {
  readonly subscribe?: string[];
  readonly subscribePrefix?: string[];
  readonly subscribeMirrors?: boolean;
}

/** The options behind `Subscribing`. */
export const subscribing = (command: Command): Command =>
  command
    .option(
      "--subscribe <collection>",
      "a document collection to get from the parent; repeat it for several",
      collected,
    )
    .option("--subscribe-prefix <prefix>", "keys of the parent's own to get; repeat it for several", collected)
    .option("--subscribe-mirrors", "with the prefixes, get what other sites wrote under them, too");

/** Null where nothing is said. */
export function subscribedOf({ subscribe, subscribePrefix, subscribeMirrors }: Subscribing): Subscribed | null {
  if (subscribe === undefined && subscribePrefix === undefined && subscribeMirrors === undefined) return null;
  return { collections: subscribe ?? [], prefixes: subscribePrefix ?? [], mirrors: subscribeMirrors === true };
}
