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
  /** The parent lacks them, by its own word. */
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
  if (last !== undefined && last.to + 1 === from) runs[runs.length - 1] = { ...last, to: run.to, time: run.time };
  else runs.push({ ...run, from });
  const [first, second] = runs;
  if (runs.length > RUNS_MAX && first !== undefined && second !== undefined)
    runs.splice(0, 2, { ...second, from: first.from });
  tx.write(shedKey(link), shedRow, runs);
}

/**
 * The parent's word on how far it holds our ledger. Its first one after records were shed tells which of them it had already:
 * those are no loss. The uplink sees to it that this word is replicated before a snapshot goes in the place of the rest.
 */
export function parentHad(tx: Transaction, holds: Revision): void {
  const runs = tx.read(shedKey(null), shedRow) ?? [];
  const last = runs.at(-1);
  if (last === undefined) return;
  const before = runs.slice(0, -1);
  if (holds < last.to)
    tx.write(shedKey(null), shedRow, [
      ...before,
      { ...last, from: revision(Math.max(last.from, holds + 1)), told: true },
    ]);
  else if (!last.told) tx.write(shedKey(null), shedRow, before);
}

/** Ours first, then those of links by their names. */
export function shedOf(view: StateView): Shed[] {
  return [...rowsOf(view, SHED.from, SHED.to)].map(({ key, value }) => {
    const name = utf8Text(linkOfRow(key));
    if (name === "") return { link: null, runs: shedRow.decode(value) };
    invariant(isLinkId(name), "a link's row carries its id");
    return { link: name, runs: shedRow.decode(value) };
  });
}

export const shedCount = (runs: readonly ShedRun[]): number =>
  runs.reduce((sum, { from, to }) => sum + to - from + 1, 0);
