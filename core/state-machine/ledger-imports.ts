/** Ledgers that links bring: contiguous, chained, exactly once (rules L1–L5). */
import { equalBytes } from "../bytes.ts";
import type { ErrorCode } from "../errors.ts";
import { OpenClawError, unreachable } from "../errors.ts";
import type { ClusterId, Origin, Revision } from "../ids.ts";
import { PARTITION, revision } from "../ids.ts";
import { firstRevision, genesisHash, hashAfter, isContiguous, lastRevision } from "../ledger/chain.ts";
import { isKeyEvent, type LedgerEvent, type LedgerRecord, type LinkItem } from "../ledger/record.ts";
import { decodeForeignRecord } from "../ledger/record-codec.ts";
import { HOME_PREFIX_BYTES_MAX } from "../limits.ts";
import type { Sha256 } from "../ports.ts";
import type { CommandResult, SystemCommand } from "./command.ts";
import { overPending } from "./document-plan.ts";
import { changeRefusal, nameRefusal } from "./document-rows.ts";
import { carryOut, planDocuments } from "./documents.ts";
import type { Handover } from "./handover.ts";
import { keyRefusal, mirrorKey, valueRefusal } from "./key-rows.ts";
import { ledgerLinkKey } from "./keyspace.ts";
import type { Author, LedgerWriter } from "./ledger-writer.ts";
import type { LedgerLinkRow } from "./link-rows.ts";
import { isPast, ledgerLinkRow, noteParent, noteRoute, raiseMark } from "./link-rows.ts";
import { carryOutForNeighbour, concernsUs } from "./neighbour-events.ts";
import type { Refusal } from "./outcome.ts";
import { refused } from "./outcome.ts";
import type { QueuedCommands, Sender } from "./queued-commands.ts";
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
  /** Of what an import makes us write: in the name of whoever wrote what it brings. */
  readonly authorOf: (principal: string) => Author;
  readonly commands: QueuedCommands;
  readonly handover: Handover;
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
  if (!isContiguous(command.items)) return refuse("MALFORMED_FRAME", "items do not follow each other");
  const first = command.items[0];
  const last = command.items.at(-1);
  if (first === undefined || last === undefined) return { kind: "imported", cursor, outcomes: [] };
  if (firstRevision(first) > cursor + 1) return refuse("GAP", `${firstRevision(first)} does not follow ${cursor}`);

  const hash = known?.hash ?? genesisHash(sha256, command.cluster, PARTITION, command.epoch.nonce);
  const rest = command.items.filter((item) => lastRevision(item) > cursor);
  // L3: the same revision under another hash. An overlap that ends below the cursor is too old to compare.
  const claimed = lastRevision(last) < cursor ? command.hash : hashAfter(sha256, hash, PARTITION, rest);
  if (!equalBytes(claimed, command.hash)) return refuse("FORK", `another hash at ${lastRevision(last)}`);
  if (rest.length === 0) return { kind: "imported", cursor, outcomes: [] };

  const opened = openAll(rest);
  if (!opened.ok) return refuse(opened.refusal.code, opened.refusal.details);
  return take(importing, command, { epoch: known?.epoch ?? command.epoch, cursor, hash }, opened.items);
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
    case "home":
      return event.prefix.length > HOME_PREFIX_BYTES_MAX ? refused("KEY_TOO_LARGE", "a home's prefix") : null;
    case "command":
    case "result":
      return null;
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
  if (command.side === "parent") noteParent(importing.tx, command.cluster);
  let cursor = from.cursor;
  for (const [i, { item, record }] of items.entries()) {
    const refusal = record === null ? null : takeRecord(importing, command, record);
    if (refusal !== null) {
      const taken = items.slice(0, i).map((one) => one.item);
      const hash = hashAfter(importing.sha256, from.hash, PARTITION, taken);
      if (i > 0) importing.tx.write(key, ledgerLinkRow, { epoch: from.epoch, cursor, hash });
      importing.commands.tellResults(importing.authorOf(`cluster:${importing.cluster}`));
      return { kind: "importRefused", code: refusal.code, cursor, details: refusal.details };
    }
    cursor = lastRevision(item);
  }
  importing.tx.write(key, ledgerLinkRow, { epoch: from.epoch, cursor, hash: command.hash });
  importing.commands.tellResults(importing.authorOf(`cluster:${importing.cluster}`));
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
  if (command.side === "child") noteRoute(tx, origin.cluster, command.cluster);

  const fresh = new Set(plans.flatMap(({ plan }) => plan.fresh));
  const sender: Sender | null =
    record.origin === null
      ? { cluster: command.cluster, side: command.side, epoch: command.epoch.nonce, revision: record.revision }
      : null;
  const events = all.filter((event) => {
    // Two events of one change are one change: the plan has it once.
    if (event.kind === "change") return fresh.delete(event.change);
    if (isKeyEvent(event)) return mirrorKey(tx, origin.cluster, event, origin.revision);
    return sender !== null && concernsUs(importing, sender, event);
  });
  if (events.length === 0) return null;
  for (const { plan } of plans) if (plan.fresh.length > 0) carryOut(tx, plan, ledger.next);
  const { principal, time } = record;
  const from = { origin, link: command.link };
  // What the parent says is the home of everybody's keys goes on to our children (Q3).
  const home = command.side === "parent" && record.home === "hub" ? "hub" : "site";
  ledger.append({ principal, time, salt: importing.salt, from }, events, home);
  for (const event of events)
    if (sender !== null && event.kind !== "change" && !isKeyEvent(event))
      carryOutForNeighbour(importing, sender, principal, event);
  return null;
}

/** A lease is its own cluster's: nobody else can tell when it ends, and its end comes as deletes (K6). */
const mirrored = (event: LedgerEvent): LedgerEvent =>
  event.kind === "put" && event.lease !== null ? { ...event, lease: null } : event;
