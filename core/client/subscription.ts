/** What a client wants of its parent's ledger, and whether one wish is part of another. */
import { equalBytes, startsWith, utf8 } from "../bytes.ts";
import type { Subscription } from "../ledger/subscription.ts";
import { SUBSCRIPTION_ITEMS_MAX } from "../limits.ts";
import type { Bytes } from "./key-row.ts";

/** False for more than a parent takes: it would refuse the whole connection. */
export const fits = ({ prefixes, collections }: Subscription): boolean =>
  prefixes.length <= SUBSCRIPTION_ITEMS_MAX && collections.length <= SUBSCRIPTION_ITEMS_MAX;

/** As an app writes it. */
export interface Wanted {
  readonly prefixes?: readonly Bytes[];
  readonly collections?: readonly string[];
  readonly mirrors?: boolean;
}

export const subscriptionOf = ({ prefixes = [], collections = [], mirrors = false }: Wanted): Subscription => ({
  prefixes: prefixes.map((prefix) => (typeof prefix === "string" ? utf8(prefix) : prefix)),
  collections,
  mirrors,
});

export const isEmpty = ({ prefixes, collections }: Subscription): boolean =>
  prefixes.length === 0 && collections.length === 0;

/** True if every key of that prefix, and origin, comes with the subscription. */
export const coversPrefix = (subscription: Subscription, prefix: Uint8Array, mirrored: boolean): boolean =>
  (!mirrored || subscription.mirrors) && subscription.prefixes.some((wide) => startsWith(prefix, wide));

/** True if all that `narrow` brings comes with `wide`, too. */
export const covers = (wide: Subscription, narrow: Subscription): boolean =>
  narrow.collections.every((collection) => wide.collections.includes(collection)) &&
  narrow.prefixes.every((prefix) => coversPrefix(wide, prefix, narrow.mirrors));

/** Both together; what one of them has already is not named twice. */
export function union(a: Subscription, b: Subscription): Subscription {
  const prefixes = [...a.prefixes];
  for (const prefix of b.prefixes) if (!prefixes.some((known) => equalBytes(known, prefix))) prefixes.push(prefix);
  return {
    prefixes: prefixes.filter((prefix) => !prefixes.some((wide) => wide !== prefix && startsWith(prefix, wide))),
    collections: [...new Set([...a.collections, ...b.collections])],
    mirrors: a.mirrors || b.mirrors,
  };
}
