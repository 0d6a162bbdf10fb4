/** D6: every copy of a document has the same changes, and every change that was acknowledged is among them. */

export interface Copy {
  readonly holder: string;
  readonly hashes: readonly string[];
}

export function divergence(
  document: string,
  copies: readonly Copy[],
  acknowledged: Iterable<string>,
): readonly string[] {
  const faults: string[] = [];
  const [first] = copies;
  if (first === undefined) return faults;
  const known = new Set(first.hashes);
  for (const { holder, hashes } of copies) {
    const own = new Set(hashes);
    const missing = first.hashes.filter((hash) => !own.has(hash)).length;
    const more = hashes.filter((hash) => !known.has(hash)).length;
    if (own.size !== hashes.length) faults.push(`${document} at ${holder} holds a change twice`);
    if (missing > 0 || more > 0) {
      faults.push(`${document} at ${holder} lacks ${missing} changes of ${first.holder}'s, and has ${more} more`);
    }
  }
  for (const hash of acknowledged)
    if (!known.has(hash)) faults.push(`${document} lost the acknowledged change ${hash}`);
  return faults;
}
