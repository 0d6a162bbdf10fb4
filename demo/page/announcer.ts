/** Says by a live region what lasts, and once: a screen reader is not told of every key that is on its way. */
import { setText } from "./status-view.ts";

/** What has not changed for so long is said, ms. */
const LASTS_MS = 3_000;

/** @returns called with each sentence that holds from now on */
export function announcer(region: Pick<HTMLElement, "textContent">): (sentence: string) => void {
  let now = "";
  let timer: ReturnType<typeof setTimeout> | undefined;
  return (sentence) => {
    if (sentence === now) return;
    now = sentence;
    clearTimeout(timer);
    timer = setTimeout(() => setText(region, sentence), LASTS_MS);
  };
}
