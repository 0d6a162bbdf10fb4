/** What became of a document: its changes, and how it was after any of them. */
import * as Automerge from "@automerge/automerge/slim";
import { invariant, OpenClawError } from "../errors.ts";
import { type ActorId, type ChangeHash, isActorId, isChangeHash } from "../ids.ts";
import type { Rung } from "./store.ts";

/** One change, whoever made it. `at([hash])` of the handle is the document as its author had it then. */
export interface HistoryEntry {
  readonly hash: ChangeHash;
  readonly actor: ActorId;
  readonly seq: number;
  readonly deps: readonly ChangeHash[];
  /** By its author's clock, ms since 1970, to the second: an annotation. */
  readonly time: number;
  /** What its author gave `change`; null for nothing. */
  readonly message: string | null;
  /** Null while it is not yet stored on this device, as a provisional one (D5). */
  readonly rung: Rung | null;
}

/** Each after what it depends on. */
export function historyOf(
  doc: Automerge.Doc<unknown>,
  rung: (hash: ChangeHash) => Rung | null,
): readonly HistoryEntry[] {
  return Automerge.getChangesMetaSince(doc, []).map(({ hash, actor, seq, deps, time, message }) => {
    invariant(isChangeHash(hash) && isActorId(actor) && deps.every(isChangeHash), "a change without its name");
    return { hash, actor, seq, deps, time: time * 1_000, message, rung: rung(hash) };
  });
}

/** @throws OpenClawError MISSING when one of them is not here */
export function requireHeads(doc: Automerge.Doc<unknown>, heads: readonly ChangeHash[]): void {
  // Automerge takes unknown heads for no heads: the beginning of time.
  if (!Automerge.hasHeads(doc, [...heads])) throw new OpenClawError("MISSING", "changes that are not on this device");
}
