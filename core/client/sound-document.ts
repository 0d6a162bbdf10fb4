/** Puts changes into a document, and leaves out those that Automerge will not take. */
import * as Automerge from "@automerge/automerge/slim";
import { OpenClawError } from "../errors.ts";
import type { ChangeHash } from "../ids.ts";
import type { DocumentChange } from "../ledger/record.ts";
import { BATCH_ITEMS_MAX } from "../limits.ts";

export interface SoundDocument<T> {
  readonly doc: Automerge.Doc<T>;
  /** What is not in it, and why: QUARANTINED. */
  readonly quarantined: readonly { readonly hash: ChangeHash; readonly failure: OpenClawError }[];
}

/** Throws what Automerge throws; `doc` may then be broken. */
export function applied<T>(doc: Automerge.Doc<T>, changes: readonly DocumentChange[]): Automerge.Doc<T> {
  let next = doc;
  for (let at = 0; at < changes.length; at += BATCH_ITEMS_MAX) {
    [next] = Automerge.applyChanges(
      next,
      changes.slice(at, at + BATCH_ITEMS_MAX).map(({ bytes }) => bytes),
    );
  }
  return next;
}

/**
 * The document without the changes that Automerge will not apply (a twin, D2; or one that passed the check, D1, and
 * names what never was). What fails leaves the document broken: after it the others begin anew.
 */
export function soundDocument<T>(empty: () => Automerge.Doc<T>, changes: readonly DocumentChange[]): SoundDocument<T> {
  try {
    return { doc: applied(empty(), changes), quarantined: [] };
  } catch {
    return oneByOne(empty, changes);
  }
}

function oneByOne<T>(empty: () => Automerge.Doc<T>, changes: readonly DocumentChange[]): SoundDocument<T> {
  const good: DocumentChange[] = [];
  const quarantined: { hash: ChangeHash; failure: OpenClawError }[] = [];
  let doc = empty();
  for (const change of changes) {
    try {
      doc = applied(doc, [change]);
      good.push(change);
    } catch (error) {
      const details = `${change.hash}: ${error instanceof Error ? error.message : String(error)}`;
      quarantined.push({ hash: change.hash, failure: new OpenClawError("QUARANTINED", details) });
      doc = applied(empty(), good);
    }
  }
  return { doc, quarantined };
}
