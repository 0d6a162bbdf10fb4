/** Which revision a restore is to (T2). */
import { OpenClawError } from "@openclaw/core/errors.ts";
import { decodeRecord } from "@openclaw/core/ledger/record-codec.ts";
import type { StoredRecord } from "@openclaw/core/ports.ts";
import { wallTimeOf } from "../wall-time.ts";

export type At =
  | { readonly kind: "latest" }
  | { readonly kind: "revision"; readonly revision: number }
  /** Ms since 1970. */
  | { readonly kind: "time"; readonly time: number };

export interface Moment {
  readonly revision: number;
  /** Wall time that it is stamped with; an annotation (T1). */
  readonly time: number;
  /** Revisions before it that are stamped after the time asked for: clocks went back, or a site was offline. */
  readonly ambiguous: { readonly count: number; readonly first: number; readonly last: number } | null;
}

/** A revision, a time of RFC 3339, or `latest`. @throws OpenClawError BAD_REQUEST */
export function parseAt(text: string): At {
  if (text === "latest") return { kind: "latest" };
  if (/^\d{1,15}$/.test(text)) return { kind: "revision", revision: Number(text) };
  const time = wallTimeOf(text);
  if (Number.isNaN(time))
    throw new OpenClawError("BAD_REQUEST", `${text} is no revision and no time such as 2026-03-01T12:00:00Z`);
  return { kind: "time", time };
}

/**
 * The last revision stamped at or before a time, or the revision asked for.
 * @param records all of them from the first on
 * @throws OpenClawError BAD_REQUEST when there is no such revision, or the time is before the first event
 */
export async function momentOf(at: At, records: AsyncIterable<StoredRecord>): Promise<Moment> {
  const until = at.kind === "time" ? at.time : Number.POSITIVE_INFINITY;
  let found: Moment | null = null;
  let earliest = Number.POSITIVE_INFINITY;
  let last = 0;
  // Stamped later than asked for, so far; of them those count that something stamped earlier follows.
  const later = { count: 0, first: 0, last: 0 };
  for await (const { revision, record } of records) {
    last = revision;
    if (at.kind === "revision" && revision > at.revision) break;
    const { time } = decodeRecord(record);
    earliest = Math.min(earliest, time);
    if (time <= until) {
      found = { revision, time, ambiguous: later.count === 0 ? null : { ...later } };
      continue;
    }
    if (later.count === 0) later.first = revision;
    later.count++;
    later.last = revision;
  }
  if (at.kind === "revision" && (at.revision < 1 || at.revision > last))
    throw new OpenClawError("BAD_REQUEST", `the backup holds revisions 1 to ${last}, not ${at.revision}`);
  if (found === null) {
    if (last === 0) throw new OpenClawError("BAD_REQUEST", "the backup holds no revision yet");
    throw new OpenClawError(
      "BAD_REQUEST",
      `the time is before the first event, of ${new Date(earliest).toISOString()}`,
    );
  }
  return found;
}
