/** L2, L4, L5: what a cluster mirrors of another is the other's ledger, in order, each revision once and unaltered. */
import { toHex } from "@openclaw/core/bytes.ts";
import type { LedgerEvent, LedgerRecord } from "@openclaw/core/ledger/record.ts";
import { decodeRecord } from "@openclaw/core/ledger/record-codec.ts";
import type { StoredRecord } from "@openclaw/core/ports.ts";

export interface Side {
  readonly cluster: string;
  readonly ledger: readonly StoredRecord[];
}

/** @param cursor the last revision of the child that the parent took: nothing up to it may be missing */
export function upFaults(child: Side, parent: Side, cursor: number): readonly string[] {
  const taken = records(parent);
  const known = new Set(taken.flatMap(changes));
  const mirrored = new Set(taken.filter((record) => isFrom(record, child)).map(({ origin }) => origin?.revision));
  const missing = records(child).filter((record) => {
    if (record.revision > cursor || record.link === parent.cluster || mirrored.has(record.revision)) return false;
    // Of changes that came another way, nothing is left to take.
    return !changes(record).every((hash) => known.has(hash)) || record.events.some(({ kind }) => kind !== "change");
  });
  return [
    ...mirrorFaults(child, parent),
    ...missing.map(({ revision }) => `${parent.cluster} lacks revision ${revision} of ${child.cluster}`),
  ];
}

/** Whatever `mirror` has of `source` is in order, once, and as it was written. */
export function mirrorFaults(source: Side, mirror: Side): readonly string[] {
  const faults: string[] = [];
  const originals = records(source);
  let last = 0;
  for (const record of records(mirror)) {
    if (!isFrom(record, source)) continue;
    const at = record.origin?.revision ?? 0;
    if (at <= last) faults.push(`${mirror.cluster} took revision ${at} of ${source.cluster} after ${last}`);
    last = at;
    const original = originals[at - 1];
    if (original === undefined || !covers(original, record)) {
      faults.push(`${mirror.cluster}'s revision ${record.revision} is not ${source.cluster}'s ${at}`);
    }
  }
  return faults;
}

const records = ({ ledger }: Side): readonly LedgerRecord[] => ledger.map(({ record }) => decodeRecord(record));

const isFrom = ({ origin }: LedgerRecord, { cluster }: Side): boolean => origin?.cluster === cluster;

const changes = ({ events }: LedgerRecord): readonly string[] =>
  events.flatMap((event) => (event.kind === "change" ? [event.change.hash] : []));

/** What is of the original, in its order, and nothing else: what changed nothing at the mirror is not told there. */
export function covers(original: LedgerRecord, mirrored: LedgerRecord): boolean {
  const own = new Set(changes(original));
  const written = others(original);
  let next = 0;
  const follows = (event: string): boolean => {
    next = written.indexOf(event, next) + 1;
    return next > 0;
  };
  return (
    original.principal === mirrored.principal &&
    original.time === mirrored.time &&
    others(mirrored).every(follows) &&
    changes(mirrored).every((hash) => own.has(hash))
  );
}

/** All but changes. */
const others = ({ events }: LedgerRecord): readonly string[] =>
  events.flatMap((event) => (event.kind === "change" ? [] : [shown(event)]));

const shown = (event: LedgerEvent): string =>
  JSON.stringify(event, (name, value: unknown) =>
    value instanceof Uint8Array ? toHex(value) : name === "lease" ? null : value,
  );
