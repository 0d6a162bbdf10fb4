/** How a question shall be read, and what an answer was read from, as tuples. */
import type { Encodable } from "../codec.ts";
import { TupleReader } from "../codec.ts";
import { OpenClawError, unreachable } from "../errors.ts";
import { isClusterId, isNonce, PARTITION, revision } from "../ids.ts";
import type { PositionToken } from "../ledger/position-token.ts";
import type { ReadMode } from "../replica/read-mode.ts";
import type { Seen } from "./message.ts";

const MODE = { local: 0, linearizable: 1, atLeast: 2 } as const satisfies Record<ReadMode["kind"], number>;

export function modeTuple(mode: ReadMode): Encodable {
  switch (mode.kind) {
    case "local":
      return [MODE.local];
    case "linearizable":
      return [MODE.linearizable];
    case "atLeast":
      return [MODE.atLeast, positionTuple(mode.position)];
    default:
      return unreachable(mode);
  }
}

/** @throws OpenClawError MALFORMED_FRAME */
export function readMode(value: Encodable): ReadMode {
  const reader = new TupleReader(value, "read mode");
  const mode = readModeOfKind(reader.count(), reader);
  reader.end();
  return mode;
}

function readModeOfKind(kind: number, reader: TupleReader): ReadMode {
  switch (kind) {
    case MODE.local:
      return { kind: "local" };
    case MODE.linearizable:
      return { kind: "linearizable" };
    case MODE.atLeast:
      return { kind: "atLeast", position: readPosition(reader.any()) };
    default:
      throw new OpenClawError("MALFORMED_FRAME", `a read mode of unknown kind ${kind}`);
  }
}

export const seenTuple = ({ position, staleMs }: Seen): Encodable => [positionTuple(position), staleMs];

/** @throws OpenClawError MALFORMED_FRAME */
export function readSeen(value: Encodable): Seen {
  const reader = new TupleReader(value, "seen state");
  const position = readPosition(reader.any());
  const staleMs = reader.orNull((field) => field.count());
  reader.end();
  return { position, staleMs };
}

const positionTuple = ({ cluster, partition, epoch, revision: at }: PositionToken): Encodable => [
  cluster,
  partition,
  epoch,
  at,
];

function readPosition(value: Encodable): PositionToken {
  const reader = new TupleReader(value, "position");
  const cluster = reader.that(isClusterId, "a cluster");
  if (reader.count() !== PARTITION) throw new OpenClawError("MALFORMED_FRAME", `only partition ${PARTITION} is known`);
  const position = {
    cluster,
    partition: PARTITION,
    epoch: reader.that(isNonce, "an epoch's nonce"),
    revision: revision(reader.count()),
  };
  reader.end();
  return position;
}
