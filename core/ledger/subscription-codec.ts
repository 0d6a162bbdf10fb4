/** Subscriptions as they travel and are kept. */
import { type Encodable, limited, TupleReader } from "../codec.ts";
import { OpenClawError } from "../errors.ts";
import { SUBSCRIPTION_DOCUMENTS_MAX, SUBSCRIPTION_ITEMS_MAX } from "../limits.ts";
import type { DocumentName } from "./document-names.ts";
import type { Subscription } from "./subscription.ts";

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
