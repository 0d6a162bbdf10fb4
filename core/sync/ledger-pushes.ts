/** Runs of a site's ledger as they are pushed, each with the hash that it follows (L3). */
import { OpenClawError } from "../errors.ts";
import { type Revision, revision } from "../ids.ts";
import { spanAt } from "../ledger/lineage.ts";
import { selectForParent } from "../ledger/selection.ts";
import { BATCH_ITEMS_MAX } from "../limits.ts";
import type { Push, Welcome } from "./child-link.ts";
import { isBare } from "./run.ts";
import type { UplinkOptions } from "./uplink-options.ts";

export interface LedgerPush extends Push {
  /** L1: it brings the parent nothing, and nothing is behind it. */
  readonly idle: boolean;
}

export class LedgerPushes {
  readonly #options: Pick<UplinkOptions, "replica" | "parent" | "sha256">;
  /** Where the last push ended, or the parent stood when it welcomed us. */
  #last: { readonly revision: number; readonly hash: Uint8Array } | null = null;

  constructor(options: Pick<UplinkOptions, "replica" | "parent" | "sha256">) {
    this.#options = options;
  }

  begin({ cursor, hash }: Pick<Welcome, "cursor" | "hash">): void {
    this.#last = hash === null ? null : { revision: cursor, hash };
  }

  /** What follows `after`, about `maxBytes` of it, and not past where an epoch departed (L3). Null: nothing is there yet. */
  async from(after: Revision, maxBytes: number): Promise<LedgerPush | null> {
    const { replica, parent, sha256 } = this.#options;
    const slice = await replica.ledger(revision(after + 1), maxBytes);
    const to = spanAt(replica.position(), after + 1)?.to ?? Number.POSITIVE_INFINITY;
    const records = slice.records.slice(0, BATCH_ITEMS_MAX).filter((record) => record.revision <= to);
    const last = records.at(-1);
    if (last === undefined) return null;
    const items = selectForParent(records, parent, sha256);
    const message = { kind: "pushLedger", items, hash: last.hash, after: await this.#hashAt(after) } as const;
    this.#last = last;
    return { to: last.revision, message, idle: isBare(items) && last.revision === slice.revision };
  }

  /** Our ledger's hash there; null where it is no longer kept, and at the beginning, which the epoch tells. */
  async #hashAt(at: Revision): Promise<Uint8Array | null> {
    if (at === 0) return null;
    if (this.#last?.revision === at) return this.#last.hash;
    try {
      const { records } = await this.#options.replica.ledger(at, 1);
      return records[0]?.revision === at ? records[0].hash : null;
    } catch (error) {
      if (error instanceof OpenClawError && error.code === "COMPACTED") return null;
      throw error;
    }
  }
}
