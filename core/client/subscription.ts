/** What a client wants of its parent's ledger, and whether one wish is part of another. */
import { equalBytes, startsWith, utf8 } from "../bytes.ts";
import { type DocumentName, DocumentNames } from "../ledger/document-names.ts";
import { bringsDocument, type Subscription } from "../ledger/subscription.ts";
import { SUBSCRIPTION_DOCUMENTS_MAX, SUBSCRIPTION_ITEMS_MAX } from "../limits.ts";
import type { Bytes } from "./key-row.ts";

/** False for more than a parent takes: it would refuse the whole connection. */
export const fits = ({ prefixes, collections, documents = [] }: Subscription): boolean =>
  prefixes.length <= SUBSCRIPTION_ITEMS_MAX &&
  collections.length <= SUBSCRIPTION_ITEMS_MAX &&
  documents.length <= SUBSCRIPTION_DOCUMENTS_MAX;

/** Of too many documents those give way that were opened longest ago, and are not open. */
export function withRoom(subscription: Subscription, isOpen: (name: DocumentName) => boolean): Subscription {
  const { documents = [] } = subscription;
  let over = documents.length - SUBSCRIPTION_DOCUMENTS_MAX;
  if (over <= 0) return subscription;
  return { ...subscription, documents: documents.filter((one) => isOpen(one) || over-- <= 0) };
}

/** As an app writes it. */
export interface Wanted {
  readonly prefixes?: readonly Bytes[];
  readonly collections?: readonly string[];
  readonly mirrors?: boolean;
  /** Single ones, of collections that are not wanted whole. */
  readonly documents?: readonly DocumentName[];
}

export const subscriptionOf = ({
  prefixes = [],
  collections = [],
  mirrors = false,
  documents,
}: Wanted): Subscription => ({
  prefixes: prefixes.map((prefix) => (typeof prefix === "string" ? utf8(prefix) : prefix)),
  collections,
  mirrors,
  ...named(documents),
});

/** Left out where there are none: a subscription is said in one way. */
const named = (documents: readonly DocumentName[] = []): Pick<Subscription, "documents"> =>
  documents.length === 0 ? {} : { documents };

export const isEmpty = ({ prefixes, collections, documents = [] }: Subscription): boolean =>
  prefixes.length === 0 && collections.length === 0 && documents.length === 0;

/** True if every key of that prefix, and origin, comes with the subscription. */
export const coversPrefix = (subscription: Subscription, prefix: Uint8Array, mirrored: boolean): boolean =>
  (!mirrored || subscription.mirrors) && subscription.prefixes.some((wide) => startsWith(prefix, wide));

/** True if all that `narrow` brings comes with `wide`, too. */
export const covers = (wide: Subscription, narrow: Subscription): boolean =>
  narrow.collections.every((collection) => wide.collections.includes(collection)) &&
  narrow.prefixes.every((prefix) => coversPrefix(wide, prefix, narrow.mirrors)) &&
  (narrow.documents ?? []).every((one) => bringsDocument(wide, one));

/** Both together; what one of them has already is not named twice, and of documents those of the second stand last. */
export function union(a: Subscription, b: Subscription): Subscription {
  const prefixes = [...a.prefixes];
  for (const prefix of b.prefixes) if (!prefixes.some((known) => equalBytes(known, prefix))) prefixes.push(prefix);
  const collections = [...new Set([...a.collections, ...b.collections])];
  const later = new DocumentNames(b.documents ?? []);
  const documents = [...(a.documents ?? []).filter((one) => !later.has(one)), ...(b.documents ?? [])];
  return {
    prefixes: prefixes.filter((prefix) => !prefixes.some((wide) => wide !== prefix && startsWith(prefix, wide))),
    collections,
    mirrors: a.mirrors || b.mirrors,
    ...named(documents.filter(({ collection }) => !collections.includes(collection))),
  };
}
