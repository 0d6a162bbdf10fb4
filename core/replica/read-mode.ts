/**
 * The three read modes (DESIGN §5). Each says what has to be true of this node's applied state before it is read:
 * linearizable, that it holds everything acknowledged before; at-least, a position that the reader knows of; local,
 * nothing.
 */
import { OpenClawError, unreachable } from "../errors.ts";
import type { PositionToken } from "../ledger/position-token.ts";
import type { Position } from "../state-machine/query.ts";

export type ReadMode =
  | { readonly kind: "linearizable" }
  | { readonly kind: "atLeast"; readonly position: PositionToken }
  | { readonly kind: "local" };

/** What stands between a reader and the state. */
export interface ReadGate {
  /** Resolves when a local read is linearizable. @throws OpenClawError OVERLOADED, UNAVAILABLE, STOPPED */
  barrier(): Promise<void>;
  position(): Position;
}

/**
 * Resolves when the state may be read in that mode.
 * @throws OpenClawError UNAVAILABLE, OVERLOADED, STOPPED; for a position also WRONG_CLUSTER, WRONG_EPOCH, or FORK when no
 * majority has what it claims
 */
export async function readable(gate: ReadGate, mode: ReadMode): Promise<void> {
  switch (mode.kind) {
    case "local":
      return;
    case "linearizable":
      return gate.barrier();
    case "atLeast":
      return reached(gate, mode.position);
    default:
      return unreachable(mode);
  }
}

/** L3: ahead is not a fork. A position that this node has not applied may well be committed: a ReadIndex tells. */
async function reached(gate: ReadGate, wanted: PositionToken): Promise<void> {
  requireSameLedger(gate, wanted);
  if (wanted.revision <= gate.position().revision) return;
  try {
    await gate.barrier();
  } catch (error) {
    if (!(error instanceof OpenClawError) || error.code !== "UNAVAILABLE") throw error;
    const here = gate.position().revision;
    throw new OpenClawError("UNAVAILABLE", `revision ${wanted.revision} is asked for, this node is at ${here}`, {
      cause: error,
    });
  }
  // The epoch may have ended, and another begun, while we waited.
  requireSameLedger(gate, wanted);
  const confirmed = gate.position().revision;
  if (wanted.revision > confirmed)
    throw new OpenClawError("FORK", `revision ${wanted.revision} is claimed, a majority confirms ${confirmed}`);
}

function requireSameLedger(gate: ReadGate, { cluster, epoch }: PositionToken): void {
  const here = gate.position();
  if (cluster !== here.cluster)
    throw new OpenClawError("WRONG_CLUSTER", `the position is of ${cluster}, this is ${here.cluster}`);
  if (epoch !== here.epoch.nonce)
    throw new OpenClawError("WRONG_EPOCH", `the position is of epoch ${epoch}, this is ${here.epoch.nonce}`);
}
