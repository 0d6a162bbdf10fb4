/** My latest edits and how far each is safe. What is typed without a pause is one edit, as safe as its least safe change. */

export type EditBadge = "saving" | "device" | "site" | "hub" | "refused";

/** One change of mine, as the list shows it. */
export interface ShownChange {
  readonly badge: EditBadge;
  readonly inserted: string;
  readonly removed: number;
  /** Seconds since 1970: what an Automerge change keeps. */
  readonly time: number;
}

/** A pause that starts a new edit, s. */
const PAUSE_S = 2;
/** Edits listed. */
const EDITS_MAX = 10;
/** Characters of an edit that are shown. */
const SHOWN_MAX = 60;

const LEAST_SAFE_FIRST: readonly EditBadge[] = ["refused", "saving", "device", "site", "hub"];
const MEANING: Record<EditBadge, string> = {
  saving: "being written to this device",
  device: "safe on this device only",
  site: "safe on a majority of the site's gateways",
  hub: "safe on a majority of the hub",
  refused: "refused by the site; on this device only",
};

interface EditGroup {
  badge: EditBadge;
  inserted: string;
  removed: number;
  time: number;
}

/** @param changes newest first; as many as are needed are read */
export function showEdits(list: HTMLElement, changes: Iterable<ShownChange>): void {
  const groups: EditGroup[] = [];
  for (const change of changes) {
    const group = groups.at(-1);
    if (group !== undefined && group.time - change.time <= PAUSE_S) {
      group.badge = leastSafe(group.badge, change.badge);
      group.inserted = change.inserted + group.inserted;
      group.removed += change.removed;
      group.time = change.time;
    } else if (groups.length < EDITS_MAX) {
      groups.push({ ...change });
    } else {
      break;
    }
  }
  list.replaceChildren(...groups.map(item));
}

const leastSafe = (a: EditBadge, b: EditBadge): EditBadge =>
  LEAST_SAFE_FIRST.indexOf(a) < LEAST_SAFE_FIRST.indexOf(b) ? a : b;

function item(edit: EditGroup): HTMLLIElement {
  const badge = document.createElement("span");
  badge.className = "rung";
  badge.dataset.rung = edit.badge;
  badge.textContent = edit.badge;
  badge.title = MEANING[edit.badge];
  const what = document.createElement("span");
  what.className = "what";
  what.textContent = summary(edit);
  const time = document.createElement("time");
  // The first change of a document is the same whoever makes it, and has no time.
  if (edit.time > 0) {
    const date = new Date(edit.time * 1_000);
    time.dateTime = date.toISOString();
    time.textContent = date.toLocaleTimeString();
  }
  const item = document.createElement("li");
  item.append(badge, what, time);
  return item;
}

function summary({ inserted, removed }: EditGroup): string {
  const text = inserted.replaceAll(/\s+/g, " ");
  const shown = text.length > SHOWN_MAX ? `…${text.slice(-SHOWN_MAX)}` : text;
  const parts = [
    inserted === "" ? "" : `+ ${shown}`,
    removed === 0 ? "" : `− ${removed} ${removed === 1 ? "character" : "characters"}`,
  ];
  return parts.filter((part) => part !== "").join("  ") || "began the log";
}
