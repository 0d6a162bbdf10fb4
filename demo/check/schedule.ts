/**
 * Who types what, and when they must hear of each other. Each agent plays its own transactions in order, offline, as far
 * as it can: until the next one has a parent of the other's that it lacks. Then both are online until each has all that
 * the other has played, and the next round begins.
 */
import { AGENTS, type Transaction } from "./trace.ts";

/** The run of each agent, as numbers of transactions; empty for one that has to wait for the other. */
export type Round = readonly (readonly number[])[];

/**
 * Cuts the first transactions of a trace into rounds. Pure. Every round plays something: of the transactions not yet
 * played, the first one has all of its parents, and every agent has them, because rounds end with an exchange.
 */
export function roundsOf(transactions: readonly Transaction[]): readonly Round[] {
  const queues = Array.from({ length: AGENTS }, (_, agent) =>
    transactions.flatMap((transaction, i) => (transaction.agent === agent ? [i] : [])),
  );
  /** Played before this round: known to every agent. */
  const exchanged = new Set<number>();
  const rounds: Round[] = [];
  while (queues.some((queue) => queue.length > 0)) {
    const round = queues.map((queue, agent) => queue.splice(0, runLength(queue, agent, transactions, exchanged)));
    for (const i of round.flat()) exchanged.add(i);
    rounds.push(round);
  }
  return rounds;
}

function runLength(
  queue: readonly number[],
  agent: number,
  transactions: readonly Transaction[],
  exchanged: ReadonlySet<number>,
): number {
  const blocked = queue.findIndex((i) =>
    transactions[i]?.parents.some((parent) => transactions[parent]?.agent !== agent && !exchanged.has(parent)),
  );
  return blocked < 0 ? queue.length : blocked;
}
