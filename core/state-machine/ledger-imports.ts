/** Ledgers that links bring: contiguous, chained, exactly once (rules L1–L5). */
import { equalBytes } from "../bytes.ts";
import type { ErrorCode } from "../errors.ts";
import { invariant, OpenClawError, unreachable } from "../errors.ts";
import type { ClusterId, Origin, Revision } from "../ids.ts";
import { PARTITION, revision } from "../ids.ts";
import { firstRevision, genesisHash, hashAfter, isContiguous, lastRevision } from "../ledger/chain.ts";
import { chainedTo, epochsOf, spanAt } from "../ledger/lineage.ts";
import type { LedgerEvent, LedgerRecord, LinkItem } from "../ledger/record.ts";
import { decodeForeignRecord } from "../ledger/record-codec.ts";
import type { Sha256 } from "../ports.ts";
import type { CommandResult, SystemCommand } from "./command.ts";
import { overPending } from "./document-plan.ts";
import { changeRefusal, nameRefusal } from "./document-rows.ts";
import { carryOut, planDocuments } from "./documents.ts";
import { keyRefusal, mirrorKey, valueRefusal } from "./key-rows.ts";
import { ledgerLinkKey } from "./keyspace.ts";
import type { LedgerWriter } from "./ledger-writer.ts";
import type { LedgerLinkRow } from "./link-rows.ts";
import { isPast, ledgerLinkRow, raiseMark } from "./link-rows.ts";
import type { Refusal } from "./outcome.ts";
import { refused } from "./outcome.ts";
import type { Transaction } from "./transaction.ts";

export type ImportLedger = Extract<SystemCommand, { kind: "importLedger" }>;

interface Importing {
  readonly tx: Transaction;
  readonly ledger: LedgerWriter;
  readonly sha256: Sha256;
  /** Ours. */
  readonly cluster: ClusterId;
  /** The command's salt: each revision derives its own. */
  readonly salt: (at: Revision) => Uint8Array;
}

/** An item above the cursor, with the record that a body carries. */
interface Opened {
  readonly item: LinkItem;
  readonly record: LedgerRecord | null;
}

/**
 * Takes a run of items. Refused, nothing of it is taken, with one exception: OVERLOADED (a document may hold no more
 * pending changes) keeps what came before it, and the cursor says so.
 */
export function importLedger(importing: Importing, command: ImportLedger): CommandResult {
  const { tx, sha256 } = importing;
  const key = ledgerLinkKey(command.link);
  const known = tx.read(key, ledgerLinkRow);
  const cursor = known?.cursor ?? revision(0);
  const refuse = (code: ErrorCode, details: string): CommandResult => ({
    kind: "importRefused",
    code,
    cursor,
    details,
  });

  if (String(command.link) !== command.cluster || command.cluster === importing.cluster) {
    return refuse("WRONG_CLUSTER", `link ${command.link} of ${command.cluster}`);
  }
  if (known !== undefined && known.epoch.nonce !== command.epoch.nonce) {
    return refuse("WRONG_EPOCH", `epoch ${known.epoch.counter} is pinned, not ${command.epoch.counter}`);
  }
  // What an epoch departed from is told by `succeedEpoch`, before the first import.
  if (known === undefined && command.epoch.parent !== null)
    return refuse("WRONG_EPOCH", "it is not known what the epoch departed from");
  if (!isContiguous(command.items)) return refuse("MALFORMED_FRAME", "items do not follow each other");
  const first = command.items[0];
  const last = command.items.at(-1);
  if (first === undefined || last === undefined) return { kind: "imported", cursor, outcomes: [] };
  if (firstRevision(first) > cursor + 1) return refuse("GAP", `${firstRevision(first)} does not follow ${cursor}`);

  const row = known ?? beginning(sha256, command);
  const rest = command.items.filter((item) => lastRevision(item) > cursor);
  // L3: the same revision under another hash. An overlap that ends below the cursor is too old to compare.
  if (rest.length === 0) {
    return lastRevision(last) === cursor && !equalBytes(row.hash, command.hash)
      ? refuse("FORK", `another hash at ${cursor}`)
      : { kind: "imported", cursor, outcomes: [] };
  }
  const span = spanAt(row, cursor + 1);
  if (span === null) return refuse("WRONG_EPOCH", `the epoch of revision ${cursor + 1} is no longer remembered`);
  const { epoch, to } = span;
  const end = lastRevision(last);
  if (to !== null && end > to) return refuse("MALFORMED_FRAME", `items run past ${to}, where another epoch departed`);
  const claimed = hashAfter(
    sha256,
    chainedTo(sha256, command.cluster, PARTITION, epoch, cursor, row.hash),
    PARTITION,
    rest,
  );
  if (!equalBytes(claimed, command.hash) || (end === to && !equalBytes(claimed, hashOf(row, end))))
    return refuse("FORK", `another hash at ${end}`);

  const opened = openAll(rest);
  if (!opened.ok) return refuse(opened.refusal.code, opened.refusal.details);
  return take(importing, { ...command, epoch }, row, opened.items);
}

/** Nothing of it is here yet. */
const beginning = (sha256: Sha256, { cluster, epoch }: ImportLedger): LedgerLinkRow => ({
  epoch,
  ancestors: [],
  cursor: revision(0),
  hash: genesisHash(sha256, cluster, PARTITION, epoch.nonce),
});

/** The hash where an epoch departed, as the sender told it. */
function hashOf(lineage: LedgerLinkRow, at: Revision): Uint8Array {
  const epochs = epochsOf(lineage);
  // Of two epochs that departed at one revision, the later one's is that of the ledger.
  const ancestor = lineage.ancestors.findLast((_, i) => epochs[i + 1]?.departure === at);
  invariant(ancestor !== undefined, "a span ends where an epoch departed");
  return ancestor.hash;
}

/** Every body is read and checked before any of them takes effect. */
function openAll(
  items: readonly LinkItem[],
): { readonly ok: true; readonly items: readonly Opened[] } | { readonly ok: false; readonly refusal: Refusal } {
  const opened: Opened[] = [];
  for (const item of items) {
    if (item.kind !== "body") {
      opened.push({ item, record: null });
      continue;
    }
    const record = readBody(item.revision, item.record);
    if ("code" in record) return { ok: false, refusal: record };
    opened.push({ item, record });
  }
  return { ok: true, items: opened };
}

function readBody(at: Revision, bytes: Uint8Array): LedgerRecord | Refusal {
  let record: LedgerRecord;
  try {
    record = decodeForeignRecord(bytes);
  } catch (error) {
    if (error instanceof OpenClawError) return refused("MALFORMED_FRAME", `the body of ${at}: ${error.details}`);
    throw error;
  }
  if (record.revision !== at) return refused("MALFORMED_FRAME", `the body of ${at} says ${record.revision}`);
  for (const event of record.events) {
    const wrong = eventRefusal(event);
    if (wrong !== null) return wrong;
  }
  return record;
}

function eventRefusal(event: LedgerEvent): Refusal | null {
  switch (event.kind) {
    case "put":
      return keyRefusal(event.key) ?? valueRefusal(event.value);
    case "delete":
      return keyRefusal(event.key);
    case "change":
      return nameRefusal(event.collection, event.document) ?? changeRefusal(event.change);
    default:
      return unreachable(event);
  }
}

function take(
  importing: Importing,
  command: ImportLedger,
  from: LedgerLinkRow,
  items: readonly Opened[],
): CommandResult {
  const key = ledgerLinkKey(command.link);
  let cursor = from.cursor;
  for (const [i, { item, record }] of items.entries()) {
    const refusal = record === null ? null : takeRecord(importing, command, record);
    if (refusal !== null) {
      const taken = items.slice(0, i).map((one) => one.item);
      const previous = chainedTo(importing.sha256, command.cluster, PARTITION, command.epoch, from.cursor, from.hash);
      const hash = hashAfter(importing.sha256, previous, PARTITION, taken);
      if (i > 0) importing.tx.write(key, ledgerLinkRow, { ...from, cursor, hash });
      return { kind: "importRefused", code: refusal.code, cursor, details: refusal.details };
    }
    cursor = lastRevision(item);
  }
  importing.tx.write(key, ledgerLinkRow, { ...from, cursor, hash: command.hash });
  return { kind: "imported", cursor, outcomes: [] };
}

/** One revision here for what a body changes here; none if it changes nothing (L1, L4, L5). */
function takeRecord(importing: Importing, command: ImportLedger, record: LedgerRecord): Refusal | null {
  const { tx, ledger } = importing;
  const origin: Origin = record.origin ?? {
    cluster: command.cluster,
    epoch: command.epoch.nonce,
    revision: record.revision,
  };
  // What we wrote ourselves has come back: we have it.
  if (origin.cluster === importing.cluster || isPast(tx, origin)) return null;
  const all = record.events.map(mirrored);
  const plans = planDocuments(tx, all);
  const full = plans.find(({ plan }) => overPending(plan));
  if (full !== undefined) {
    return refused(
      "OVERLOADED",
      `${full.name} holds ${full.plan.before.pending} changes whose dependencies are missing`,
    );
  }
  raiseMark(tx, origin);

  const fresh = new Set(plans.flatMap(({ plan }) => plan.fresh));
  const events = all.filter((event) =>
    // Two events of one change are one change: the plan has it once.
    event.kind === "change" ? fresh.delete(event.change) : mirrorKey(tx, origin.cluster, event, origin.revision),
  );
  if (events.length === 0) return null;
  for (const { plan } of plans) if (plan.fresh.length > 0) carryOut(tx, plan, ledger.next);
  const { principal, time } = record;
  ledger.append({ principal, time, salt: importing.salt, from: { origin, link: command.link } }, events);
  return null;
}

/** A lease is its own cluster's: nobody else can tell when it ends, and its end comes as deletes (K6). */
const mirrored = (event: LedgerEvent): LedgerEvent =>
  event.kind === "put" && event.lease !== null ? { ...event, lease: null } : event;
