/** JSON that came in is finite, but what walks it is recursive: its depth is bounded before. */
export const shallow = (value: unknown, depth: number): boolean =>
  typeof value !== "object" ||
  value === null ||
  (depth > 0 && Object.values(value).every((item) => shallow(item, depth - 1)));

/** Whether all lists together have at most `most` items. Only of what is `shallow`. */
export const fewItems = (value: unknown, most: number): boolean => itemsLeft(value, most) >= 0;

function itemsLeft(value: unknown, most: number): number {
  if (typeof value !== "object" || value === null) return most;
  const items = Object.values(value);
  let left = Array.isArray(value) ? most - items.length : most;
  for (const item of items) {
    if (left < 0) return left;
    left = itemsLeft(item, left);
  }
  return left;
}

/** Whether all texts, names too, are Unicode: an escaped half of a surrogate pair is not. Only of what is `shallow`. */
export function wellFormed(value: unknown): boolean {
  if (typeof value === "string") return value.isWellFormed();
  if (typeof value !== "object" || value === null) return true;
  return Object.entries(value).every(([name, item]) => name.isWellFormed() && wellFormed(item));
}
