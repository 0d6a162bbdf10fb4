/** Ledgers that links bring: contiguous, chained, exactly once (rules L1–L5). */
import { equalBytes } from "../bytes.ts";
import type { ErrorCode } from "../errors.ts";
import { invariant, OpenClawError, unreachable } from "../errors.ts";
import type { ClusterId, Revision } from "../ids.ts";
import { PARTITION, revision } from "../ids.ts";
import { genesisHash, hashesAlong, isContiguous, leafHash, leavesOf } from "../ledger/chain.ts";
import type { GapReason } from "../ledger/gap.ts";
import { chainedTo, epochsOf, spanAt } from "../ledger/lineage.ts";
import { firstRevision, lastRevision } from "../ledger/link-item.ts";
import { originalOf } from "../ledger/original.ts";
import { isKeyEvent, type LedgerEvent, type LedgerRecord, type LinkItem, mirrored } from "../ledger/record.ts";
import { decodeBody, originOf } from "../ledger/record-codec.ts";
import { BATCH_BYTES_MAX, HOME_PREFIX_BYTES_MAX } from "../limits.ts";
import type { Sha256 } from "../ports.ts";
import type { CommandResult } from "./command.ts";
import { nameRefusal } from "./document-name.ts";
import { overPending } from "./document-plan.ts";
import { changeRefusal } from "./document-rows.ts";
import { carryOut, planDocuments } from "./documents.ts";
import type { Handover } from "./handover.ts";
import { tooManyHomes } from "./homes.ts";
import { keyRefusal, valueRefusal } from "./key-check.ts";
import { mirrorKey } from "./key-rows.ts";
import { ledgerLinkKey } from "./keyspace.ts";
import type { Author, LedgerWriter } from "./ledger-writer.ts";
import { beginLink, noteBody, noteGap } from "./link-gaps.ts";
import type { LedgerLinkRow } from "./link-rows.ts";
import { isPast, ledgerLinkRow, markOf, noteChild, noteParent, parentOf, raiseMark } from "./link-rows.ts";
import { carryOutForNeighbour, concernsUs } from "./neighbour-events.ts";
import type { Refusal } from "./outcome.ts";
import { refused } from "./outcome.ts";
import type { QueuedCommands, Sender } from "./queued-commands.ts";
import { type ImportLedger, otherThanTaken, partedBelow } from "./same-ledger.ts";
import { isOurSite, shippingRefusal } from "./sites.ts";
import { isReplacing } from "./stream-rows.ts";
import type { Transaction } from "./transaction.ts";

export interface Importing {
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

interface Body {
  readonly bytes: Uint8Array;
  readonly record: LedgerRecord;
  readonly leaf: Uint8Array;
}

/** An item above the cursor. */
interface Opened {
  /** Its last revision, and the sender's ledger hash there. */
  readonly to: Revision;
  readonly hash: Uint8Array;
  readonly body: Body | null;
  /** Why it is a gap here, unless it is a body of which something takes effect. */
  readonly reason: GapReason;
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
  const shut = shippingRefusal(tx, command.cluster);
  if (shut !== null) return refuse(shut.code, shut.details);
  if (known !== undefined && known.epoch.nonce !== command.epoch.nonce) {
    return refuse("WRONG_EPOCH", `epoch ${known.epoch.counter} is pinned, not ${command.epoch.counter}`);
  }
  // What an epoch departed from is told by `succeedEpoch`, before the first import.
  if (known === undefined && command.epoch.parent !== null)
    return refuse("WRONG_EPOCH", "it is not known what the epoch departed from");
  if (isReplacing(tx, command.link)) return refuse("GAP", "a snapshot that is under way comes first");
  if (command.side === "parent" && importing.handover.forgetSome(importing.authorOf))
    return { kind: "unfinished", cursor };
  if (!isContiguous(command.items)) return refuse("MALFORMED_FRAME", "items do not follow each other");
  const first = command.items[0];
  const last = command.items.at(-1);
  if (first === undefined || last === undefined) return { kind: "imported", cursor, outcomes: [] };
  if (firstRevision(first) > cursor + 1) return refuse("GAP", `${firstRevision(first)} does not follow ${cursor}`);

  // L3: the same revision under another hash. An overlap that ends below the cursor changes nothing; the link compares it
  // with what is kept (mirror.ts).
  if (lastRevision(last) < cursor) return { kind: "imported", cursor, outcomes: [] };
  const row = known ?? beginning(importing, command);
  const parted = partedBelow(sha256, row, command);
  if (parted !== null) return refuse(parted.code, parted.details);
  const rest = command.items.filter((item) => lastRevision(item) > cursor);
  if (rest.length === 0)
    return equalBytes(row.hash, command.hash)
      ? { kind: "imported", cursor, outcomes: [] }
      : refuse("FORK", `another hash at ${cursor}`);
  const span = spanAt(row, cursor + 1);
  if (span === null) return refuse("WRONG_EPOCH", `the epoch of revision ${cursor + 1} is no longer remembered`);
  const { epoch, to } = span;
  const end = lastRevision(last);
  if (to !== null && end > to) return refuse("MALFORMED_FRAME", `items run past ${to}, where another epoch departed`);
  const leaves = leavesOf(sha256, rest);
  const hashes = hashesAlong(
    sha256,
    chainedTo(sha256, command.cluster, PARTITION, epoch, cursor, row.hash),
    PARTITION,
    rest,
    leaves,
  );
  if (
    !equalBytes(hashes.at(-1) ?? row.hash, command.hash) ||
    (end === to && !equalBytes(command.hash, hashOf(row, end)))
  )
    return refuse("FORK", `another hash at ${end}`);
  const other = otherThanTaken(tx, { ...command, epoch }, cursor, rest, leaves);
  if (other !== null) return refuse(other.code, other.details);

  const opened = openAll(rest, hashes, leaves);
  if (!opened.ok) return refuse(opened.refusal.code, opened.refusal.details);
  for (const { body } of opened.items) {
    const wrong = body === null ? null : originRefusal(tx, command, body.record);
    if (wrong !== null) return refuse(wrong.code, wrong.details);
  }
  if (command.side === "parent") {
    const told = opened.items.flatMap(({ body }) => body?.record.events ?? []);
    const full = tooManyHomes(tx, told);
    if (full !== null) return refuse(full.code, full.details);
  }
  return take(importing, { ...command, epoch }, row, opened.items);
}

/** The hash where an epoch departed, as the sender told it. */
function hashOf(lineage: LedgerLinkRow, at: Revision): Uint8Array {
  const epochs = epochsOf(lineage);
  // Of two epochs that departed at one revision, the later one's is that of the ledger.
  const ancestor = lineage.ancestors.findLast((_, i) => epochs[i + 1]?.departure === at);
  invariant(ancestor !== undefined, "a span ends where an epoch departed");
  return ancestor.hash;
}

/** Nothing of it is here yet. */
const beginning = ({ sha256 }: Importing, { cluster, epoch }: ImportLedger): LedgerLinkRow => ({
  epoch,
  ancestors: [],
  cursor: revision(0),
  hash: genesisHash(sha256, cluster, PARTITION, epoch.nonce),
  gap: null,
  marked: revision(0),
  unmarked: 0,
});

/** Every body is read and checked before any of them takes effect. */
function openAll(
  items: readonly LinkItem[],
  hashes: readonly Uint8Array[],
  leaves: readonly (Uint8Array | null)[],
): { readonly ok: true; readonly items: readonly Opened[] } | { readonly ok: false; readonly refusal: Refusal } {
  const opened: Opened[] = [];
  for (const [i, item] of items.entries()) {
    const hash = hashes[i];
    invariant(hash !== undefined, "an item has a hash");
    if (item.kind !== "body") {
      opened.push({ to: lastRevision(item), hash, body: null, reason: item.kind === "stub" ? item.reason : "skipped" });
      continue;
    }
    const record = readBody(item.revision, item.record);
    if ("code" in record) return { ok: false, refusal: record };
    const leaf = leaves[i] ?? null;
    invariant(leaf !== null, "a body has a leaf");
    opened.push({ to: item.revision, hash, body: { bytes: item.record, record, leaf }, reason: "known" });
  }
  return { ok: true, items: opened };
}

function readBody(at: Revision, bytes: Uint8Array): LedgerRecord | Refusal {
  let record: LedgerRecord;
  try {
    record = decodeBody(bytes);
  } catch (error) {
    if (error instanceof OpenClawError) return refused("MALFORMED_FRAME", `the body of ${at}: ${error.details}`);
    throw error;
  }
  if (record.revision !== at) return refused("MALFORMED_FRAME", `the body of ${at} says ${record.revision}`);
  for (const event of record.events) {
    const wrong = eventRefusal(event);
    if (wrong !== null) return wrong;
  }
  // What one of them makes us do stands behind the record: a replay would take the next one before that (L2).
  if (record.events.length > 1 && record.events.some(({ kind }) => kind === "command" || kind === "home"))
    return refused("MALFORMED_FRAME", `the body of ${at}: a command, or a step of a home, among other events`);
  return record;
}

/**
 * What a child brings in the name of another cluster that has a link with us. Taken, it would raise the other's mark, and
 * shut out what comes over the other's own link, which brings more of its keys than a child may have subscribed to. (Of
 * documents, which have no home, all is taken.)
 */
export const isToldBetter = (
  tx: Transaction,
  side: "child" | "parent",
  sender: ClusterId,
  origin: ClusterId,
): boolean => side === "child" && origin !== sender && (origin === parentOf(tx) || isOurSite(tx, origin));

/** Either a lie, or a site of ours has moved below that child: then an operator has to say so, or its later revisions are lost. */
function originRefusal(
  tx: Transaction,
  { side, cluster, link }: ImportLedger,
  { origin }: LedgerRecord,
): Refusal | null {
  if (side === "parent" || origin === null || origin.cluster === cluster || !isOurSite(tx, origin.cluster)) return null;
  const mark = markOf(tx, origin);
  if (mark === undefined || mark.link === link || origin.revision <= mark.mark) return null;
  return refused(
    "NOT_ADMITTED",
    `${origin.cluster} ships to this cluster itself; if it moved, it is to be revoked here`,
  );
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
      if (event.step.kind === "declare" && event.step.home === "private")
        return refused("MALFORMED_FRAME", "what is private is told to nobody");
      return event.prefix.length > HOME_PREFIX_BYTES_MAX ? refused("KEY_TOO_LARGE", "a home's prefix") : null;
    case "command":
      return null;
    case "result":
      // Handed on, it has to fit a record of ours; those that are true are a quarter of it (K4).
      return event.outcome.length > BATCH_BYTES_MAX
        ? refused("MALFORMED_FRAME", `an outcome of ${event.outcome.length} bytes`)
        : null;
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
  const { tx, ledger } = importing;
  const { link } = command;
  if (command.side === "parent") noteParent(tx, command.cluster, ledger.position.revision);
  else noteChild(tx, command.cluster);
  const begun = ledger.position.revision;
  let row = from;
  let refusal: Refusal | null = null;
  let isUnfinished = false;
  for (const { to, hash, body, reason } of items) {
    // What a step of the parent's began is done before its next record says something else of the same keys (Q3).
    if (command.side === "parent" && importing.handover.isForgetting) break;
    const taken = body === null ? "known" : takeBody(importing, command, body);
    if (taken === "unfinished") {
      isUnfinished = true;
      break;
    }
    if (typeof taken === "object") {
      refusal = taken;
      break;
    }
    const { revision: at, compacted } = ledger.position;
    row =
      taken === "known"
        ? noteGap(tx, link, row, { to, hash, reason, at }, compacted)
        : noteBody(tx, link, row, { to, hash, at }, body?.bytes.length ?? 0, compacted);
  }
  if (row !== from) {
    if (from.cursor === 0) beginLink(tx, link, from.hash, begun);
    tx.write(ledgerLinkKey(link), ledgerLinkRow, row);
  }
  importing.commands.tellResults(importing.authorOf(`cluster:${importing.cluster}`));
  const { cursor } = row;
  if (isUnfinished || (command.side === "parent" && importing.handover.isForgetting))
    return { kind: "unfinished", cursor };
  return refusal === null
    ? { kind: "imported", cursor, outcomes: [] }
    : { kind: "importRefused", code: refusal.code, cursor, details: refusal.details };
}

/** One revision here for what a body changes here; none if it changes nothing (L1, L4, L5). */
function takeBody(importing: Importing, command: ImportLedger, body: Body): "taken" | "known" | "unfinished" | Refusal {
  const { bytes, record } = body;
  const { tx, ledger } = importing;
  const { link } = command;
  const origin = originOf(record, link, command.epoch.nonce);
  invariant(origin !== null, "a ledger's link is a cluster's name");
  // What we wrote ourselves has come back: we have it.
  if (origin.cluster === importing.cluster) return "known";
  if (isPast(tx, origin, record.snapshot)) return "known";
  if (isLongRelease(importing, command, record)) return "unfinished";
  const keysComeOtherwise = isToldBetter(tx, command.side, command.cluster, origin.cluster);
  const all = record.events.map(mirrored);
  const plans = planDocuments(tx, all);
  const full = plans.find(({ plan }) => overPending(plan));
  if (full !== undefined) {
    return refused(
      "OVERLOADED",
      `${full.name} holds ${full.plan.before.pending} changes whose dependencies are missing`,
    );
  }
  if (!keysComeOtherwise) raiseMark(tx, origin, command.link, ledger.next, leafAtOrigin(importing.sha256, body));

  const sender: Sender | null =
    record.origin === null
      ? { cluster: command.cluster, side: command.side, epoch: command.epoch.nonce, revision: record.revision }
      : null;
  const fresh = new Set(plans.flatMap(({ plan }) => plan.fresh));
  const isEffective = (event: LedgerEvent): boolean => {
    // Two events of one change are one change: the plan has it once.
    if (event.kind === "change") return fresh.delete(event.change);
    if (isKeyEvent(event)) return !keysComeOtherwise && mirrorKey(tx, origin.cluster, event, origin.revision);
    return sender !== null && concernsUs(importing, sender, event);
  };
  const took = all.flatMap((event, place) => (isEffective(event) ? [place] : []));
  if (took.length === 0) return "known";
  for (const { plan } of plans) if (plan.fresh.length > 0) carryOut(tx, plan, ledger.next);
  // What the parent says is the home of everybody's keys goes on to our children (Q3).
  const home = command.side === "parent" && record.home === "hub" ? "hub" : "site";
  const whole = took.length === all.length ? null : took;
  ledger.import({ origin, link, body: bytes, took: whole }, home, importing.salt);
  if (sender !== null) followUp(importing, sender, record, took);
  return "taken";
}

/** True while a child's release has more to bring than one command takes over (Q3). A step of a home is alone in its record. */
function isLongRelease(
  { handover, authorOf }: Importing,
  { side, cluster }: ImportLedger,
  record: LedgerRecord,
): boolean {
  const [event] = record.events;
  if (side === "parent" || record.origin !== null || event?.kind !== "home") return false;
  return handover.takeSome(authorOf, cluster, event);
}

/** Of the record that the origin wrote; null where a snapshot tells of it. */
function leafAtOrigin(sha256: Sha256, { bytes, record, leaf }: Body): Uint8Array | null {
  if (record.origin === null) return leaf;
  const original = originalOf(bytes);
  return original === null ? null : leafHash(sha256, original);
}

/** What a neighbour asked for is done behind its record. */
function followUp(importing: Importing, sender: Sender, record: LedgerRecord, took: readonly number[]): void {
  for (const place of took) {
    const event = record.events[place];
    if (event === undefined || event.kind === "change" || isKeyEvent(event)) continue;
    carryOutForNeighbour(importing, sender, record.principal, event);
  }
}
