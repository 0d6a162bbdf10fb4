/** Document changes of this device whose way to the hub is not over. */
import type { Draft } from "./journal.ts";
import type { ClientStore } from "./store.ts";

/** Each as an edit to be sent again: which harms nothing, as a change that is known is a no-op. */
export async function unconfirmedChanges(store: ClientStore): Promise<Draft[]> {
  const drafts: Draft[] = [];
  for (const { document } of await store.awaiting()) {
    if (document === null) continue;
    const wanted = new Set(document.hashes);
    for (const change of await store.document(document.collection, document.document)) {
      if (!wanted.has(change.hash)) continue;
      const command = {
        kind: "change",
        collection: document.collection,
        document: document.document,
        changes: [change],
      } as const;
      drafts.push({ command, edits: [], round: 0 });
    }
  }
  return drafts;
}
