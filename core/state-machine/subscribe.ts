/**
 * A change of what a link's stream is subscribed to (S4), at the receiver. What is not wanted any more is deleted here, by
 * the receiver alone: a few rows a command, in marked records. What is wanted in addition, the parent sends as a snapshot.
 */
import type { ClusterId, Origin } from "../ids.ts";
import { revision } from "../ids.ts";
import type { LedgerEvent } from "../ledger/record.ts";
import { common, hasNoKeys, isSame, type KeyInterval, scopeOf, together, without } from "../ledger/scope.ts";
import { isWhole, type StreamState } from "../ledger/snapshot.ts";
import { scopeOfHomes } from "../ledger/snapshot-sections.ts";
import { NOTHING, type Subscription } from "../ledger/subscription.ts";
import type { CommandResult, SystemCommand } from "./command.ts";
import { homesOf } from "./homes.ts";
import { keyRow, mirrorKey } from "./key-rows.ts";
import { keyOfRow, keyRange, ledgerLinkKey, ORIGIN_MARKS } from "./keyspace.ts";
import type { Importing } from "./ledger-imports.ts";
import { ledgerLinkRow, markRow } from "./link-rows.ts";
import { newestMarks } from "./origins.ts";
import type { Taker } from "./snapshot-imports.ts";
import { awaiting, streamOf, writeStream } from "./stream-rows.ts";

export type Subscribe = Extract<SystemCommand, { kind: "subscribe" }>;

/** Rows deleted by one command. */
const ROWS_MAX = 512;

/** What the stream is of once it is subscribed to that, and nothing that is not wanted is left. */
function subscribed(stream: StreamState, wanted: Subscription, begun: boolean): StreamState {
  const { held, snapshot } = stream;
  if (snapshot !== null && isSame(snapshot.head.subscription, wanted)) return stream;
  // What was half replaced is of no revision, nor are the homes told: all of it has to come again.
  if (snapshot !== null && isWhole(snapshot.head)) return awaiting(wanted);
  return { held: begun ? common(held, wanted) : wanted, snapshot: null };
}

/** What the stream may have brought, and is not wanted. */
const unwanted = ({ held, snapshot }: StreamState, wanted: Subscription) =>
  without(together(scopeOf(held), scopeOf(snapshot === null ? NOTHING : snapshot.head.subscription)), scopeOf(wanted));

/** True if `subscribe` would change nothing. @param begun something came over the link */
export const isSubscribed = (stream: StreamState, wanted: Subscription, begun: boolean): boolean => {
  const next = subscribed(stream, wanted, begun);
  return next.snapshot === stream.snapshot && isSame(next.held, stream.held) && hasNoKeys(unwanted(stream, wanted));
};

export function subscribe(importing: Importing, taker: Taker, command: Subscribe): CommandResult {
  const { tx } = importing;
  const { link, subscription } = command;
  const known = tx.read(ledgerLinkKey(link), ledgerLinkRow);
  const cursor = known?.cursor ?? revision(0);
  const stream = streamOf(tx, link);
  if (known !== undefined) {
    const gone = unwanted(stream, subscription);
    const { rows } = homesOf(tx);
    // What every child has, whatever it subscribes to, stays (Q3).
    const left = (intervals: readonly KeyInterval[], owner: ClusterId) => {
      const homes = scopeOfHomes(rows, owner);
      return without({ ...homes, own: intervals }, homes).own;
    };
    const own = { cluster: command.cluster, epoch: known.epoch.nonce, revision: cursor };
    let room = deleteFrom(importing, taker, command, own, left(gone.own, own.cluster), ROWS_MAX);
    if (gone.mirrored.length > 0)
      for (const origin of broughtBy(importing, command))
        if (room > 0) room = deleteFrom(importing, taker, command, origin, left(gone.mirrored, origin.cluster), room);
    if (room <= 0) return { kind: "snapshotTaken", cursor, more: true };
  }
  writeStream(tx, link, subscribed(stream, subscription, cursor > 0));
  return { kind: "snapshotTaken", cursor, more: false };
}

/** @returns how many more rows may be deleted */
function deleteFrom(
  { tx, ledger, salt }: Importing,
  { principal, time }: Taker,
  { link }: Subscribe,
  origin: Origin,
  intervals: readonly KeyInterval[],
  room: number,
): number {
  const events: LedgerEvent[] = [];
  for (const { from, to } of intervals) {
    const range = keyRange(origin.cluster, from, to);
    for (const { key } of tx.scan(range.from, range.to, keyRow, room - events.length))
      events.push({ kind: "delete", key: keyOfRow(origin.cluster, key) });
    if (events.length >= room) break;
  }
  for (const event of events) if (event.kind === "delete") mirrorKey(tx, origin.cluster, event, origin.revision);
  if (events.length > 0) ledger.replace({ principal, time, salt }, { origin, link }, events, "site");
  return room - events.length;
}

/** The origins whose mirrors the link brings, each as of its mark. */
const broughtBy = ({ tx, cluster: ours }: Importing, { link, cluster: sender }: Subscribe): Origin[] =>
  newestMarks(tx.rows(ORIGIN_MARKS.from, ORIGIN_MARKS.to, markRow))
    .filter((origin) => origin.link === link && origin.cluster !== ours && origin.cluster !== sender)
    .map(({ cluster, epoch, mark }) => ({ cluster, epoch, revision: mark }));
