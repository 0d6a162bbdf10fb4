/** My latest edits, and a mark on each that says how far it is safe. */
import { type EditBadge, groupEdits, type ShownChange, summaryOf } from "./edit-groups.ts";
import { timeElement } from "./time-element.ts";

/** Edits listed. */
const EDITS_MAX = 10;

const MEANING: Record<EditBadge, string> = {
  saving: "being written to this device",
  device: "safe on this device only",
  site: "safe on a majority of the site's gateways",
  hub: "safe on a majority of the hub",
  refused: "refused by the site; on this device only",
};

/** @param changes newest first; as many as are needed are read */
export function showEdits(list: HTMLElement, changes: Iterable<ShownChange>): void {
  list.replaceChildren(...groupEdits(changes, EDITS_MAX).map(item));
}

function item(edit: ShownChange): HTMLLIElement {
  const what = document.createElement("span");
  what.className = "what";
  what.textContent = summaryOf(edit);
  const item = document.createElement("li");
  item.append(badgeElement(edit.badge), what, timeElement(edit.time));
  return item;
}

export function badgeElement(badge: EditBadge): HTMLElement {
  const element = document.createElement("span");
  element.className = "rung";
  element.dataset.rung = badge;
  element.textContent = badge;
  element.title = MEANING[badge];
  return element;
}
