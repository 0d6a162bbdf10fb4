/** No acknowledged write is lost while a majority's disks survive: it stands in the ledger where its caller was told. */
import type { History, LedgerWrite } from "./history.ts";

export function lossFaults({ calls }: History, ledger: readonly LedgerWrite[]): readonly string[] {
  const stands = new Map(ledger.map((write) => [nameOf(write), write.revision]));
  const faults: string[] = [];
  for (const { key, asked, answer } of calls) {
    if (asked.kind === "read" || answer?.kind !== "wrote") continue;
    const { revision } = answer;
    const name = nameOf({ key, value: asked.kind === "delete" ? null : asked.value, revision });
    const at = stands.get(name);
    if (at !== answer.revision) {
      faults.push(
        `${name} was acknowledged at ${answer.revision} and ${at === undefined ? "is lost" : `stands at ${at}`}`,
      );
    }
  }
  return faults;
}

/** Every value is written once; of deletes, the key and the place tell. */
const nameOf = ({ key, value, revision }: LedgerWrite): string => value ?? `the delete of ${key} at ${revision}`;
