/**
 * What was shed before the parent had it (S5): runs of revisions that it will never have as bodies. The cluster that shed
 * them and the parent each keep them, by the same revisions; neither ever hides one.
 */
import { utf8Text } from "../bytes.ts";
import { decode, type Encodable, encode, TupleReader } from "../codec.ts";
import { invariant } from "../errors.ts";
import { isLinkId, type LinkId, type Revision, revision } from "../ids.ts";
import { linkOfRow, SHED, shedKey } from "./keyspace.ts";
import { rowsOf } from "./row-pages.ts";
import type { RowCodec, Transaction } from "./transaction.ts";
import type { StateView } from "./view.ts";

/** Runs kept apart; beyond them the two oldest become one, and the revisions between them count as shed. */
const RUNS_MAX = 256;

export interface ShedRun {
  readonly from: Revision;
  readonly to: Revision;
  /** Wall clock of who proposed it last, ms since 1970: an annotation. */
  readonly time: number;
  /** By its own word the parent lacks them, and was sent a snapshot in their place. */
  readonly told: boolean;
}

/** `link` null: of our own ledger. Runs ascend. */
export interface Shed {
  readonly link: LinkId | null;
  readonly runs: readonly ShedRun[];
}

const shedRow: RowCodec<readonly ShedRun[]> = {
  encode: (runs) => encode(runs.map(({ from, to, time, told }): Encodable => [from, to, time, told])),
  decode(bytes) {
    const list = decode(bytes);
    invariant(Array.isArray(list), "runs are a list");
    return list.map((tuple: Encodable) => {
      const reader = new TupleReader(tuple, "shed run");
      return {
        from: revision(reader.count()),
        to: revision(reader.count()),
        time: reader.integer(),
        told: reader.flag(),
      };
    });
  },
};

/** Adds a run that begins behind all that are known, or at the last one's end; what is known is not counted twice. */
export function noteShed(tx: Transaction, link: LinkId | null, run: ShedRun): void {
  const runs = [...(tx.read(shedKey(link), shedRow) ?? [])];
  const last = runs.at(-1);
  const from = revision(Math.max(run.from, last === undefined ? 1 : last.to + 1));
  if (run.to < from) return;
  if (last !== undefined && last.to + 1 === from && last.told === run.told)
    runs[runs.length - 1] = { ...last, to: run.to, time: run.time };
  else runs.push({ ...run, from });
  const [first, second] = runs;
  if (runs.length > RUNS_MAX && first !== undefined && second !== undefined)
    runs.splice(0, 2, { ...second, from: first.from });
  tx.write(shedKey(link), shedRow, runs);
}

/** The parent holds our ledger up to here, by its records: so much of what was shed is no loss to it. */
export function parentHad(tx: Transaction, holds: Revision): void {
  const runs = tx.read(shedKey(null), shedRow) ?? [];
  const last = runs.at(-1);
  // What it lacked when it was told came by a snapshot, if it is here now.
  if (last === undefined || last.told || holds < last.from) return;
  const rest = holds < last.to ? [{ ...last, from: revision(holds + 1) }] : [];
  tx.write(shedKey(null), shedRow, [...runs.slice(0, -1), ...rest]);
}

/** What is left of it the parent lacks: a snapshot goes in its place from here on. */
export function toldParent(tx: Transaction): void {
  const runs = tx.read(shedKey(null), shedRow) ?? [];
  if (runs.at(-1)?.told === false)
    tx.write(shedKey(null), shedRow, [...runs.slice(0, -1), ...runs.slice(-1).map((run) => ({ ...run, told: true }))]);
}

/** Ours first, then those of links by their names. */
export function shedOf(view: StateView): Shed[] {
  return [...rowsOf(view, SHED.from, SHED.to)].map(({ key, value }) => {
    const name = utf8Text(linkOfRow(key));
    const runs = joined(shedRow.decode(value));
    if (name === "") return { link: null, runs };
    invariant(isLinkId(name), "a link's row carries its id");
    return { link: name, runs };
  });
}

/** As its parent has them: a run that was shed in two steps is one. */
function joined(runs: readonly ShedRun[]): ShedRun[] {
  const all: ShedRun[] = [];
  for (const run of runs) {
    const last = all.at(-1);
    if (last !== undefined && last.to + 1 === run.from) all[all.length - 1] = { ...run, from: last.from };
    else all.push(run);
  }
  return all;
}

export const shedCount = (runs: readonly ShedRun[]): number =>
  runs.reduce((sum, { from, to }) => sum + to - from + 1, 0);
