/** Asks a gateway for a whole document, page by page. */
import { OpenClawError } from "../errors.ts";
import type { DocumentChange } from "../ledger/record.ts";
import type { QueryAnswers } from "../state-machine/query.ts";
import type { ChildQuery } from "../sync/message.ts";

/** Changes asked for at once. */
const PAGE_CHANGES_MAX = 512;

type Ask = (query: Extract<ChildQuery, { kind: "document" }>) => Promise<QueryAnswers["document"]>;

/** Its accepted changes, each after what it depends on. @throws OpenClawError what the gateway refuses it with, UNAVAILABLE */
export async function fetchChanges(ask: Ask, collection: string, document: string): Promise<readonly DocumentChange[]> {
  const changes: DocumentChange[] = [];
  let limit = PAGE_CHANGES_MAX;
  for (let after = 0; ; ) {
    try {
      const page = await ask({ kind: "document", collection, document, after, limit });
      changes.push(...page.changes);
      if (!page.more) return changes;
      after = page.position;
    } catch (error) {
      // Large changes: fewer of them fit one frame. One always does.
      if (!(error instanceof OpenClawError) || error.code !== "FRAME_TOO_LARGE" || limit === 1) throw error;
      limit = Math.max(1, Math.floor(limit / 8));
    }
  }
}
