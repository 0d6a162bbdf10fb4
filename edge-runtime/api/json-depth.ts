/** JSON that came in is finite, but what walks it is recursive: its depth is bounded before. */
export const shallow = (value: unknown, depth: number): boolean =>
  typeof value !== "object" ||
  value === null ||
  (depth > 0 && Object.values(value).every((item) => shallow(item, depth - 1)));
