/** The banner of what is not yet safe. It is no live region: an announcer says what lasts. */
import { badgeElement } from "./edits.ts";
import { setText } from "./status-view.ts";
import { timeElement } from "./time-element.ts";
import type { UnsafeBadge, UnsafeChanges } from "./unsafe-changes.ts";

export interface UnsafePlaces {
  readonly title: HTMLElement;
  readonly list: HTMLElement;
}

const WHERE: Record<UnsafeBadge, string> = {
  refused: "refused by the site; on this device only",
  saving: "being written to this device",
  device: "on this device only",
  site: "at this site, not yet at the hub",
};

/** @param written whether this device has changes of its own that it tells of */
export function showUnsafe({ title, list }: UnsafePlaces, unsafe: readonly UnsafeChanges[], written: boolean): void {
  const total = unsafe.reduce((sum, { count }) => sum + count, 0);
  const safe = written ? "All my changes are safe at the hub" : "Nothing of mine waits to be safe";
  title.dataset.count = String(total);
  setText(title, total === 0 ? safe : `${changes(total)} not yet safe at the hub`);
  list.replaceChildren(...unsafe.map(line));
}

/** The same in one sentence, without numbers, which change with every key. */
export function unsafeSentence(unsafe: readonly UnsafeChanges[]): string {
  const [least] = unsafe;
  return least === undefined ? "All my changes are safe at the hub" : `Some of my changes are ${WHERE[least.badge]}`;
}

const changes = (count: number): string => `${count} ${count === 1 ? "change" : "changes"}`;

function line({ badge, count, since, isOlder, summary }: UnsafeChanges): HTMLLIElement {
  const where = span("where", `${changes(count)} ${WHERE[badge]}`);
  if (since > 0) where.append(isOlder ? ", since before " : ", since ", timeElement(since));
  const item = document.createElement("li");
  item.append(badgeElement(badge), where, span("what", summary));
  return item;
}

function span(name: string, text: string): HTMLElement {
  const element = document.createElement("span");
  element.className = name;
  element.textContent = text;
  return element;
}
