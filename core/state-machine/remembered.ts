/** Outcomes that a session or a client's link still has to know, because its client may ask again (Q1). */
import type { Encodable, TupleReader } from "../codec.ts";
import { TupleReader as Reader } from "../codec.ts";
import type { Seq } from "../ids.ts";
import { seq } from "../ids.ts";
import type { Outcome } from "./command.ts";
import { outcomeTuple, readOutcome } from "./command-codec.ts";

/** By sequence number; all at or above the low-water mark. */
export type Remembered = Map<Seq, Outcome>;

/** Ascending, whatever the order in which they came: equal rows must have equal bytes. */
export const ascending = (outcomes: Remembered): { seq: Seq; outcome: Outcome }[] =>
  [...outcomes].map(([at, outcome]) => ({ seq: at, outcome })).sort((a, b) => a.seq - b.seq);

export const rememberedTuple = (outcomes: Remembered): Encodable =>
  ascending(outcomes).map(({ seq: at, outcome }) => [at, outcomeTuple(outcome)]);

export function readRemembered(reader: TupleReader): Remembered {
  const outcomes: Remembered = new Map();
  for (const value of reader.list()) {
    const pair = new Reader(value, "remembered outcome");
    outcomes.set(seq(pair.count()), readOutcome(pair.any()));
  }
  return outcomes;
}

/** Forgets what has reached the client. */
export function forgetBelow(outcomes: Remembered, lowWater: Seq): void {
  for (const at of outcomes.keys()) if (at < lowWater) outcomes.delete(at);
}
