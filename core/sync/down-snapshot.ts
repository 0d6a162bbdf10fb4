/** Which snapshot a child needs before the ledger's records can go on from its cursor (S4). */
import { type ClusterId, type Revision, revision } from "../ids.ts";
import { isNothing, isSame, scopeOf, without } from "../ledger/scope.ts";
import { isWhole, type SnapshotHead, type SnapshotProgress } from "../ledger/snapshot.ts";
import type { Principal } from "./authority.ts";
import type { ChildMessage } from "./message.ts";
import {
  anotherCluster,
  isCompacted,
  isStillTold,
  type SnapshotBackend,
  SnapshotSource,
  snapshotHead,
} from "./snapshot-source.ts";

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
  if (cursor + 1 < compacted) return wholeSnapshot(to, down);
  // What a ledger holds from its first record on, it tells of any scope.
  if (cursor === 0 || isNothing(without(scopeOf(subscription), scopeOf(held)))) return null;
  try {
    const head = await snapshotHead(to.backend, { at: cursor, subscription, kept: held, receiver: to.child });
    return await sourceOf(to, head, down);
  } catch (error) {
    if (!isCompacted(error)) throw error;
    return wholeSnapshot(to, down);
  }
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

/** Of a collection that the child held, it has every change up to its cursor. */
const sinceOf =
  ({ held, cursor }: Down) =>
  (collection: string | null) =>
    collection !== null && held.collections.includes(collection) ? cursor : revision(0);
