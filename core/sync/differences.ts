/**
 * What was taken of a life of another cluster above a revision, and what its mirror was there: what an operator is shown
 * before the link follows another life, and what undoes it (L3). Documents merge, so their changes stay.
 */
import { equalBytes, toHex } from "../bytes.ts";
import { OpenClawError } from "../errors.ts";
import type { ClusterId, Origin, Revision } from "../ids.ts";
import { linkOfCluster, revision } from "../ids.ts";
import { leafHash } from "../ledger/chain.ts";
import { type Span, spansOf } from "../ledger/lineage.ts";
import type { Held } from "../ledger/lives.ts";
import { originalOf } from "../ledger/original.ts";
import { isKeyEvent, type KeyEvent, type LedgerRecord } from "../ledger/record.ts";
import { decodeRecord } from "../ledger/record-codec.ts";
import type { Witness } from "../ledger/witness.ts";
import { BATCH_BYTES_MAX, EVENTS_MAX, RECORD_BYTES_MAX } from "../limits.ts";
import type { Sha256 } from "../ports.ts";
import type { Replica } from "../replica.ts";
import type { KeyValue } from "../state-machine/operation.ts";

/** What an event adds at most to its key and value in a record. */
const EVENT_OVERHEAD_BYTES = 64;
/** Bytes of the sender's ledger that are looked through at once for what is compacted. */
const LOOK_BYTES = 65_536;
/** Revisions that are listed one by one; all are counted. */
const LISTED_MAX = 1_000;

export type DifferenceSource = Pick<Replica, "ledger" | "history" | "read" | "position">;

/** A revision that was taken. */
export interface TakenRevision {
  /** Of the life. */
  readonly revision: Revision;
  /** Of our ledger. */
  readonly here: Revision;
  readonly time: number;
  readonly principal: string;
  readonly puts: readonly Uint8Array[];
  readonly deletes: readonly Uint8Array[];
  /** `collection/document`, once for each change. */
  readonly documents: readonly string[];
}

export interface Differences {
  /** All that was taken of the life above the revision. */
  readonly revisions: number;
  /** The first of them; at most 1,000. */
  readonly listed: readonly TakenRevision[];
  /**
   * What makes of the mirror what it was at the revision; null: too much for one decision, or that is no longer kept here, or
   * homes moved since (Q3), which only the life that is followed can tell.
   */
  readonly changes: readonly KeyEvent[] | null;
  /** The last record of its cluster's that is here at or below the revision: the other life has it, too. */
  readonly kept: Witness | null;
}

/**
 * Reads all of our ledger that is kept.
 * @param life what is left: what was taken of a life that was left before is undone already, though its epoch may be one of these
 */
export async function differencesAbove(
  source: DifferenceSource,
  sha256: Sha256,
  cluster: ClusterId,
  life: Held,
  above: Revision,
): Promise<Differences> {
  const { revision: end, compacted } = source.position();
  const spans = new Map(spansOf(life).map((span) => [span.epoch.nonce, span]));
  const listed: TakenRevision[] = [];
  const keys = new Map<string, Uint8Array>();
  let revisions = 0;
  let homesMoved = false;
  let before: Revision | null = null;
  let last: { readonly origin: Origin; readonly bytes: Uint8Array } | null = null;
  for (let next = Math.max(1, compacted); next <= end; ) {
    const { records } = await source.ledger(revision(next), BATCH_BYTES_MAX);
    if (records.length === 0) break;
    for (const stored of records) {
      next = stored.revision + 1;
      const record = decodeRecord(stored.record);
      const { origin } = record;
      if (origin === null || origin.cluster !== cluster) continue;
      if (!isWithin(spans.get(origin.epoch), origin.revision)) continue;
      if (origin.revision <= above) {
        if (origin.revision > (last?.origin.revision ?? 0)) last = { origin, bytes: stored.record };
        continue;
      }
      before ??= revision(stored.revision - 1);
      revisions++;
      if (listed.length < LISTED_MAX) listed.push(takenRevision(record, origin.revision));
      for (const event of record.events) if (isKeyEvent(event)) keys.set(toHex(event.key), event.key);
      homesMoved ||= record.events.some((event) => event.kind === "home" && event.step.kind !== "release");
    }
  }
  const isAll = !homesMoved && (life.cursor <= above || (await isKept(source, cluster, above, life.cursor)));
  const changes = !isAll ? null : before === null ? [] : await changesBack(source, cluster, [...keys.values()], before);
  return { revisions, listed, changes, kept: last === null ? null : witnessIn(sha256, last.origin, last.bytes) };
}

function witnessIn(sha256: Sha256, { epoch, revision: at }: Origin, bytes: Uint8Array): Witness | null {
  const original = originalOf(bytes);
  return original === null ? null : { epoch, revision: at, leaf: leafHash(sha256, original) };
}

const isWithin = (span: Span | undefined, at: Revision): boolean =>
  span !== undefined && span.after < at && (span.to === null || at <= span.to);

function takenRevision({ revision: here, time, principal, events }: LedgerRecord, at: Revision): TakenRevision {
  const keysOf = (kind: "put" | "delete"): readonly Uint8Array[] =>
    events.flatMap((event) => (event.kind === kind ? [event.key] : []));
  const documents = events.flatMap((event) =>
    event.kind === "change" ? [`${event.collection}/${event.document}`] : [],
  );
  return { revision: at, here, time, principal, puts: keysOf("put"), deletes: keysOf("delete"), documents };
}

const numbersOf = ({ createRevision, modRevision, version }: KeyValue) => ({ createRevision, modRevision, version });

const isSame = (was: KeyValue, is: KeyValue): boolean =>
  was.modRevision === is.modRevision &&
  was.createRevision === is.createRevision &&
  was.version === is.version &&
  equalBytes(was.value, is.value);

async function rowAt(
  source: DifferenceSource,
  origin: ClusterId,
  key: Uint8Array,
  at: Revision,
): Promise<KeyValue | null | "compacted"> {
  try {
    return (await source.history({ kind: "get", origin, key, at })).row;
  } catch (error) {
    if (error instanceof OpenClawError && error.code === "COMPACTED") return "compacted";
    throw error;
  }
}

/** True if every record is kept here that tells what the cluster's link brought above the revision, up to `taken`. */
async function isKept(
  source: DifferenceSource,
  cluster: ClusterId,
  above: Revision,
  taken: Revision,
): Promise<boolean> {
  if (source.position().compacted <= 1) return true;
  const link = linkOfCluster(cluster);
  for (let next = above + 1; ; ) {
    const { link: at, items } = await source.history({
      kind: "mirror",
      link,
      from: revision(next),
      bytes: LOOK_BYTES,
    });
    for (const item of items) {
      // The first that is kept: so are those behind it.
      if (item.kind === "body") return true;
      // What a snapshot changed stands in records of ours that nothing here names.
      if (item.reason === "compacted" || item.reason === "snapshot" || item.reason === "shed") return false;
      next = item.to + 1;
    }
    if (items.length === 0 || at === null || next > at.cursor) return at !== null && at.cursor >= taken;
  }
}

async function changesBack(
  source: DifferenceSource,
  origin: ClusterId,
  keys: readonly Uint8Array[],
  before: Revision,
): Promise<readonly KeyEvent[] | null> {
  const changes: KeyEvent[] = [];
  let bytes = 0;
  for (const key of keys) {
    // At revision 0 nothing stood; a history begins at 1.
    const was = before === 0 ? null : await rowAt(source, origin, key, before);
    if (was === "compacted") return null;
    const { row: is } = await source.read({ kind: "get", origin, key });
    if (was === null && is === null) continue;
    if (was !== null && is !== null && isSame(was, is)) continue;
    changes.push(
      was === null
        ? { kind: "delete", key }
        : { kind: "put", key, value: was.value, lease: null, numbers: numbersOf(was), encryption: null },
    );
    bytes += EVENT_OVERHEAD_BYTES + key.length + (was?.value.length ?? 0);
    if (changes.length > EVENTS_MAX || bytes > RECORD_BYTES_MAX) return null;
  }
  return changes;
}
