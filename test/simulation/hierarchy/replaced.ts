/**
 * In the stead of which revisions a snapshot came (S4), written down as it is taken. What a life took so, one that is
 * restored from its backup has without a word of the link, and takes no more (L4); and the disk of a life that ended tells
 * of it only up to its last checkpoint, if at all.
 */
import { equalBytes } from "@openclaw/core/bytes.ts";
import { type Epoch, linkOfCluster, revision } from "@openclaw/core/ids.ts";
import type { GapReason } from "@openclaw/core/ledger/gap.ts";
import { isWhole } from "@openclaw/core/ledger/snapshot.ts";
import type { StoredRecord } from "@openclaw/core/ports.ts";
import { boundsOfGap, linkGapsRange, streamKey } from "@openclaw/core/state-machine/keyspace.ts";
import { gapRow } from "@openclaw/core/state-machine/link-gaps.ts";
import { rowsOf } from "@openclaw/core/state-machine/row-pages.ts";
import { streamRow } from "@openclaw/core/state-machine/stream-rows.ts";
import type { StateView } from "@openclaw/core/state-machine/view.ts";
import { clusterOf } from "./restore.ts";

type Ledger = readonly StoredRecord[];

export interface ReplacedRun {
  /** Of the sender's ledger. */
  readonly from: number;
  readonly to: number;
  /** The sender's hash at `to`. */
  readonly hash: Uint8Array;
  /** The receiver's last revision then: whoever has less than that has nothing of it. */
  readonly at: number;
}

/** What stands of a link. */
interface Standing {
  readonly cursor: number;
  readonly epoch: Epoch;
}

interface Noted {
  readonly cursor: number;
  readonly epoch: string;
  readonly runs: readonly ReplacedRun[];
}

/** One that is joined to what is compacted here may have been a snapshot's within the same step (L2). */
const REPLACED: ReadonlySet<GapReason> = new Set(["snapshot", "shed", "compacted"]);

/** What one life took so, by sender. */
export class ReplacedRuns {
  readonly #noted = new Map<string, Noted>();

  /** @param view of the newest state @param at our last revision there */
  note(view: StateView, sender: string, { cursor, epoch }: Standing, at: number): void {
    const noted = this.#noted.get(sender);
    // Into another epoch the cursor may have gone back (L3).
    const since = noted?.epoch === epoch.nonce ? noted.cursor : 0;
    const seen = [...underWay(view, sender, cursor, at), ...gapsBehind(view, sender, since)];
    const fresh = seen.filter((run) => noted?.runs.some((known) => isSame(known, run)) !== true);
    this.#noted.set(sender, { cursor, epoch: epoch.nonce, runs: [...(noted?.runs ?? []), ...fresh] });
  }

  of(sender: string): readonly ReplacedRun[] {
    return this.#noted.get(sender)?.runs ?? [];
  }
}

const isSame = (a: ReplacedRun, b: ReplacedRun): boolean =>
  a.from === b.from && a.to === b.to && equalBytes(a.hash, b.hash);

/** A backup may have a part of it, and of the rest what is the same in the records that come again. */
function underWay(view: StateView, sender: string, cursor: number, at: number): readonly ReplacedRun[] {
  const bytes = view.get(streamKey(linkOfCluster(clusterOf(sender))));
  const head = bytes === undefined ? undefined : streamRow.decode(bytes).snapshot?.head;
  if (head === undefined || !isWhole(head) || head.at <= cursor) return [];
  return [{ from: cursor + 1, to: head.at, hash: head.hash, at }];
}

function gapsBehind(view: StateView, sender: string, since: number): readonly ReplacedRun[] {
  const range = linkGapsRange(linkOfCluster(clusterOf(sender)), revision(since + 1));
  return [...rowsOf(view, range.from, range.to)].flatMap(({ key, value }) => {
    const { reason, hash, at } = gapRow.decode(value);
    const { from, to } = boundsOfGap(key);
    return REPLACED.has(reason) ? [{ from: Math.max(from, since + 1), to, hash, at }] : [];
  });
}

export interface Receivers {
  /** What took snapshots: all lives of the receiver. */
  readonly lives: readonly { readonly ledger: Ledger; readonly runs: readonly ReplacedRun[] }[];
  /** Of the life that is looked at. */
  readonly ledger: Ledger;
}

export interface Senders {
  readonly lives: readonly Ledger[];
  /** Of the life that is looked at. */
  readonly ledger: Ledger;
}

/**
 * True of a revision of that sender's life in whose stead that receiver's has a snapshot, its own or of a life whose ledger
 * it goes on from, behind that snapshot. What two lives of the sender wrote apart does not stand for each other.
 */
export function replacedFor({ lives, ledger }: Receivers, senders: Senders): (revision: number) => boolean {
  const runs = lives.flatMap((life) => life.runs.filter(({ at }) => isShared(life.ledger, ledger, at)));
  const written = runs.flatMap((run) => {
    const writer = senders.lives.find((life) => hasHash(life, run.to, run.hash));
    return writer === undefined ? [] : [{ ...run, writer }];
  });
  return (at) => written.some(({ from, to, writer }) => from <= at && at <= to && isShared(writer, senders.ledger, at));
}

/** The chain of hashes says so of all that is before, too (L2). */
const isShared = (one: Ledger, other: Ledger, at: number): boolean => {
  const own = one[at - 1];
  return at === 0 || (own !== undefined && hasHash(other, at, own.hash));
};

const hasHash = (ledger: Ledger, at: number, hash: Uint8Array): boolean => {
  const own = ledger[at - 1];
  return own !== undefined && equalBytes(own.hash, hash);
};
