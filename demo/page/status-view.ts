/** Where this device stands: the link to the site, and what is not yet safe. */
import type { ClientStatus, EditState } from "@openclaw/browser";

export function showLink(node: HTMLElement, status: ClientStatus): void {
  node.dataset.state = status.link;
  setText(node, linkText(status));
}

function linkText({ link, lastError }: ClientStatus): string {
  switch (link) {
    case "online":
      return "Connected to this site";
    case "connecting":
      // An unreachable site is an everyday matter; what it refused us with is not.
      if (lastError === null || lastError.code === "UNAVAILABLE") return "No gateway answers; trying again";
      return lastError.message;
    case "offline":
      return "This device is offline";
  }
}

export function showUnsafe(node: HTMLElement, edits: readonly EditState[]): void {
  const unsafe = edits.filter((edit) => edit.rung !== "hub").length;
  node.dataset.count = String(unsafe);
  if (unsafe === 0) setText(node, edits.length === 0 ? "" : "All my changes are safe at the hub");
  else setText(node, `${unsafe} ${unsafe === 1 ? "change" : "changes"} not yet safe at the hub`);
}

/** An unchanged text is not set again: a screen reader would read it out. */
export function setText(node: HTMLElement, text: string): void {
  if (node.textContent !== text) node.textContent = text;
}
