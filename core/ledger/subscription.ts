/** What a child wants of its parent's ledger. */
import { type DocumentName, DocumentNames } from "./document-names.ts";

/** Everything else arrives as skips. */
export interface Subscription {
  /** Key prefixes of the parent's own keys. */
  readonly prefixes: readonly Uint8Array[];
  readonly collections: readonly string[];
  /** Mirrored prefixes of other origins, too. */
  readonly mirrors: boolean;
  /** Single documents, of any collection: a client's alone. A cluster takes collections whole, and leaves them out. */
  readonly documents?: readonly DocumentName[];
}

export const NOTHING: Subscription = { prefixes: [], collections: [], mirrors: false };

/** Of one subscription: a parent asks for every change that goes by, and every child. */
const NAMED = new WeakMap<readonly DocumentName[], DocumentNames>();

/** The documents that it names one by one. */
export function namedIn({ documents = [] }: Subscription): DocumentNames {
  const known = NAMED.get(documents);
  if (known !== undefined) return known;
  const names = new DocumentNames(documents);
  NAMED.set(documents, names);
  return names;
}

/** True if every change of the document comes with it. */
export const bringsDocument = (subscription: Subscription, name: DocumentName): boolean =>
  subscription.collections.includes(name.collection) ||
  (subscription.documents !== undefined && namedIn(subscription).has(name));
