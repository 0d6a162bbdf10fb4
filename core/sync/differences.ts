/**
 * What was taken of a life of another cluster above a revision, and what its mirror was there: what an operator is shown
 * before the link follows another life, and what undoes it (L3). Documents merge, so their changes stay.
 */
import { equalBytes, toHex } from "../bytes.ts";
import { OpenClawError } from "../errors.ts";
import type { ClusterId, Lineage, Revision } from "../ids.ts";
import { revision } from "../ids.ts";
import { type Span, spansOf } from "../ledger/lineage.ts";
import { isKeyEvent, type KeyEvent, type LedgerRecord } from "../ledger/record.ts";
import { decodeRecord } from "../ledger/record-codec.ts";
import { BATCH_BYTES_MAX, EVENTS_MAX } from "../limits.ts";
import type { Replica } from "../replica.ts";
import type { KeyValue } from "../state-machine/operation.ts";

/** Bytes of keys and values that one decision puts back. */
const CHANGES_BYTES_MAX = 3_932_160;
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
  /** What makes of the mirror what it was at the revision. */
  readonly changes: readonly KeyEvent[];
}

/**
 * Reads all of our ledger that is kept.
 * @param life what is left: what was taken of a life that was left before is undone already, though its epoch may be one of these
 * @throws OpenClawError COMPACTED where the past that is to be put back is no longer kept; TXN_TOO_LARGE where more keys
 * differ than one decision puts back
 */
export async function differencesAbove(
  source: DifferenceSource,
  cluster: ClusterId,
  life: Lineage,
  above: Revision,
): Promise<Differences> {
  const { revision: end, compacted } = source.position();
  const spans = new Map(spansOf(life).map((span) => [span.epoch.nonce, span]));
  const listed: TakenRevision[] = [];
  const keys = new Map<string, Uint8Array>();
  let revisions = 0;
  let before: Revision | null = null;
  for (let next = Math.max(1, compacted); next <= end; ) {
    const { records } = await source.ledger(revision(next), BATCH_BYTES_MAX);
    if (records.length === 0) break;
    for (const stored of records) {
      next = stored.revision + 1;
      const record = decodeRecord(stored.record);
      const { origin } = record;
      if (origin === null || origin.cluster !== cluster || origin.revision <= above) continue;
      if (!isWithin(spans.get(origin.epoch), origin.revision)) continue;
      before ??= revision(stored.revision - 1);
      revisions++;
      if (listed.length < LISTED_MAX) listed.push(takenRevision(record, origin.revision));
      for (const event of record.events) if (isKeyEvent(event)) keys.set(toHex(event.key), event.key);
    }
  }
  const changes = before === null ? [] : await changesBack(source, cluster, [...keys.values()], before);
  return { revisions, listed, changes };
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

async function changesBack(
  source: DifferenceSource,
  origin: ClusterId,
  keys: readonly Uint8Array[],
  before: Revision,
): Promise<readonly KeyEvent[]> {
  const changes: KeyEvent[] = [];
  let bytes = 0;
  for (const key of keys) {
    // At revision 0 nothing stood; a history begins at 1.
    const was = before === 0 ? null : (await source.history({ kind: "get", origin, key, at: before })).row;
    const { row: is } = await source.read({ kind: "get", origin, key });
    if (was === null && is === null) continue;
    if (was !== null && is !== null && isSame(was, is)) continue;
    changes.push(
      was === null
        ? { kind: "delete", key }
        : { kind: "put", key, value: was.value, lease: null, numbers: numbersOf(was), encryption: null },
    );
    bytes += key.length + (was?.value.length ?? 0);
    if (changes.length > EVENTS_MAX || bytes > CHANGES_BYTES_MAX)
      throw new OpenClawError("TXN_TOO_LARGE", `more than ${EVENTS_MAX} keys, or 3.75 MiB, of ${origin} differ`);
  }
  return changes;
}
