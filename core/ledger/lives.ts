/**
 * What a cluster's epoch says of it, to whoever holds a copy of its ledger (L3). A parent asks this of its child and a
 * child of its parent: each holds what it took of the other under the epochs that it knew.
 */
import type { Revision } from "../ids.ts";
import { epochsOf, type Lineage, type Parting, partingOf } from "./lineage.ts";

/** What was taken, and of which epochs. */
export interface Held extends Lineage {
  readonly cursor: Revision;
}

export type Verdict =
  /** Nothing was taken yet. */
  | { readonly kind: "first" }
  | { readonly kind: "same" }
  /** It departed from what is held at the cursor or above: it goes on, and nothing is lost. */
  | { readonly kind: "successor" }
  /** It departed below the cursor: it lacks what is held above that. */
  | { readonly kind: "behind"; readonly parting: Parting }
  /** A life that was left: an old disk, a clone that slept. */
  | { readonly kind: "older" }
  /** Another line: both go on from `parting`; null where they have no epoch in common. */
  | { readonly kind: "rival"; readonly parting: Parting | null };

export function judge(held: Held | null, claimed: Lineage): Verdict {
  if (held === null) return { kind: "first" };
  const { epoch } = claimed;
  if (epoch.nonce === held.epoch.nonce) return { kind: "same" };
  const parting = partingOf(held, claimed);
  if (epochsOf(held).some(({ nonce }) => nonce === epoch.nonce)) return { kind: "older" };
  const descends = claimed.ancestors.some((ancestor) => ancestor.epoch.nonce === held.epoch.nonce);
  if (descends && parting !== null && parting !== "same") {
    return held.cursor <= parting.revision ? { kind: "successor" } : { kind: "behind", parting };
  }
  if (parting !== null && epoch.counter < held.epoch.counter) return { kind: "older" };
  return { kind: "rival", parting: parting === "same" ? null : parting };
}
