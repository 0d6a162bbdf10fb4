/** Sessions: a command that is retried runs once (rule Q1; thesis §6.3). */
import { decode, encode, TupleReader } from "../codec.ts";
import type { Index, Seq, SessionId } from "../ids.ts";
import { seq } from "../ids.ts";
import { RESULTS_MAX } from "../limits.ts";
import { addUse, moveUse, useAt } from "./client-uses.ts";
import type { Outcome, SessionStep } from "./command.ts";
import { sessionKey } from "./keyspace.ts";
import { refused } from "./outcome.ts";
import { NO_ROOM, Remembered, readRemembered, rememberedTuple } from "./remembered.ts";
import type { RowCodec, Transaction } from "./transaction.ts";

interface SessionRow {
  use: number;
  lowWater: Seq;
  readonly outcomes: Remembered;
}

const sessionRow: RowCodec<SessionRow> = {
  encode: (row) => encode([row.use, row.lowWater, ...rememberedTuple(row.outcomes)]),
  decode(bytes) {
    const reader = new TupleReader(decode(bytes), "session row");
    return { use: reader.count(), lowWater: seq(reader.count()), outcomes: readRemembered(reader) };
  },
};

/** Opening again changes nothing: the proposal may have been repeated. */
export function openSession(tx: Transaction, session: SessionId, index: Index): void {
  const key = sessionKey(session);
  if (tx.read(key, sessionRow) !== undefined) return;
  const use = useAt(index);
  addUse(tx, key, use);
  tx.write(key, sessionRow, { use, lowWater: seq(1), outcomes: new Remembered() });
}

/**
 * Runs a command, or answers what it answered before. Refused without running: SESSION_EXPIRED when nobody knows any more
 * whether it ran, OVERLOADED when its outcome could not be kept.
 * @param run given the bytes of responses that there is room for; null when that is too little
 */
export function inSession(
  tx: Transaction,
  step: SessionStep,
  index: Index,
  run: (room: number) => Outcome | null,
): Outcome {
  const key = sessionKey(step.id);
  const row = tx.read(key, sessionRow);
  if (row === undefined) return refused("SESSION_EXPIRED", "unknown session");
  moveUse(tx, key, row.use, useAt(index));
  row.use = useAt(index);
  if (step.lowWater > row.lowWater) {
    row.lowWater = step.lowWater;
    row.outcomes.forgetBelow(step.lowWater);
  }
  tx.write(key, sessionRow, row);
  const known = row.outcomes.get(step.seq);
  if (known !== undefined) return known;
  if (step.seq < row.lowWater) return refused("SESSION_EXPIRED", `${step.seq} is below ${row.lowWater}`);
  if (row.outcomes.size >= RESULTS_MAX) return refused("OVERLOADED", `${RESULTS_MAX} results are not acknowledged`);
  // Kept as well: a repetition of this step that comes later must not run, for the caller was told that it did not.
  const outcome = run(row.outcomes.room) ?? refused("OVERLOADED", NO_ROOM);
  row.outcomes.set(step.seq, outcome);
  return outcome;
}
