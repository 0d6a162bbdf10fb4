/** Automerge's changes as the records that travel: the bytes, and what everyone but Automerge needs to know of them. */
import * as Automerge from "@automerge/automerge/slim";
import { invariant } from "../errors.ts";
import { type ChangeHash, isActorId, isChangeHash } from "../ids.ts";
import type { DocumentChange } from "../ledger/record.ts";

/** The changes that `doc` has and `heads` do not, each after what it depends on. */
export function changesSince(doc: Automerge.Doc<unknown>, heads: readonly string[]): readonly DocumentChange[] {
  const bytes = Automerge.getChangesSince(doc, [...heads]);
  const metas = Automerge.getChangesMetaSince(doc, [...heads]);
  invariant(bytes.length === metas.length, "Automerge told of other changes than it gave");
  return metas.map((meta, i): DocumentChange => {
    const change = bytes[i];
    invariant(change !== undefined && isChangeHash(meta.hash) && isActorId(meta.actor), "a change without its name");
    return { hash: meta.hash, actor: meta.actor, seq: meta.seq, deps: changeHashes(meta.deps), bytes: change };
  });
}

/** Of its document: where it is not, the document is not, though edits that waited in a lost database may be. */
export const isFirst = ({ deps }: DocumentChange): boolean => deps.length === 0;

export const headsOf = (doc: Automerge.Doc<unknown>): readonly ChangeHash[] => changeHashes(Automerge.getHeads(doc));

function changeHashes(hashes: readonly string[]): readonly ChangeHash[] {
  invariant(hashes.every(isChangeHash), "a hash that is none");
  return hashes;
}
