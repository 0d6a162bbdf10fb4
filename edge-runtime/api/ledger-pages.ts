/**
 * The ledger from one revision on, without a gap or a double, for as long as somebody reads: what is committed already
 * comes in pages, what is committed meanwhile comes as it is applied. A reader that falls behind holds no more than the
 * buffer below; it is read on from the ledger when it catches up (pitfall 23).
 */
import { OpenClawError } from "@openclaw/core/errors.ts";
import { type Revision, revision } from "@openclaw/core/ids.ts";
import { BATCH_BYTES_MAX } from "@openclaw/core/limits.ts";
import type { StoredRecord } from "@openclaw/core/ports.ts";
import { type Agreement, agreementText } from "@openclaw/core/replica/comparisons.ts";
import type { ReplicaDoor } from "./deps.ts";

/** Bytes of records kept for a reader that is busy with earlier ones. Beyond it they are dropped and paged later. */
const AHEAD_BYTES_MAX = BATCH_BYTES_MAX;
/** Bytes of one page. */
const PAGE_BYTES = 262_144;

export interface LedgerPage {
  /** In order, the first one following the page before. Empty: everything up to `revision` was delivered. */
  readonly records: readonly StoredRecord[];
  /** The newest revision applied here. */
  readonly revision: Revision;
}

/** Ends when `signal` aborts. @throws OpenClawError COMPACTED, DIVERGED, UNAVAILABLE, STOPPED */
export async function* ledgerPages(
  source: Pick<ReplicaDoor, "ledger" | "follow" | "onAgreement" | "position">,
  from: Revision,
  signal: AbortSignal,
): AsyncGenerator<LedgerPage, void> {
  let next: number = from;
  let newest: number = source.position().revision;
  let ahead: StoredRecord[] = [];
  let aheadBytes = 0;
  let wake = (): void => {};
  const abort = (): void => wake();
  const unfollow = source.follow((advance) => {
    newest = Math.max(newest, advance.revision);
    for (const record of advance.records) {
      const last = ahead.at(-1);
      aheadBytes += record.record.length;
      if (aheadBytes > AHEAD_BYTES_MAX || (last !== undefined && record.revision !== last.revision + 1)) {
        ahead = [];
        aheadBytes = 0;
        if (record.record.length > AHEAD_BYTES_MAX) continue;
        aheadBytes = record.record.length;
      }
      ahead.push(record);
    }
    wake();
  });
  let wrong: Agreement | null = null;
  // C1: nothing is applied here any more, so nothing else would tell the reader.
  const disagree = source.onAgreement((agreement) => {
    if (agreement.kind === "sound") return;
    wrong = agreement;
    wake();
  });
  signal.addEventListener("abort", abort);
  try {
    while (!signal.aborted) {
      if (wrong !== null) throw new OpenClawError("DIVERGED", agreementText(wrong));
      if (next > newest) {
        yield { records: [], revision: revision(newest) };
        if (signal.aborted || next <= newest) continue;
        await new Promise<void>((resolve) => {
          wake = resolve;
        });
        continue;
      }
      const first = ahead[0];
      let records: readonly StoredRecord[];
      if (first !== undefined && first.revision <= next) {
        const start = next;
        records = ahead.filter((record) => record.revision >= start);
        ahead = [];
        aheadBytes = 0;
      } else {
        const slice = await source.ledger(revision(next), PAGE_BYTES);
        newest = Math.max(newest, slice.revision);
        records = slice.records;
      }
      const last = records.at(-1);
      if (last === undefined) {
        if (first !== undefined) continue; // all of it was delivered already: page on
        throw new OpenClawError("UNAVAILABLE", `the ledger does not have revision ${next} yet`);
      }
      next = last.revision + 1;
      yield { records, revision: revision(newest) };
    }
  } finally {
    signal.removeEventListener("abort", abort);
    disagree();
    unfollow();
  }
}
