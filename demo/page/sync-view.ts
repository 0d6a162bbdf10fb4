/** How far the first copy of the site on this device is, where there is so much of it that somebody waits for it. */
import type { ClientStatus } from "@openclaw/browser";
import { setText } from "./status-view.ts";

/** Keys and changes below which it is done before anybody has read of it. */
const SHOWN_MIN = 2_000;

export interface SyncView {
  readonly row: Pick<HTMLElement, "hidden">;
  readonly bar: Pick<HTMLProgressElement, "max" | "value" | "removeAttribute">;
  readonly text: Pick<HTMLElement, "textContent">;
}

export function showSync({ row, bar, text }: SyncView, { sync }: Pick<ClientStatus, "sync">): void {
  const isShown = sync.kind === "snapshot" && (sync.expected ?? sync.received) >= SHOWN_MIN;
  row.hidden = !isShown;
  if (!isShown) return;
  const { received, expected } = sync;
  const total = expected === null ? null : Math.max(expected, received);
  if (total === null) bar.removeAttribute("value");
  else {
    bar.max = total;
    bar.value = received;
  }
  const counted = received.toLocaleString("en");
  setText(text, total === null ? `${counted} so far` : `${counted} of ${total.toLocaleString("en")}`);
}
