/**
 * Snapshots that links bring (S4). A piece replaces what its part of the scope holds here, deletions included; what differs
 * is told in marked records. The place that was reached is replicated with what it covers, and the link's cursor moves with
 * the end alone: so a crash repeats nothing, and until the end only the rest of a snapshot is taken.
 */
import { compareBytes, equalBytes } from "../bytes.ts";
import type { ErrorCode } from "../errors.ts";
import { unreachable } from "../errors.ts";
import { type ClusterId, type Origin, PARTITION, type Revision, revision } from "../ids.ts";
import { genesisHash } from "../ledger/chain.ts";
import { spanAt } from "../ledger/lineage.ts";
import type { HomeEvent, LedgerEvent } from "../ledger/record.ts";
import { isSame } from "../ledger/scope.ts";
import {
  isWhole,
  type SnapshotHead,
  type SnapshotPiece,
  type SnapshotPlace,
  type SnapshotProgress,
  type SnapshotSection,
} from "../ledger/snapshot.ts";
import { placeAfter, placeAt, sectionsOf } from "../ledger/snapshot-sections.ts";
import { NOTHING } from "../ledger/subscription.ts";
import { SNAPSHOT_ROWS_BYTES_MAX, SNAPSHOT_ROWS_MAX } from "../limits.ts";
import type { CommandResult, SystemCommand } from "./command.ts";
import { nameRefusal } from "./document-name.ts";
import { overPending } from "./document-plan.ts";
import { changeRefusal } from "./document-rows.ts";
import { carryOut, planDocuments } from "./documents.ts";
import { homesOf } from "./homes.ts";
import { keyRefusal, valueRefusal } from "./key-check.ts";
import { keyRow, mirrorKey } from "./key-rows.ts";
import { keyOfRow, keyRange, ledgerLinkKey } from "./keyspace.ts";
import { type Importing, isToldBetter } from "./ledger-imports.ts";
import type { Author } from "./ledger-writer.ts";
import { beginLink, noteGap } from "./link-gaps.ts";
import { ledgerLinkRow, markOf, noteChild, noteParent, noteUnsure, raiseMark } from "./link-rows.ts";
import { keyAfter } from "./row-pages.ts";
import { noteShed } from "./shed.ts";
import { shippingRefusal } from "./sites.ts";
import { streamOf, writeStream } from "./stream-rows.ts";

export type ImportSnapshot = Extract<SystemCommand, { kind: "importSnapshot" }>;

/** Rows of ours that one command looks at; a piece that meets more is proposed again, and goes on behind them. */
const HELD_ROWS_MAX = 256;

type Refuse = (code: ErrorCode, details: string) => CommandResult;

/** Who proposed the step, and when: a snapshot does not tell who wrote what. */
export type Taker = Pick<Author, "principal" | "time">;

export function importSnapshot(importing: Importing, taker: Taker, command: ImportSnapshot): CommandResult {
  const { tx, sha256 } = importing;
  const { side, link, cluster, epoch, step } = command;
  const key = ledgerLinkKey(link);
  const known = tx.read(key, ledgerLinkRow);
  const cursor = known?.cursor ?? revision(0);
  const refuse: Refuse = (code, details) => ({ kind: "importRefused", code, cursor, details });
  if (String(link) !== cluster || cluster === importing.cluster) {
    return refuse("WRONG_CLUSTER", `link ${link} of ${cluster}`);
  }
  const shut = shippingRefusal(tx, cluster);
  if (shut !== null) return refuse(shut.code, shut.details);
  if (known !== undefined && known.epoch.nonce !== epoch.nonce) {
    return refuse("WRONG_EPOCH", `epoch ${known.epoch.counter} is pinned, not ${epoch.counter}`);
  }
  switch (step.kind) {
    case "begin": {
      const refusal = headRefusal(side, step.head) ?? begin(importing, command, step.head, cursor);
      if (refusal !== null) return refuse("MALFORMED_FRAME", refusal);
      if (side === "parent") noteParent(tx, cluster, importing.ledger.position.revision);
      else noteChild(tx, cluster);
      if (known === undefined) {
        const hash = genesisHash(sha256, cluster, PARTITION, epoch.nonce);
        tx.write(key, ledgerLinkRow, { epoch, ancestors: [], cursor, hash, gap: null, marked: cursor, unmarked: 0 });
        beginLink(tx, link, hash, importing.ledger.position.revision);
      }
      return { kind: "snapshotTaken", cursor, more: false };
    }
    case "piece":
    case "end": {
      const { snapshot } = streamOf(tx, link);
      if (snapshot === null || snapshot.head.at !== step.at) {
        // The end came twice: it was proposed again when its first answer was lost.
        if (step.kind === "end" && snapshot === null && cursor >= step.at)
          return { kind: "snapshotTaken", cursor, more: false };
        return refuse("GAP", `no snapshot of revision ${step.at} is under way`);
      }
      // Of the epoch that wrote its revision (L3): a later one may have departed above it.
      const span = known === undefined ? null : spanAt(known, snapshot.head.at);
      const of = { ...command, epoch: span?.epoch ?? epoch };
      if (side === "parent" && step.kind === "end" && importing.handover.forgetSome(importing.authorOf))
        return { kind: "snapshotTaken", cursor, more: true };
      return step.kind === "end"
        ? end(importing, taker, of, snapshot, refuse)
        : take(importing, taker, of, snapshot, step.piece, refuse);
    }
    default:
      return unreachable(step);
  }
}

/** What comes up is a whole ledger, and tells nobody where keys are written; what comes down is of what we subscribe to. */
function headRefusal(side: ImportSnapshot["side"], { subscription, kept, homes }: SnapshotHead): string | null {
  if (side === "parent") return subscription === null ? "a snapshot of everything, from the parent" : null;
  return subscription === null && kept === null && homes.length === 0 ? null : "a parent's snapshot, from a child";
}

/** Null: it is begun, or goes on. */
function begin({ tx }: Importing, { link }: ImportSnapshot, head: SnapshotHead, cursor: Revision): string | null {
  const stream = streamOf(tx, link);
  if (isWhole(head) ? head.at < cursor : head.at !== cursor || isBetween(stream.snapshot))
    return `a snapshot of revision ${head.at}, the cursor is ${cursor}`;
  const ascending = head.origins.every(({ cluster }, i) => i === 0 || (head.origins[i - 1]?.cluster ?? "") < cluster);
  if (!ascending) return "origins out of order";
  // Told twice, it has its place already.
  if (stream.snapshot !== null && isSameHead(stream.snapshot.head, head)) return null;
  writeStream(tx, link, { ...stream, snapshot: { head, place: placeAt(sectionsOf(head), 0) } });
  return null;
}

const isBetween = (snapshot: SnapshotProgress | null): boolean => snapshot !== null && isWhole(snapshot.head);

const isSameHead = (a: SnapshotHead, b: SnapshotHead): boolean =>
  a.at === b.at &&
  equalBytes(a.hash, b.hash) &&
  (a.kept === null) === (b.kept === null) &&
  isSame(a.subscription, b.subscription) &&
  isSame(a.kept ?? NOTHING, b.kept ?? NOTHING) &&
  a.origins.length === b.origins.length &&
  a.origins.every(({ cluster }, i) => b.origins[i]?.cluster === cluster) &&
  a.homes.length === b.homes.length &&
  a.homes.every(({ prefix, owner }, i) => {
    const other = b.homes[i];
    return other !== undefined && equalBytes(other.prefix, prefix) && other.owner === owner;
  });

function take(
  importing: Importing,
  taker: Taker,
  command: ImportSnapshot,
  snapshot: SnapshotProgress,
  piece: SnapshotPiece,
  refuse: Refuse,
): CommandResult {
  const { tx } = importing;
  const { head, place } = snapshot;
  const sections = sectionsOf(head);
  const section = sections[piece.section];
  const after = placeAfter(sections, piece);
  const cursor = tx.read(ledgerLinkKey(command.link), ledgerLinkRow)?.cursor ?? revision(0);
  // It was taken, and its answer was lost.
  if (isPlace(place, after)) return { kind: "snapshotTaken", cursor, more: false };
  if (section === undefined || !continues(section, place, piece)) {
    return refuse("GAP", `a piece of section ${piece.section}, the snapshot is at ${place.section}`);
  }
  const wrong = pieceRefusal(section, piece);
  if (wrong !== null) return refuse(wrong.code, wrong.details);
  const taken =
    section.kind === "keys"
      ? takeKeys(importing, taker, command, head, section, place.from, piece)
      : takeDocuments(importing, taker, command, head, piece);
  if ("code" in taken) return refuse(taken.code, taken.details);
  const reached = taken.stoppedAt === null ? after : { section: place.section, from: taken.stoppedAt };
  writeStream(tx, command.link, { ...streamOf(tx, command.link), snapshot: { head, place: reached } });
  return { kind: "snapshotTaken", cursor, more: taken.stoppedAt !== null };
}

const isPlace = (a: SnapshotPlace, b: SnapshotPlace): boolean => a.section === b.section && equalBytes(a.from, b.from);

/** A piece of keys may have been taken in part. */
function continues(section: SnapshotSection, place: SnapshotPlace, { section: at, from, to }: SnapshotPiece): boolean {
  if (at !== place.section) return false;
  if (section.kind !== "keys") return equalBytes(from, place.from);
  const end = to ?? section.to;
  return compareBytes(from, place.from) <= 0 && (end === null || compareBytes(place.from, end) < 0);
}

function pieceRefusal(
  section: SnapshotSection,
  { from, to, rows, documents }: SnapshotPiece,
): { readonly code: ErrorCode; readonly details: string } | null {
  const malformed = (details: string) => ({ code: "MALFORMED_FRAME", details }) as const;
  // What differs is one record, with the deletes beside it.
  const bytes = pieceBytes(rows, documents);
  if (bytes > SNAPSHOT_ROWS_BYTES_MAX) return malformed(`a piece of ${bytes} bytes`);
  if (documents.reduce((sum, { changes }) => sum + changes.length, 0) > SNAPSHOT_ROWS_MAX)
    return malformed(`more than ${SNAPSHOT_ROWS_MAX} changes in a piece`);
  if (section.kind !== "keys") {
    if (rows.length > 0) return malformed("keys among documents");
    for (const { collection, document, changes } of documents) {
      const wrong = nameRefusal(collection, document) ?? changes.map(changeRefusal).find((one) => one !== null) ?? null;
      if (wrong !== null) return wrong;
      if (section.kind === "named" || (section.collection !== null && collection !== section.collection))
        return malformed("another collection");
    }
    return null;
  }
  if (documents.length > 0) return malformed("documents among keys");
  const end = to ?? section.to;
  if (section.to !== null && to !== null && compareBytes(to, section.to) > 0)
    return malformed("a piece beyond its section");
  for (const [i, { key, value }] of rows.entries()) {
    const wrong = keyRefusal(key) ?? valueRefusal(value);
    if (wrong !== null) return wrong;
    const before = rows[i - 1]?.key;
    const ordered = before === undefined ? compareBytes(from, key) <= 0 : compareBytes(before, key) < 0;
    if (!ordered || (end !== null && compareBytes(key, end) >= 0)) return malformed("rows out of order");
  }
  return null;
}

const pieceBytes = (rows: SnapshotPiece["rows"], documents: SnapshotPiece["documents"]): number =>
  rows.reduce((sum, { key, value }) => sum + key.length + value.length, 0) +
  documents.reduce((sum, { changes }) => changes.reduce((all, { bytes }) => all + bytes.length, sum), 0);

/** Null: the whole piece was taken. */
interface Taken {
  readonly stoppedAt: Uint8Array | null;
}

function takeKeys(
  importing: Importing,
  taker: Taker,
  command: ImportSnapshot,
  head: SnapshotHead,
  section: Extract<SnapshotSection, { kind: "keys" }>,
  from: Uint8Array,
  piece: SnapshotPiece,
): Taken {
  const { tx } = importing;
  const origin = originOfSection(importing, command, head, section.origin);
  if (origin === null) return { stoppedAt: null };
  const end = piece.to ?? section.to;
  const range = keyRange(origin.cluster, from, end);
  const held = tx.scan(range.from, range.to, keyRow, HELD_ROWS_MAX).map(({ key }) => keyOfRow(origin.cluster, key));
  const last = held.length < HELD_ROWS_MAX ? undefined : held.at(-1);
  const stop = last === undefined ? null : keyAfter(last);
  const isIn = (key: Uint8Array): boolean =>
    compareBytes(from, key) <= 0 && (stop === null || compareBytes(key, stop) < 0);
  const rows = piece.rows.filter(({ key }) => isIn(key));
  const sent = new Set(rows.map(({ key }) => keyName(key)));
  const deletes = held.filter((key) => !sent.has(keyName(key))).map((key) => ({ kind: "delete", key }) as const);
  const puts = rows.map(
    ({ key, value, createRevision, modRevision, version }) =>
      ({
        kind: "put",
        key,
        value,
        lease: null,
        numbers: { createRevision, modRevision, version },
        encryption: null,
      }) as const,
  );
  const events: LedgerEvent[] = [...deletes, ...puts].filter((event) =>
    mirrorKey(tx, origin.cluster, event, origin.revision),
  );
  tell(importing, taker, command, origin, events, section.home);
  return { stoppedAt: stop !== null && (end === null || compareBytes(stop, end) < 0) ? stop : null };
}

/**
 * Whose keys a section holds here, and as of which of that origin's revisions. Null: they are ours, or another link brings
 * them, which knows them better. The mark of an origin is left alone: later records of it are on their way.
 */
function originOfSection(
  { tx, cluster: ours }: Importing,
  { side, link, cluster, epoch }: ImportSnapshot,
  head: SnapshotHead,
  origin: ClusterId | null,
): Origin | null {
  if (origin === null) return { cluster, epoch: epoch.nonce, revision: head.at };
  const seen = head.origins.find((one) => one.cluster === origin);
  if (seen === undefined || origin === ours || origin === cluster) return null;
  const mark = markOf(tx, seen);
  if (mark === undefined ? isToldBetter(tx, side, cluster, origin) : mark.link !== link) return null;
  return { ...seen, revision: mark?.mark ?? revision(0) };
}

/** Documents merge: what is here stays (they have no home), and what is new joins. */
function takeDocuments(
  importing: Importing,
  taker: Taker,
  command: ImportSnapshot,
  head: SnapshotHead,
  { documents }: SnapshotPiece,
): Taken | { readonly code: ErrorCode; readonly details: string } {
  const { tx, ledger } = importing;
  const all = documents.flatMap(({ collection, document, changes }) =>
    changes.map((change): LedgerEvent => ({ kind: "change", collection, document, change, encryption: null })),
  );
  const plans = planDocuments(tx, all);
  const full = plans.find(({ plan }) => overPending(plan));
  if (full !== undefined) {
    const { pending } = full.plan.before;
    return { code: "OVERLOADED", details: `${full.name} holds ${pending} changes whose dependencies are missing` };
  }
  const fresh = new Set(plans.flatMap(({ plan }) => plan.fresh));
  const events = all.filter((event) => event.kind === "change" && fresh.delete(event.change));
  for (const { plan } of plans) if (plan.fresh.length > 0) carryOut(tx, plan, ledger.next);
  tell(
    importing,
    taker,
    command,
    { cluster: command.cluster, epoch: command.epoch.nonce, revision: head.at },
    events,
    "site",
  );
  return { stoppedAt: null };
}

function tell(
  { ledger, salt }: Importing,
  { principal, time }: Taker,
  { link }: ImportSnapshot,
  origin: Origin,
  events: readonly LedgerEvent[],
  home: "site" | "hub",
): void {
  if (events.length > 0) ledger.replace({ principal, time, salt }, { origin, link }, events, home);
}

/**
 * The homes that the sender tells of are ours from here on, as if its records had told (Q3); the content that is read
 * there is here by now.
 */
function takeHomes(importing: Importing, taker: Taker, command: ImportSnapshot, head: SnapshotHead): void {
  const { tx, handover, commands, authorOf } = importing;
  const { cluster, epoch } = command;
  const known = homesOf(tx).rows.filter(({ home, owner }) => home === "hub" && owner !== null);
  const step = (prefix: Uint8Array, told: HomeEvent["step"]): HomeEvent => ({ kind: "home", prefix, step: told });
  const declare = (home: "site" | "hub", owner: ClusterId | null) =>
    ({ kind: "declare", home, owner, waiting: [] }) as const;
  const gone = known.filter(({ prefix }) => !head.homes.some((one) => equalBytes(one.prefix, prefix)));
  const steps = [
    ...gone.map(({ prefix }) => step(prefix, declare("site", null))),
    ...head.homes.flatMap(({ prefix, owner, open }) => {
      const ours = known.find((one) => equalBytes(one.prefix, prefix));
      // Open here, and not there: it has moved away and back meanwhile, and waits for us.
      const isSame = ours?.owner === (owner ?? cluster) && (open || !ours.open);
      const told = isSame ? [] : [step(prefix, declare("hub", owner))];
      return open && !(isSame && ours?.open === true) ? [...told, step(prefix, { kind: "open" })] : told;
    }),
  ];
  // The answers that would have come with the records did not.
  noteUnsure(tx, importing.ledger.position.revision);
  for (const event of steps) {
    // A record each: what follows from a step stands behind it and before the next one, for a replay, too (L2).
    tell(importing, taker, command, { cluster, epoch: epoch.nonce, revision: head.at }, [event], "site");
    handover.fromParent(authorOf, { cluster, revision: head.at }, event);
  }
  commands.tellResults(authorOf(`cluster:${importing.cluster}`));
}

function end(
  importing: Importing,
  taker: Taker,
  command: ImportSnapshot,
  { head, place }: SnapshotProgress,
  refuse: Refuse,
): CommandResult {
  const { tx, ledger } = importing;
  const { link, cluster, epoch } = command;
  const { time } = taker;
  const left = sectionsOf(head).length - place.section;
  if (left > 0) return refuse("GAP", `${left} sections of the snapshot did not come`);
  const known = tx.read(ledgerLinkKey(link), ledgerLinkRow);
  if (known !== undefined && isWhole(head)) {
    // A site's ledger comes whole, but for what it shed; a parent's comes as it is subscribed to.
    if (head.subscription === null && head.at > known.cursor)
      noteShed(tx, link, { from: revision(known.cursor + 1), to: head.at, time, told: true });
    const reason = head.subscription === null ? "shed" : "snapshot";
    const { revision: at, compacted } = ledger.position;
    const row =
      head.at > known.cursor
        ? noteGap(tx, link, known, { to: head.at, hash: head.hash, reason, at }, compacted)
        : known;
    tx.write(ledgerLinkKey(link), ledgerLinkRow, row);
    raiseMark(tx, { cluster, epoch: epoch.nonce, revision: head.at }, link, at, null);
    // Of a parent, as only that one's are told.
    if (head.subscription !== null) takeHomes(importing, taker, command, head);
  }
  writeStream(tx, link, { held: head.subscription ?? NOTHING, snapshot: null });
  return { kind: "snapshotTaken", cursor: head.at, more: importing.handover.isForgetting };
}

const keyName = (key: Uint8Array): string => Reflect.apply(String.fromCharCode, null, key);
