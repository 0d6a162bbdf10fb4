/** Where this device stands: the link to the site. */
import type { ClientStatus } from "@openclaw/browser";

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

/** An unchanged text is not set again: a screen reader would read it out. */
export function setText(node: Pick<HTMLElement, "textContent">, text: string): void {
  if (node.textContent !== text) node.textContent = text;
}
