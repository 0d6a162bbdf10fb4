/** What a child wants of its parent's ledger. */
import { type Encodable, limited, TupleReader } from "../codec.ts";
import { OpenClawError } from "../errors.ts";
import { SUBSCRIPTION_DOCUMENTS_MAX, SUBSCRIPTION_ITEMS_MAX } from "../limits.ts";
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

/** Without documents it is as it was before there were any: clusters keep it in replicated rows and commands. */
export const subscriptionTuple = ({ prefixes, collections, mirrors, documents = [] }: Subscription): Encodable => [
  prefixes,
  collections,
  mirrors,
  ...(documents.length === 0 ? [] : [documents.map(({ collection, document }) => [collection, document])]),
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
  const subscription = { prefixes, collections, mirrors: reader.flag() };
  if (!reader.more) return subscription;
  const documents = limited(reader.list(), SUBSCRIPTION_DOCUMENTS_MAX, "documents").map(readName);
  reader.end();
  // One value, one encoding.
  if (documents.length === 0) throw new OpenClawError("MALFORMED_FRAME", "an empty list of documents");
  return { ...subscription, documents };
}

function readName(value: Encodable): DocumentName {
  const reader = new TupleReader(value, "name of a document");
  const name = { collection: reader.text(), document: reader.text() };
  reader.end();
  return name;
}
