/**
 * What a stream brings, as key intervals and collections: so that what was added to a subscription, and what was taken
 * away, can be said exactly (S4).
 */
import { compareBytes, EMPTY_BYTES, equalBytes, prefixEnd } from "../bytes.ts";
import { type DocumentName, DocumentNames } from "./document-names.ts";
import { bringsDocument, namedIn, type Subscription } from "./subscription.ts";

/** Keys with from ≤ key < to; `to` null: to the end. */
export interface KeyInterval {
  readonly from: Uint8Array;
  readonly to: Uint8Array | null;
}

export interface Scope {
  /** Of the sender's own keys: ascending, and apart from one another. */
  readonly own: readonly KeyInterval[];
  /** Of the keys of each of its mirrors; likewise. */
  readonly mirrored: readonly KeyInterval[];
  /** Ascending. Null: all. */
  readonly collections: readonly string[] | null;
  /** Of no collection that is in it whole. Each once, in one order. */
  readonly documents: readonly DocumentName[];
}

/** @param subscription null: everything, as a ledger goes up */
export function scopeOf(subscription: Subscription | null): Scope {
  if (subscription === null) {
    const all = [{ from: EMPTY_BYTES, to: null }];
    return { own: all, mirrored: all, collections: null, documents: [] };
  }
  const own = joined(subscription.prefixes.map((prefix) => ({ from: prefix, to: prefixEnd(prefix) ?? null })));
  const collections = [...new Set(subscription.collections)].sort();
  const named = subscription.documents === undefined ? [] : namedIn(subscription).sorted();
  const documents = outside(named, collections);
  return { own, mirrored: subscription.mirrors ? own : [], collections, documents };
}

/** What is in `wide` and not in `narrow`. */
export function without(wide: Scope, narrow: Scope): Scope {
  const { collections: known } = narrow;
  const named = new DocumentNames(narrow.documents);
  return {
    own: subtracted(wide.own, narrow.own),
    mirrored: subtracted(wide.mirrored, narrow.mirrored),
    collections: known === null ? [] : (wide.collections?.filter((one) => !known.includes(one)) ?? null),
    documents: outside(wide.documents, known).filter((one) => !named.has(one)),
  };
}

/** What is in either. */
export function together(a: Scope, b: Scope): Scope {
  const collections =
    a.collections === null || b.collections === null ? null : [...new Set([...a.collections, ...b.collections])].sort();
  return {
    own: joined([...a.own, ...b.own]),
    mirrored: joined([...a.mirrored, ...b.mirrored]),
    collections,
    documents: outside(new DocumentNames([...a.documents, ...b.documents]).sorted(), collections),
  };
}

/** Those of no collection that is there whole. */
const outside = (documents: readonly DocumentName[], collections: readonly string[] | null): readonly DocumentName[] =>
  collections === null ? [] : documents.filter(({ collection }) => !collections.includes(collection));

export const hasNoKeys = ({ own, mirrored }: Scope): boolean => own.length === 0 && mirrored.length === 0;

export const isNothing = (scope: Scope): boolean =>
  hasNoKeys(scope) && scope.collections?.length === 0 && scope.documents.length === 0;

/** The subscription to what both bring. */
export function common(a: Subscription, b: Subscription): Subscription {
  const narrower: Uint8Array[] = [];
  const add = (prefix: Uint8Array, others: readonly Uint8Array[]): void => {
    const within = others.some((wide) => equalBytes(wide, prefix.subarray(0, wide.length)));
    if (within && !narrower.some((known) => equalBytes(known, prefix))) narrower.push(prefix);
  };
  for (const prefix of a.prefixes) add(prefix, b.prefixes);
  for (const prefix of b.prefixes) add(prefix, a.prefixes);
  const collections = a.collections.filter((collection) => b.collections.includes(collection));
  const documents = [
    ...(a.documents ?? []).filter((one) => bringsDocument(b, one)),
    ...(b.documents ?? []).filter((one) => a.collections.includes(one.collection)),
  ].filter(({ collection }) => !collections.includes(collection));
  return {
    prefixes: narrower,
    collections,
    mirrors: a.mirrors && b.mirrors,
    ...(documents.length === 0 ? {} : { documents }),
  };
}

/** True if both bring the same, however it is said. */
export function isSame(a: Subscription | null, b: Subscription | null): boolean {
  if (a === b) return true;
  const [one, other] = [scopeOf(a), scopeOf(b)];
  return (
    isNothing(without(one, other)) &&
    isNothing(without(other, one)) &&
    (one.collections === null) === (other.collections === null)
  );
}

/** Those that overlap or meet become one. */
function joined(intervals: readonly KeyInterval[]): KeyInterval[] {
  const all: KeyInterval[] = [];
  for (const next of [...intervals].sort((a, b) => compareBytes(a.from, b.from))) {
    const last = all.at(-1);
    if (last === undefined || !reaches(last.to, next.from)) all.push(next);
    else all[all.length - 1] = { from: last.from, to: laterEnd(last.to, next.to) };
  }
  return all;
}

/** Both ascending, and each apart. */
function subtracted(wide: readonly KeyInterval[], narrow: readonly KeyInterval[]): KeyInterval[] {
  const left: KeyInterval[] = [];
  for (const { from, to } of wide) {
    let rest: Uint8Array | null = from;
    for (const hole of narrow) {
      if (rest === null || !endsBefore(hole.from, to)) break;
      if (hole.to !== null && compareBytes(hole.to, rest) <= 0) continue;
      if (compareBytes(rest, hole.from) < 0) left.push({ from: rest, to: hole.from });
      rest = hole.to;
    }
    if (rest !== null && endsBefore(rest, to)) left.push({ from: rest, to });
  }
  return left;
}

const reaches = (end: Uint8Array | null, key: Uint8Array): boolean => end === null || compareBytes(key, end) <= 0;

const endsBefore = (key: Uint8Array, end: Uint8Array | null): boolean => end === null || compareBytes(key, end) < 0;

const laterEnd = (a: Uint8Array | null, b: Uint8Array | null): Uint8Array | null =>
  a === null || b === null ? null : compareBytes(a, b) < 0 ? b : a;
