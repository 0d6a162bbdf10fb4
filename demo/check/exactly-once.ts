/** Holds what was acknowledged against what a ledger has. Pure: it knows nothing of how either came about. */
import type { AcknowledgedPut } from "../replay.ts";
import type { LedgerPut } from "./ledger-feed.ts";

export interface Findings {
  /** Acknowledged, and not there as acknowledged. */
  readonly lost: readonly string[];
  /** There more than once, or there without having been asked for. */
  readonly duplicated: readonly string[];
  /** There, but not in the order of the origin's revisions. */
  readonly outOfOrder: readonly string[];
}

/**
 * @param acknowledged the puts of one site
 * @param ledger the same site's puts, in a ledger: the site's own, or the hub's copy
 * @param where named in the findings
 */
export function compareWithLedger(
  acknowledged: readonly AcknowledgedPut[],
  ledger: readonly LedgerPut[],
  where: string,
): Findings {
  const lost: string[] = [];
  const duplicated: string[] = [];
  const outOfOrder: string[] = [];
  const byRevision = new Map<number, LedgerPut>();
  let before = 0;
  for (const put of ledger) {
    const revision = put.originRevision ?? put.revision;
    if (byRevision.has(revision)) duplicated.push(`${where} has revision ${revision} (${put.key}) twice`);
    else if (revision < before) outOfOrder.push(`${where} has revision ${revision} (${put.key}) after ${before}`);
    byRevision.set(revision, put);
    before = Math.max(before, revision);
  }
  const asked = new Set<number>();
  for (const { key, revision, sha256 } of acknowledged) {
    asked.add(revision);
    const put = byRevision.get(revision);
    if (put === undefined) lost.push(`${where} has nothing at revision ${revision}, where ${key} was acknowledged`);
    else if (put.key !== key)
      lost.push(`${where} has ${put.key} at revision ${revision}, where ${key} was acknowledged`);
    else if (put.sha256 !== sha256) lost.push(`${where} has another value of ${key} at revision ${revision}`);
  }
  // Every put is acknowledged in the end, so whatever else is there was done a second time, or by nobody.
  for (const [revision, { key }] of byRevision) {
    if (!asked.has(revision))
      duplicated.push(`${where} has ${key} at revision ${revision}, which was not acknowledged`);
  }
  return { lost, duplicated, outOfOrder };
}

/** What must stand at each key now: its last acknowledged put. */
export function lastPuts(acknowledged: readonly AcknowledgedPut[]): ReadonlyMap<string, AcknowledgedPut> {
  const last = new Map<string, AcknowledgedPut>();
  for (const put of acknowledged) {
    if (put.revision >= (last.get(put.key)?.revision ?? 0)) last.set(put.key, put);
  }
  return last;
}
