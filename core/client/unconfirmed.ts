/** Document changes of this device whose way to the hub is not over. */
import type { Draft } from "./journal.ts";
import type { ClientStore } from "./store.ts";

/** Each as an edit to be sent again: which harms nothing, as a change that is known is a no-op. */
export async function unconfirmedChanges(store: ClientStore): Promise<Draft[]> {
  const drafts: Draft[] = [];
  // A document is read once, however many of its changes wait.
  const documents = (await store.awaiting()).flatMap(({ document }) => (document === null ? [] : [document]));
  const byName = Map.groupBy(documents, ({ collection, document }) => JSON.stringify([collection, document]));
  for (const [first, ...others] of byName.values()) {
    if (first === undefined) continue;
    const { collection, document } = first;
    const wanted = new Set([first, ...others].flatMap(({ hashes }) => hashes));
    for (const change of await store.document(collection, document)) {
      if (!wanted.has(change.hash)) continue;
      const command = { kind: "change", collection, document, changes: [change] } as const;
      drafts.push({ command, edits: [], round: 0 });
    }
  }
  return drafts;
}
