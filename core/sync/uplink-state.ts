/** What an uplink says of itself. */
import type { OpenClawError } from "../errors.ts";
import type { ClusterId, Revision } from "../ids.ts";
import type { UplinkUse } from "../state-machine/uplink-use.ts";
import type { Rate } from "./drain-rate.ts";
import type { UplinkLimits } from "./uplink-budget.ts";

/**
 * What an uplink is doing: `standby` at a follower, `paused` by an operator, `spent` until the next day of log time,
 * `connecting`, and connected: `idle` when the parent has all of it, or `shipping`.
 */
export type UplinkPhase = "standby" | "paused" | "spent" | "connecting" | "idle" | "shipping";

export interface UplinkState {
  readonly parent: ClusterId;
  /** False while an operator has it cut. */
  readonly enabled: boolean;
  readonly connected: boolean;
  readonly phase: UplinkPhase;
  /** Null while nothing goes up. */
  readonly rate: Rate | null;
  /** What was used today, as this node knows: at a follower, what was replicated when it last led. */
  readonly use: UplinkUse;
  readonly limits: UplinkLimits;
  /** Bytes that are left today; null: without a bound. */
  readonly left: number | null;
  /** Ms of log time. */
  readonly msToNextDay: number;
  /** Our revision up to which the parent has the ledger. */
  readonly cursor: Revision;
  readonly lastError: OpenClawError | null;
}
