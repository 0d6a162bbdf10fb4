/** How a simulated process ends: what becomes of the write of its log that is under way. */
import { bytewise, LOST, sectors } from "../contracts/power-cut-disk.ts";
import type { SeededRandom } from "./seeded-random.ts";
import type { Ending } from "./simulated-log-store.ts";

/** What else happens when the power goes. */
export interface Loss {
  /** Of what the log's write under way has to do, this share is done. */
  readonly survivors: number;
  /** What was not synced was under way to the platter. */
  readonly torn: boolean;
}

/** Calls of the disk that a write of the log takes at the most, all but a few. */
const WRITE_CALLS = 8;
/** The process ends, and the power stays on. */
export const KILLED: Ending = { calls: 0, powerCut: null };
/** The write under way is finished first. */
export const FINISHED: Ending = { calls: Number.POSITIVE_INFINITY, powerCut: null };

export function endingOf({ survivors, torn }: Loss, random: SeededRandom): Ending {
  const calls = survivors < 1 ? Math.floor(survivors * WRITE_CALLS) : Number.POSITIVE_INFINITY;
  const names = random.pick(["lost", "kept"] as const);
  // Without a call there is nothing to tear.
  if (torn) return { calls: calls + 1, powerCut: { files: random.pick([sectors, bytewise])(random), names } };
  return { calls, powerCut: random.chance(0.3) ? null : { files: LOST, names } };
}
