/** Outcomes that a session or a client's link still has to know, because its client may ask again (Q1). */
import type { Encodable } from "../codec.ts";
import { TupleReader } from "../codec.ts";
import type { Seq } from "../ids.ts";
import { revision, seq } from "../ids.ts";
import type { Outcome } from "./command.ts";
import { outcomeTuple, readOutcome } from "./command-codec.ts";

/** By sequence number; all at or above the low-water mark. */
export type Remembered = Map<Seq, Outcome>;

/** Ascending, whatever the order in which they came: equal rows must have equal bytes. */
export const ascending = (outcomes: Remembered): { seq: Seq; outcome: Outcome }[] =>
  [...outcomes].map(([at, outcome]) => ({ seq: at, outcome })).sort((a, b) => a.seq - b.seq);

/**
 * Two fields: the successes as pairs of numbers in 16 bytes each, and the refusals as tuples. Nearly all are successes, and
 * the row of a busy session is read and written once a batch: a tuple each would cost more than the commands.
 */
export function rememberedTuple(outcomes: Remembered): readonly [Uint8Array, Encodable] {
  const successes: number[] = [];
  const refusals: Encodable[] = [];
  for (const { seq: at, outcome } of ascending(outcomes)) {
    if (outcome.ok) successes.push(at, outcome.revision);
    else refusals.push([at, outcomeTuple(outcome)]);
  }
  const packed = new Uint8Array(8 * successes.length);
  const view = new DataView(packed.buffer);
  for (const [i, number] of successes.entries()) view.setFloat64(8 * i, number);
  return [packed, refusals];
}

/** Reads both fields. */
export function readRemembered(reader: TupleReader): Remembered {
  const outcomes: Remembered = new Map();
  const packed = reader.bytes();
  const view = new DataView(packed.buffer, packed.byteOffset, packed.byteLength);
  for (let at = 0; at + 16 <= packed.length; at += 16) {
    outcomes.set(seq(view.getFloat64(at)), { ok: true, revision: revision(view.getFloat64(at + 8)) });
  }
  for (const value of reader.list()) {
    const pair = new TupleReader(value, "remembered outcome");
    outcomes.set(seq(pair.count()), readOutcome(pair.any()));
  }
  return outcomes;
}

/** Forgets what has reached the client. */
export function forgetBelow(outcomes: Remembered, lowWater: Seq): void {
  for (const at of outcomes.keys()) if (at < lowWater) outcomes.delete(at);
}
