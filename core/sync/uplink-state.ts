/** What an uplink says of itself. */
import type { OpenClawError } from "../errors.ts";
import type { ClusterId, Revision } from "../ids.ts";
import type { Rate } from "./drain-rate.ts";
import type { BudgetState } from "./uplink-budget.ts";

/**
 * What an uplink is doing: `standby` at a follower, `paused` by an operator, `spent` until the next day of log time,
 * `connecting`, and connected: `idle` when the parent has all of it, or `shipping`.
 */
export type UplinkPhase = "standby" | "paused" | "spent" | "connecting" | "idle" | "shipping";

export interface UplinkState extends BudgetState {
  readonly parent: ClusterId;
  /** False while an operator has it cut. */
  readonly enabled: boolean;
  readonly connected: boolean;
  readonly phase: UplinkPhase;
  /** Null while nothing goes up. */
  readonly rate: Rate | null;
  /** Our revision up to which the parent has the ledger. */
  readonly cursor: Revision;
  readonly lastError: OpenClawError | null;
}
