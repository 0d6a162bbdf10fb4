/**
 * What a parent sent, read and checked before this session uses it (D1). A port: in a browser the page's worker does it, as
 * whoever types must not wait for it; where nobody does, `inspectionWith` does it in place.
 */
import { type ChangeFault, changeFault } from "../documents/change-check.ts";
import type { ChunkTools } from "../documents/change-chunk.ts";
import { invariant } from "../errors.ts";
import type { DocumentChange, LedgerRecord } from "../ledger/record.ts";
import { decodeRecord } from "../ledger/record-codec.ts";

/** Null for what may be given to Automerge. */
export type Finding = ChangeFault | null;

export interface InspectedChange {
  readonly change: DocumentChange;
  readonly finding: Finding;
}

export interface InspectedRecord {
  readonly record: LedgerRecord;
  /** One for each event; null also for what is no change. */
  readonly findings: readonly Finding[];
}

export interface Inspection {
  /** @throws OpenClawError MALFORMED_FRAME */
  records(records: readonly Uint8Array[]): Promise<readonly InspectedRecord[]>;
  /** One for each. */
  changes(changes: readonly DocumentChange[]): Promise<readonly Finding[]>;
}

/** Nothing passes for checked that nobody has checked. */
export function inspectedChange(change: DocumentChange, finding: Finding | undefined): InspectedChange {
  invariant(finding !== undefined, "a finding for each change");
  return { change, finding };
}

export const inspectionWith = (tools: ChunkTools): Inspection => ({
  records: async (records) => records.map((bytes) => inspected(decodeRecord(bytes), tools)),
  changes: async (changes) => changes.map((change) => changeFault(change, tools)),
});

const inspected = (record: LedgerRecord, tools: ChunkTools): InspectedRecord => ({
  record,
  findings: record.events.map((event) => (event.kind === "change" ? changeFault(event.change, tools) : null)),
});
