/** Two operators type their parts of a trace, offline in turn, and hear of each other only through the fleet. */
import type { Operator, Typed } from "./operator.ts";
import { type Round, roundsOf } from "./schedule.ts";
import type { Transaction } from "./trace.ts";

/** Ms for changes to get from one browser to the other: two sites and the hub between them. */
const EXCHANGE_MS = 60_000;

/**
 * Plays the trace. Who has a run to play is offline while it does; who has to wait for the other's is online.
 * @param operators one for each agent
 * @returns the document's heads after everything
 */
export async function typeTrace(
  operators: readonly Operator[],
  transactions: readonly Transaction[],
  onRound: (round: number, rounds: number, played: number) => void,
): Promise<readonly string[]> {
  const hashes: string[] = [];
  const rounds = roundsOf(transactions);
  let played = 0;
  for (const [i, round] of rounds.entries()) {
    await Promise.all(operators.map((operator, agent) => playRun(operator, round[agent] ?? [], transactions, hashes)));
    const lastOfEach = round.flatMap((run) => hashes[run.at(-1) ?? -1] ?? []);
    await Promise.all(operators.map((operator) => operator.sees(lastOfEach, EXCHANGE_MS)));
    played += round.flat().length;
    onRound(i + 1, rounds.length, played);
  }
  return headsAfter(transactions, hashes);
}

async function playRun(
  operator: Operator,
  run: Round[number],
  transactions: readonly Transaction[],
  hashes: string[],
): Promise<void> {
  if (run.length === 0) return;
  await operator.goOffline();
  try {
    const made = await operator.type(typed(run, transactions, hashes));
    for (const [i, number] of run.entries()) {
      const hash = made[i];
      if (hash === undefined)
        throw new Error(`the browser at ${operator.site} made no change for transaction ${number}`);
      hashes[number] = hash;
    }
  } finally {
    await operator.goOnline();
  }
}

/** A run as the page is told of it: parents by hash, or by place in the run where the hash is not known yet. Pure. */
export function typed(
  run: readonly number[],
  transactions: readonly Transaction[],
  hashes: readonly (string | undefined)[],
): readonly Typed[] {
  const places = new Map(run.map((number, place) => [number, place]));
  return run.map((number) => {
    const { patches = [], parents = [] } = transactions[number] ?? {};
    return { patches, parents: parents.map((parent) => places.get(parent) ?? hashes[parent] ?? unknown(parent)) };
  });
}

function unknown(parent: number): never {
  throw new Error(`transaction ${parent} was not played yet`);
}

/** Those that no other transaction has as a parent. */
function headsAfter(transactions: readonly Transaction[], hashes: readonly string[]): readonly string[] {
  const parents = new Set(transactions.flatMap((transaction) => transaction.parents));
  return hashes.filter((_, i) => !parents.has(i));
}
