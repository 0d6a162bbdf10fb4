/** The one hunk in which two texts differ, and what it does to a caret. Positions are UTF-16 units, as in Automerge and the DOM. */

export interface Hunk {
  readonly at: number;
  readonly removed: number;
  readonly inserted: string;
}

const isHighSurrogate = (unit: number): boolean => unit >= 0xd800 && unit <= 0xdbff;
const isLowSurrogate = (unit: number): boolean => unit >= 0xdc00 && unit <= 0xdfff;

/** Null where the texts are equal. Never splits a surrogate pair. */
export function diffTexts(before: string, after: string): Hunk | null {
  if (before === after) return null;
  const shorter = Math.min(before.length, after.length);
  let head = 0;
  while (head < shorter && before.charCodeAt(head) === after.charCodeAt(head)) head++;
  if (head > 0 && isHighSurrogate(before.charCodeAt(head - 1))) head--;
  let tail = 0;
  while (
    tail < shorter - head &&
    before.charCodeAt(before.length - 1 - tail) === after.charCodeAt(after.length - 1 - tail)
  )
    tail++;
  if (tail > 0 && isLowSurrogate(before.charCodeAt(before.length - tail))) tail--;
  return { at: head, removed: before.length - head - tail, inserted: after.slice(head, after.length - tail) };
}

/** Where a caret stands after the hunk: text inserted right at it goes behind it. */
export function shiftCaret(caret: number, hunk: Hunk): number {
  if (caret <= hunk.at) return caret;
  if (caret >= hunk.at + hunk.removed) return caret - hunk.removed + hunk.inserted.length;
  return hunk.at;
}
