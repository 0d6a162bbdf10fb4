/**
 * R5: what a start makes of a log's batches and its mark.
 *
 * A batch is written and fsynced before the next one is begun, and the mark names a batch only after its fsync. So whoever
 * names batch n proves that the batches up to n were durable once: a later batch that passes its check, the mark. What is
 * missing below the highest batch named is rot, never a torn write; what is missing above was never acknowledged, and is
 * nobody's loss.
 *
 * - Rot in the middle: the batch after it proves it.
 * - Rot in the last batch: the mark proves it. The mark is written after every fsync and before the acknowledgement, which
 *   survives the process. To survive a power cut it needs an fsync of its own, and that would double the cost of every
 *   write: it is fsynced when the log falls idle, and at once when the term or the vote moved, so that a vote is always
 *   durable in two places before it is given. What stays unseen is rot in the very last batch together with a power cut
 *   within that moment; a bare torn write looks the same, and treating that as a loss would stop a whole site after every
 *   power cut.
 * - Rot in the mark: the other slot is older, and the batches themselves say the rest.
 * - Rot in batches that nothing needs any more (below the base, or overwritten) is no loss.
 */
import { type Index, index } from "../ids.ts";
import type { LogBase } from "../ports.ts";
import type { BatchChain } from "./batch-chain.ts";
import type { LogTail } from "./log-tail.ts";
import type { StoredRun } from "./log-write.ts";

export interface RecoveredLog {
  readonly tail: LogTail;
  readonly runs: readonly StoredRun[];
  /** Batches are missing: what is left must be written anew, so that it follows from nothing that is gone. */
  readonly damaged: boolean;
}

/** @throws OpenClawError DATA_CORRUPT */
export function recover(chains: readonly BatchChain[], mark: LogTail): RecoveredLog {
  const newest = chains.at(-1);
  const truth = newest !== undefined && newest.tail.batch >= mark.batch ? newest.tail : mark;
  if (newest !== undefined && newest.tail === truth && newest.covers(truth.base)) {
    return { tail: truth, runs: newest.runs(truth.base, truth.last), damaged: false };
  }
  if (truth.batch === 0) return { tail: truth, runs: [], damaged: false };
  const kept = chains.findLast((chain) => holds(chain, truth.base));
  return kept === undefined ? onlyBase(truth) : prefix(kept, truth);
}

/** Whether what the chain has follows the base that the log had last. */
const holds = (chain: BatchChain, base: LogBase): boolean =>
  chain.covers(base) && chain.termAt(base.index) === base.term;

/** The base is durable in the state (R7, R8), so the log may begin there with nothing. */
function onlyBase(truth: LogTail): RecoveredLog {
  return damaged(truth, truth.base.index, Math.min(truth.hardState.commit, truth.base.index), null);
}

/**
 * The entries of a chain, of which later batches are missing. Those may have replaced some of its entries: up to its
 * commit none, and none at all if it has the entry that the log ended with (log matching, thesis §3.5). Above that an
 * entry may be an old one, never committed; the high water, which is above all of them then, keeps it from counting.
 */
function prefix(chain: BatchChain, truth: LogTail): RecoveredLog {
  let last = Math.min(chain.tail.last, truth.last);
  const exact = last === truth.last && chain.termAt(truth.last) === truth.lastTerm;
  if (!exact && last === truth.last) last = Math.max(last - 1, truth.base.index);
  const commit = exact ? truth.hardState.commit : Math.max(chain.tail.hardState.commit, truth.base.index);
  return damaged(truth, index(last), Math.min(commit, last), chain);
}

function damaged(truth: LogTail, last: Index, commit: number, chain: BatchChain | null): RecoveredLog {
  const tail: LogTail = {
    ...truth,
    hardState: { ...truth.hardState, commit: index(commit) },
    last,
    lastTerm: last === truth.base.index ? truth.base.term : (chain?.termAt(last) ?? truth.base.term),
    highWater: index(Math.max(truth.highWater, truth.last)),
  };
  return { tail, runs: chain?.runs(truth.base, last) ?? [], damaged: true };
}
