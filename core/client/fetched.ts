/** A document that is not on this device: asked of a gateway, and stored. */
import { revision } from "../ids.ts";
import type { DocumentChange } from "../ledger/record.ts";
import { fetchChanges } from "./fetch.ts";
import { type Inspection, inspectedChange } from "./inspection.ts";
import type { Journal } from "./journal.ts";
import type { Quarantines } from "./quarantines.ts";
import type { Questions } from "./questions.ts";
import type { Rungs } from "./rungs.ts";

export interface FetchHost {
  readonly ask: Questions["ask"];
  readonly inspection: Inspection;
  readonly journal: Journal;
  readonly rungs: Rungs;
  readonly quarantines: Quarantines;
  /** It cannot be asked for. It comes with the stream when the site can be reached again, as far as this session may see it. */
  failed(error: unknown): void;
}

/** Empty where it cannot be had. @throws OpenClawError CLIENT_STORAGE_FAILED */
export async function fetchDocument(
  { ask, inspection, journal, rungs, quarantines, failed }: FetchHost,
  collection: string,
  document: string,
): Promise<readonly DocumentChange[]> {
  const { life } = rungs;
  // As of a revision at most.
  let at = revision(0);
  let fetched: readonly DocumentChange[];
  try {
    fetched = await fetchChanges(
      async (query) => {
        const { answer, seen } = await ask(query, { kind: "local" });
        if (seen.position.revision > at) at = seen.position.revision;
        return answer;
      },
      collection,
      document,
    );
  } catch (error) {
    failed(error);
    return [];
  }
  const findings = await inspection.changes(fetched);
  const inspected = fetched.map((change, i) => inspectedChange(change, findings[i]));
  const { documents, write } = quarantines.sift([{ collection, document, changes: inspected }]);
  await journal.commit({ write: { ...write, changes: documents } });
  quarantines.wrote(write);
  const changes = documents.flatMap((received) => received.changes);
  // The site has them; what its hub has of them, the stream tells.
  const hashes = changes.map(({ hash }) => hash);
  if (life === rungs.life) rungs.committed(hashes, at);
  return changes;
}
