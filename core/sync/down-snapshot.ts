/** Which snapshot a child needs before the ledger's records can go on from its cursor (S4). */
import { type ClusterId, type Revision, revision } from "../ids.ts";
import { HASH_BYTES } from "../ledger/record-codec.ts";
import { isNothing, isSame, scopeOf, without } from "../ledger/scope.ts";
import { isWhole, type SnapshotHead, type SnapshotProgress } from "../ledger/snapshot.ts";
import { bringsDocument } from "../ledger/subscription.ts";
import type { Principal } from "./authority.ts";
import type { ChildMessage } from "./message.ts";
import {
  anotherCluster,
  isCompacted,
  isStillTold,
  type Since,
  type SnapshotBackend,
  SnapshotSource,
  snapshotHead,
} from "./snapshot-source.ts";

/** Revisions that are told one by one to a client that has none. */
const FROM_BEGINNING_MAX = 4_096;

type Down = NonNullable<Extract<ChildMessage, { kind: "hello" }>["down"]>;

interface To {
  readonly backend: SnapshotBackend;
  readonly principal: Principal;
  /** Null: a client. */
  readonly child: ClusterId | null;
}

/**
 * The one that was under way goes on, if its revision is still told. One whose cursor is not kept any more gets all of its
 * scope anew; one that wants more than it held, what was added, as of its cursor. Null: it needs none.
 * @throws OpenClawError FORK, OVERLOADED, UNAVAILABLE
 */
export async function snapshotFor(to: To, down: Down): Promise<SnapshotSource | null> {
  const { subscription, held, cursor, snapshot } = down;
  if (snapshot !== null && isSame(snapshot.head.subscription, subscription)) {
    if (await isStillTold(to.backend, snapshot.head)) return sourceOf(to, snapshot, down);
    // Of a ledger that is empty there is none: its first record ends the connection, and the next one begins with it.
    if (isWhole(snapshot.head)) return to.backend.position().revision === 0 ? null : wholeSnapshot(to, down);
  }
  const { compacted } = to.backend.position();
  if (cursor + 1 < compacted || (cursor === 0 && isLong(to))) return wholeSnapshot(to, down);
  // What a ledger holds from its first record on, it tells of any scope.
  if (cursor === 0 || isNothing(without(scopeOf(subscription), scopeOf(held)))) return null;
  return addedSnapshot(to, down);
}

/** What is wanted and not held, as of the cursor. */
async function addedSnapshot(to: To, down: Down): Promise<SnapshotSource> {
  const { subscription, held: kept, cursor: at } = down;
  try {
    const head = await snapshotHead(to.backend, { at, subscription, kept, receiver: to.child });
    return await sourceOf(to, head, down);
  } catch (error) {
    if (!isCompacted(error)) throw error;
    return wholeSnapshot(to, down);
  }
}

/** A client that opens for the first time has no use for what was, and its gateway none for reading all of that. */
const isLong = ({ backend, child }: To): boolean => child === null && backend.position().revision > FROM_BEGINNING_MAX;

/**
 * With which a stream turns to another subscription: the child holds `held` as of its cursor, and nothing that is not wanted.
 * An empty one where nothing is added, or nothing was sent yet: it says from where on.
 * @throws OpenClawError OVERLOADED, UNAVAILABLE
 */
export async function turningSnapshot(to: To, down: Down): Promise<SnapshotSource> {
  const due = await snapshotFor(to, down);
  if (due !== null) return due;
  const { subscription, cursor } = down;
  if (cursor > 0) return addedSnapshot(to, down);
  const none = {
    at: cursor,
    hash: new Uint8Array(HASH_BYTES),
    subscription,
    kept: subscription,
    origins: [],
    homes: [],
  };
  return sourceOf(to, none, down);
}

/** All of the scope as it is now. */
export async function wholeSnapshot(to: To, down: Down): Promise<SnapshotSource> {
  const { subscription } = down;
  const head = await snapshotHead(to.backend, { at: null, subscription, kept: null, receiver: to.child });
  return sourceOf(to, head, down);
}

const atOf = (from: SnapshotHead | SnapshotProgress): Revision => ("head" in from ? from.head : from).at;

/** What is private here goes to our own clients only (Q3). */
async function sourceOf({ backend, principal, child }: To, from: SnapshotHead | SnapshotProgress, down: Down) {
  if (child === null) return new SnapshotSource(backend, from, sinceOf(down), principal);
  const cluster = await anotherCluster(backend, atOf(from));
  return new SnapshotSource(backend, from, sinceOf(down), {
    mayReadKey: (key, origin) => principal.mayReadKey(key) && cluster.mayReadKey(key, origin),
    mayReadDocument: (collection, document) => principal.mayReadDocument(collection, document),
  });
}

/** Of what the child held, it has every change up to its cursor. */
const sinceOf = ({ held, cursor }: Down): Since => ({
  collection: (one) => (one !== null && held.collections.includes(one) ? cursor : revision(0)),
  document: (one) => (bringsDocument(held, one) ? cursor : revision(0)),
});
