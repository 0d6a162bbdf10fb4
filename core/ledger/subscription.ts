/** What a child wants of its parent's ledger. */
import { type Encodable, limited, TupleReader } from "../codec.ts";
import { OpenClawError } from "../errors.ts";
import { SUBSCRIPTION_ITEMS_MAX } from "../limits.ts";

/** Everything else arrives as skips. */
export interface Subscription {
  /** Key prefixes of the parent's own keys. */
  readonly prefixes: readonly Uint8Array[];
  readonly collections: readonly string[];
  /** Mirrored prefixes of other origins, too. */
  readonly mirrors: boolean;
}

export const NOTHING: Subscription = { prefixes: [], collections: [], mirrors: false };

export const subscriptionTuple = ({ prefixes, collections, mirrors }: Subscription): Encodable => [
  prefixes,
  collections,
  mirrors,
];

/** @throws OpenClawError MALFORMED_FRAME */
export function readSubscription(value: Encodable): Subscription {
  const reader = new TupleReader(value, "subscription");
  const prefixes = limited(reader.list(), SUBSCRIPTION_ITEMS_MAX, "prefixes").map((field) => {
    if (!(field instanceof Uint8Array)) throw new OpenClawError("MALFORMED_FRAME", "a prefix is bytes");
    return field;
  });
  const collections = limited(reader.list(), SUBSCRIPTION_ITEMS_MAX, "collections").map((field) => {
    if (typeof field !== "string") throw new OpenClawError("MALFORMED_FRAME", "a collection is a text");
    return field;
  });
  const subscription: Subscription = { prefixes, collections, mirrors: reader.flag() };
  reader.end();
  return subscription;
}
