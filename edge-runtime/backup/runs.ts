/**
 * Which revisions a backup can restore, and from what. A run is of consecutive ones: from the ledger's beginning or from a
 * base, on through segments. Where the node had compacted what came next, a base begins another run.
 */
import { fromHex } from "@openclaw/core/bytes.ts";
import { invariant, OpenClawError } from "@openclaw/core/errors.ts";
import type { BaseEntry, Manifest, SegmentEntry } from "./manifest.ts";
import { beginning } from "./segment.ts";

export interface Run {
  /** Null: from the ledger's beginning. */
  readonly base: BaseEntry | null;
  readonly segments: readonly SegmentEntry[];
  readonly first: number;
  readonly last: number;
}

/** In the order of revisions. */
export function runsOf({ bases, segments }: Manifest): readonly Run[] {
  const runs: Run[] = [];
  let left = segments;
  for (const base of [null, ...bases]) {
    const start = base?.revision ?? 0;
    // In the midst of a run, a base begins none.
    if (start > 0 && start <= (runs.at(-1)?.last ?? 0)) continue;
    const own = consecutive(left, start);
    left = left.slice(own.length);
    const last = own.at(-1)?.last ?? start;
    if (last > 0) runs.push({ base, segments: own, first: Math.max(1, start), last });
  }
  return runs;
}

function consecutive(segments: readonly SegmentEntry[], start: number): readonly SegmentEntry[] {
  let end = start;
  const gap = segments.findIndex(({ first, last }) => {
    if (first !== end + 1) return true;
    end = last;
    return false;
  });
  return gap === -1 ? segments : segments.slice(0, gap);
}

export interface Holdings {
  readonly first: number | null;
  readonly last: number | null;
  /** Revisions between them that are missing. */
  readonly gaps: readonly { readonly first: number; readonly last: number }[];
  /** Of segments and bases. */
  readonly bytes: number;
}

export function holdings(manifest: Manifest): Holdings {
  const runs = runsOf(manifest);
  const gaps = runs.slice(1).map(({ first }, i) => ({ first: (runs[i]?.last ?? 0) + 1, last: first - 1 }));
  const bytes = [...manifest.bases, ...manifest.segments].reduce((sum, file) => sum + file.bytes, 0);
  return { first: runs[0]?.first ?? null, last: runs.at(-1)?.last ?? null, gaps, bytes };
}

/** The last revision of the backup; 0 for none. */
export const lastOf = (manifest: Manifest): number => runsOf(manifest).at(-1)?.last ?? 0;

/** `1 to 40, 90 to 120`. */
const rangesText = (runs: readonly Pick<Run, "first" | "last">[]): string =>
  runs.map(({ first, last }) => `${first} to ${last}`).join(", ");

/**
 * The shortest way to a revision: from the newest base at or below it, if there is one.
 * @throws OpenClawError BAD_REQUEST when the backup does not hold it, naming what it holds
 */
export function wayTo(manifest: Manifest, revision: number): Run {
  const runs = runsOf(manifest);
  const run = runs.find(({ first, last }) => first <= revision && revision <= last);
  if (run === undefined) {
    const held = runs.length === 0 ? "no revision yet" : `revisions ${rangesText(runs)}, not ${revision}`;
    throw new OpenClawError("BAD_REQUEST", `the backup holds ${held}`);
  }
  const base = manifest.bases.findLast(({ revision: of }) => of <= revision && of >= run.first) ?? run.base;
  if (base === null) return run;
  const segments = run.segments.filter(({ first }) => first > base.revision);
  return { base, segments, first: base.revision, last: run.last };
}

/** The ledger's hash that a segment's first record follows. */
export function hashBefore(manifest: Manifest, first: number): Uint8Array {
  if (first === 1) return beginning(manifest);
  const before =
    manifest.bases.find(({ revision }) => revision === first - 1) ??
    manifest.segments.find(({ last }) => last === first - 1);
  const hash = before === undefined ? undefined : fromHex(before.ledgerHash);
  invariant(hash !== undefined, "a segment follows a segment or a base, whose hash is hex");
  return hash;
}
