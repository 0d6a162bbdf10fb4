/** Outcomes that a session or a client's link still has to know, because its client may ask again (Q1). */
import type { Encodable } from "../codec.ts";
import { TupleReader } from "../codec.ts";
import type { Seq } from "../ids.ts";
import { revision, seq } from "../ids.ts";
import { RESPONSES_BYTES_MAX } from "../limits.ts";
import type { Outcome } from "./command.ts";
import { responseBytes } from "./operation.ts";
import { accepted } from "./outcome.ts";
import { outcomeTuple, readOutcome } from "./outcome-codec.ts";

export const NO_ROOM = "responses that are not acknowledged fill what is remembered";

/** By sequence number; all at or above the low-water mark. */
export class Remembered {
  readonly #outcomes = new Map<Seq, Outcome>();
  #responseBytes = 0;

  get size(): number {
    return this.#outcomes.size;
  }

  /** Bytes of responses that there is still room for. */
  get room(): number {
    return Math.max(0, RESPONSES_BYTES_MAX - this.#responseBytes);
  }

  get(at: Seq): Outcome | undefined {
    return this.#outcomes.get(at);
  }

  /** A number is set once. */
  set(at: Seq, outcome: Outcome): void {
    this.#outcomes.set(at, outcome);
    this.#responseBytes += bytesOf(outcome);
  }

  /** Forgets what has reached the client. */
  forgetBelow(lowWater: Seq): void {
    for (const [at, outcome] of this.#outcomes) {
      if (at >= lowWater) continue;
      this.#outcomes.delete(at);
      this.#responseBytes -= bytesOf(outcome);
    }
  }

  /** Ascending, whatever the order in which they came: equal rows must have equal bytes. */
  ascending(): { seq: Seq; outcome: Outcome }[] {
    return [...this.#outcomes].map(([at, outcome]) => ({ seq: at, outcome })).sort((a, b) => a.seq - b.seq);
  }
}

const bytesOf = (outcome: Outcome): number =>
  outcome.ok && outcome.response !== null && outcome.response.kind !== "queued" ? responseBytes(outcome.response) : 0;

/**
 * Two fields: bare successes as pairs of numbers in 16 bytes each, and the others as tuples. Nearly all are bare, and the
 * row of a busy session is read and written once a batch: a tuple each would cost more than the commands.
 */
export function rememberedTuple(outcomes: Remembered): readonly [Uint8Array, Encodable] {
  const bare: number[] = [];
  const others: Encodable[] = [];
  for (const { seq: at, outcome } of outcomes.ascending()) {
    if (outcome.ok && outcome.response === null) bare.push(at, outcome.revision);
    else others.push([at, outcomeTuple(outcome)]);
  }
  const packed = new Uint8Array(8 * bare.length);
  const view = new DataView(packed.buffer);
  for (const [i, number] of bare.entries()) view.setFloat64(8 * i, number);
  return [packed, others];
}

/** Reads both fields. */
export function readRemembered(reader: TupleReader): Remembered {
  const outcomes = new Remembered();
  const packed = reader.bytes();
  const view = new DataView(packed.buffer, packed.byteOffset, packed.byteLength);
  for (let at = 0; at + 16 <= packed.length; at += 16) {
    outcomes.set(seq(view.getFloat64(at)), accepted(revision(view.getFloat64(at + 8))));
  }
  for (const value of reader.list()) {
    const pair = new TupleReader(value, "remembered outcome");
    outcomes.set(seq(pair.count()), readOutcome(pair.any()));
  }
  return outcomes;
}
