/**
 * Compares a site's own ledger with what its hub holds of it, revision by revision: bodies byte for byte, and the hashes of
 * both ends at each body and at the end of each gap (L2, L7). Names the first difference.
 */
import { equalBytes } from "@openclaw/core/bytes.ts";
import type { Mirror, MirrorItem } from "@openclaw/core/history/history-query.ts";
import type { StoredRecord } from "@openclaw/core/ports.ts";
import { firstOf, lastOf } from "./mirror-source.ts";

/**
 * - `hub`: what the hub holds does not lead to the hashes that came with it
 * - `record`: the hub's body is not the site's record
 * - `hash`: the same record, or a gap, and another hash: what came before differs
 * - `missing`: one end has the revision, the other does not
 */
export interface Difference {
  readonly revision: number;
  readonly kind: "hub" | "record" | "hash" | "missing";
  readonly details: string;
}

export interface Compared {
  /** Revisions that both ends were asked for. */
  readonly from: number;
  readonly to: number;
  /** Of them, those that the hub holds byte for byte, and the others by the reason why it does not. */
  readonly bodies: number;
  readonly gaps: { readonly [reason: string]: number };
  readonly difference: Difference | null;
}

export interface Comparing {
  /** The hub's pages from the first revision on. */
  readonly hub: AsyncIterable<Mirror>;
  /** The site's records from the first revision on. */
  readonly site: AsyncIterator<StoredRecord>;
  readonly from: number;
  /** No further than the hub is. */
  readonly to: number;
  readonly progress: (revision: number, of: number) => void;
}

export async function compareLedgers(comparing: Comparing): Promise<Compared> {
  const { hub, from, to, progress } = comparing;
  const comparison = new Comparison(comparing);
  for await (const { items, fault } of hub) {
    for (const item of items) {
      if (firstOf(item) > to || comparison.difference !== null) break;
      await comparison.take(item);
      progress(comparison.reached, to);
    }
    if (comparison.difference !== null || comparison.reached >= to) break;
    if (fault !== null) {
      comparison.difference = { revision: fault.revision, kind: "hub", details: fault.details };
      break;
    }
  }
  comparison.end();
  const { bodies, gaps, difference } = comparison;
  return { from, to, bodies, gaps, difference };
}

class Comparison {
  bodies = 0;
  readonly gaps: Record<string, number> = {};
  difference: Difference | null = null;
  /** The last revision that is the same. */
  reached: number;
  readonly #site: AsyncIterator<StoredRecord>;
  readonly #to: number;

  constructor({ site, from, to }: Comparing) {
    this.#site = site;
    this.#to = to;
    this.reached = from - 1;
  }

  async take(item: MirrorItem): Promise<void> {
    const last = lastOf(item);
    const first = this.reached + 1;
    if (firstOf(item) > first) return this.#lacking();
    // A gap that ends behind what was asked for has no hash to compare within it.
    const own = await this.#siteAt(Math.min(last, this.#to));
    if (own === null) return;
    const inside = last > this.#to;
    const difference = inside ? null : compare(item, own);
    if (difference !== null) {
      this.difference = difference;
      return;
    }
    if (item.kind === "body") this.bodies++;
    else this.gaps[item.reason] = (this.gaps[item.reason] ?? 0) + Math.min(last, this.#to) - first + 1;
    this.reached = Math.min(last, this.#to);
  }

  /** The hub has no more: a revision that it did not show is not the same. */
  end(): void {
    if (this.difference === null && this.reached < this.#to) this.#lacking();
  }

  #lacking(): void {
    const details = "the hub shows nothing of it, though it says that it is that far";
    this.difference = { revision: this.reached + 1, kind: "missing", details };
  }

  /** Null where the site has no such revision, which is a difference. */
  async #siteAt(at: number): Promise<StoredRecord | null> {
    for (let next = this.reached + 1; ; next++) {
      const step = await this.#site.next();
      if (step.done === true || step.value.revision !== next) {
        this.difference = { revision: next, kind: "missing", details: "the hub holds it, the site does not" };
        return null;
      }
      if (next === at) return step.value;
    }
  }
}

function compare(item: MirrorItem, own: StoredRecord): Difference | null {
  const { revision } = own;
  if (item.kind === "body" && !equalBytes(item.record, own.record)) {
    const details = `${item.record.length} bytes at the hub, ${own.record.length} others at the site`;
    return { revision, kind: "record", details };
  }
  if (equalBytes(item.hash, own.hash)) return null;
  const where = item.kind === "body" ? "before it" : `in the gap from ${item.from} on, or before it`;
  return { revision, kind: "hash", details: `something differs ${where}` };
}
