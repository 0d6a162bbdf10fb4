/**
 * The content of a state, made again from its ledger: keys, mirrors and documents. The functions that apply uses make of
 * its events what they made of the commands, so that at every revision both are equal, row for row. What the ledger does
 * not tell (sessions, links, members, leases, log time) is left alone.
 */
import { unreachable } from "../errors.ts";
import { leafHash } from "../ledger/chain.ts";
import { originalOf } from "../ledger/original.ts";
import type { KeyEvent, LedgerRecord } from "../ledger/record.ts";
import { decodeRecord } from "../ledger/record-codec.ts";
import type { Sha256, StoredRecord } from "../ports.ts";
import { carryOut, planDocuments } from "./documents.ts";
import { takeHomeStep } from "./homes.ts";
import { keyRow, mirrorKey, setKey } from "./key-rows.ts";
import { keyRowKey } from "./keyspace.ts";
import { raiseMark } from "./link-rows.ts";
import { Transaction } from "./transaction.ts";
import type { StateView, Write } from "./view.ts";

/** What these records, the first of which follows what `view` holds, write. @throws OpenClawError MALFORMED_FRAME */
export function replay(sha256: Sha256, view: StateView, records: readonly StoredRecord[]): Write[] {
  const tx = new Transaction(view);
  for (const { record } of records) takeAgain(sha256, tx, record);
  return tx.writes();
}

function takeAgain(sha256: Sha256, tx: Transaction, bytes: Uint8Array): void {
  const record = decodeRecord(bytes);
  const plans = planDocuments(tx, record.events);
  for (const event of record.events) {
    switch (event.kind) {
      case "put":
      case "delete":
        takeKey(tx, record, event);
        break;
      case "home":
        takeHomeStep(tx, record.origin, record.revision, event);
        break;
      case "change": // all of one document's changes are one plan
      case "command": // what they did stands in records of its own
      case "result":
        break;
      default:
        unreachable(event);
    }
  }
  for (const { plan } of plans) carryOut(tx, plan, record.revision);
  // No lower than what stands here. Where it was higher, what lies between changed nothing, and would change nothing again.
  // A snapshot's comes in several records, and only its end makes what lies before it past.
  if (record.origin === null || record.link === null || record.snapshot) return;
  const original = originalOf(bytes);
  const leaf = original === null ? null : leafHash(sha256, original);
  raiseMark(tx, record.origin, record.link, record.revision, leaf);
}

function takeKey(tx: Transaction, { origin, revision }: LedgerRecord, event: KeyEvent): void {
  if (origin !== null) {
    mirrorKey(tx, origin.cluster, event, origin.revision);
    return;
  }
  const row = keyRowKey(null, event.key);
  setKey(tx, row, tx.read(row, keyRow), event, revision);
}
