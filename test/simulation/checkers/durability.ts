/** No acknowledged write is lost while a majority's disks survive: it stands in the ledger where its caller was told. */
import type { History, LedgerWrite } from "./history.ts";

export function lossFaults({ calls }: History, ledger: readonly LedgerWrite[]): readonly string[] {
  const stands = new Map(ledger.map(({ value, revision }) => [value, revision]));
  const faults: string[] = [];
  for (const { asked, answer } of calls) {
    if (asked.kind === "read" || answer?.kind !== "wrote") continue;
    const at = stands.get(asked.value);
    if (at !== answer.revision) {
      faults.push(
        `${asked.value} was acknowledged at ${answer.revision} and ${at === undefined ? "is lost" : `stands at ${at}`}`,
      );
    }
  }
  return faults;
}
