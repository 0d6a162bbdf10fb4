/** My changes as a person thinks of them: what is typed without a pause is one edit, as safe as its least safe change. */

export type EditBadge = "saving" | "device" | "site" | "hub" | "refused";

/** One change of mine, as the lists show it. */
export interface ShownChange {
  readonly badge: EditBadge;
  readonly inserted: string;
  readonly removed: number;
  /** Seconds since 1970, by this device's clock: what an Automerge change keeps. 0: it has none. */
  readonly time: number;
}

/** A pause that starts a new edit, s. */
const PAUSE_S = 2;
/** Characters of an edit that are shown. */
const SHOWN_MAX = 60;

const LEAST_SAFE_FIRST: readonly EditBadge[] = ["refused", "saving", "device", "site", "hub"];

/** @param changes newest first; as many as are needed are read @returns the newest edits, `max` at most */
export function groupEdits(changes: Iterable<ShownChange>, max: number): readonly ShownChange[] {
  const groups: ShownChange[] = [];
  for (const change of changes) {
    const group = groups.at(-1);
    if (group !== undefined && group.time - change.time <= PAUSE_S) {
      groups[groups.length - 1] = {
        badge: leastSafe(group.badge, change.badge),
        inserted: change.inserted + group.inserted,
        removed: group.removed + change.removed,
        time: change.time,
      };
    } else if (groups.length < max) {
      groups.push(change);
    } else {
      break;
    }
  }
  return groups;
}

const leastSafe = (a: EditBadge, b: EditBadge): EditBadge =>
  LEAST_SAFE_FIRST.indexOf(a) < LEAST_SAFE_FIRST.indexOf(b) ? a : b;

export function summaryOf({ inserted, removed }: ShownChange): string {
  const text = inserted.replaceAll(/\s+/g, " ");
  const shown = text.length > SHOWN_MAX ? `…${text.slice(-SHOWN_MAX)}` : text;
  const parts = [
    inserted === "" ? "" : `+ ${shown}`,
    removed === 0 ? "" : `− ${removed} ${removed === 1 ? "character" : "characters"}`,
  ];
  return parts.filter((part) => part !== "").join("  ") || "began the log";
}
