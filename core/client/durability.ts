/** How far edits are safe, as one value: that of the least safe of them (DESIGN §1). */
import type { EditState } from "./document-handle.ts";
import type { Rung } from "./store.ts";

/**
 * - `unsaved`: on no rung, and on its way to none. It could not be stored here, or nobody knows what became of it.
 * - `refused`: the site refused it for good; it is on this device only.
 * - `saving`: on its way into this device's storage.
 */
export type Safety = "unsaved" | "refused" | "saving" | Rung;

/** The least safe first. */
const SAFETIES: readonly Safety[] = ["unsaved", "refused", "saving", "device", "site", "hub"];

export interface Durability {
  /** Of the least safe edit; null where there is none. */
  readonly safety: Safety | null;
  /** How many edits are as safe as that, each counted once. */
  readonly counts: Readonly<Record<Safety, number>>;
  /** Why the first of those that are `unsaved` or `refused` is. */
  readonly failure: EditState["failure"];
}

type Standing = Pick<EditState, "rung" | "failure">;

export function durabilityOf(edits: readonly Standing[]): Durability {
  const counts = { unsaved: 0, refused: 0, saving: 0, device: 0, site: 0, hub: 0 };
  for (const edit of edits) counts[safetyOf(edit)]++;
  return {
    safety: SAFETIES.find((safety) => counts[safety] > 0) ?? null,
    counts,
    failure: edits.find(({ failure }) => failure !== null)?.failure ?? null,
  };
}

/** Whether both tell the same. */
export const isSameDurability = (a: Durability, b: Durability): boolean =>
  SAFETIES.every((safety) => a.counts[safety] === b.counts[safety]) &&
  a.failure?.code === b.failure?.code &&
  a.failure?.details === b.failure?.details;

function safetyOf({ rung, failure }: Standing): Safety {
  if (failure === null) return rung ?? "saving";
  return rung === null ? "unsaved" : "refused";
}
