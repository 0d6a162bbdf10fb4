/** A textarea over a shared text: what is typed becomes the smallest splice, what others write moves no caret. */
import { diffTexts, type Hunk, shiftCaret } from "./text-diff.ts";

/** What the textarea needs of the document. */
export interface SharedText {
  text(): string;
  heads(): readonly string[];
  /** Changes the text as it was at `heads`; shows here at once. Resolves when it is on this device. */
  edit(hunk: Hunk, heads: readonly string[]): Promise<unknown>;
}

/** Shows what the document is now; called after every change of it. */
export type Show = () => void;

export function bindTextarea(area: HTMLTextAreaElement, shared: SharedText, onFailure: (error: unknown) => void): Show {
  let composing = false;
  // What the area last showed. The document may be ahead of it: typing is then a change of what was shown.
  let shownText = "";
  let shownHeads: readonly string[] = [];

  const show = (): void => {
    // In the middle of a composition the input method owns the text; `compositionend` catches up.
    if (composing) return;
    typed();
    const text = shared.text();
    shownHeads = shared.heads();
    const hunk = diffTexts(shownText, text);
    if (hunk === null) return;
    const { selectionStart, selectionEnd, selectionDirection, scrollTop } = area;
    area.value = text;
    shownText = text;
    area.setSelectionRange(shiftCaret(selectionStart, hunk), shiftCaret(selectionEnd, hunk), selectionDirection);
    area.scrollTop = scrollTop;
  };

  /** Takes over what the person has typed since the last look. */
  const typed = (): void => {
    const hunk = diffTexts(shownText, area.value);
    if (hunk === null) return;
    shownText = area.value;
    shared.edit(hunk, shownHeads).catch(onFailure);
  };

  area.addEventListener("compositionstart", () => {
    composing = true;
  });
  area.addEventListener("compositionend", () => {
    composing = false;
    show();
  });
  area.addEventListener("input", () => {
    if (!composing) show();
  });
  show();
  area.disabled = false;
  area.placeholder = "Write what the next shift should know…";
  return show;
}
