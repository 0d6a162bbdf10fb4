/** What waits in the pages of other gateways on this device: only those can send it, or save it. */
import type { Unsynced } from "@openclaw/browser";
import { timeElement } from "./time-element.ts";

export function showElsewhere(place: HTMLElement, elsewhere: readonly Unsynced[]): void {
  place.hidden = elsewhere.length === 0;
  place.replaceChildren(...elsewhere.map(line));
}

function line({ origin, unsynced, since }: Unsynced): HTMLElement {
  const link = document.createElement("a");
  link.href = origin;
  link.textContent = new URL(origin).host;
  const edits = `${unsynced} ${unsynced === 1 ? "edit waits" : "edits wait"}`;
  const line = document.createElement("p");
  line.append(`${edits} on this device in the page of `, link, ", since ", timeElement(Math.trunc(since / 1_000)));
  line.append(". Open that page: they are sent from there, or saved there to a file, which this page takes in.");
  return line;
}
