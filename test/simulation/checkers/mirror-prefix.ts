/** L2: what a parent gives back of a child's ledger, bodies and gaps, is a prefix of it: each revision once, hashes equal. */
import { equalBytes } from "@openclaw/core/bytes.ts";
import type { Mirror } from "@openclaw/core/history/history-query.ts";
import { type Revision, revision } from "@openclaw/core/ids.ts";
import type { Side } from "./mirror.ts";

/** @param page the parent's answer from a revision of the child's on, which it has up to `cursor` */
export async function prefixFaults(
  { cluster, ledger }: Side,
  cursor: number,
  page: (from: Revision) => Promise<Mirror>,
): Promise<readonly string[]> {
  const faults: string[] = [];
  for (let next = 1; next <= cursor; ) {
    const { items, fault } = await page(revision(next));
    if (fault !== null) faults.push(`the mirror of ${cluster} is wrong at ${fault.revision}: ${fault.details}`);
    for (const item of items) {
      const [first, last] = item.kind === "body" ? [item.revision, item.revision] : [item.from, item.to];
      const own = ledger[last - 1];
      if (first > next || last < next) faults.push(`the mirror of ${cluster} has ${first} to ${last}, due was ${next}`);
      if (own?.revision !== last || !equalBytes(own.hash, item.hash))
        faults.push(`the mirror of ${cluster} has another hash at ${last}`);
      else if (item.kind === "body" && !equalBytes(own.record, item.record))
        faults.push(`the mirror of ${cluster} has another record at ${last}`);
      next = last + 1;
    }
    if (faults.length > 0) return faults;
    if (items.length === 0) return [`the mirror of ${cluster} ends before ${next}, the cursor is ${cursor}`];
  }
  return faults;
}
