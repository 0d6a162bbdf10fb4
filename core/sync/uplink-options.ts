/** What an uplink stands on. */
import type { OpenClawError } from "../errors.ts";
import type { ClusterId } from "../ids.ts";
import type { Subscription } from "../ledger/subscription.ts";
import type { Clock, Random, Sha256 } from "../ports.ts";
import type { Replica } from "../replica.ts";
import type { ChildConnection } from "./message.ts";
import type { Traffic, UplinkLimits } from "./uplink-budget.ts";

export type UplinkReplica = Pick<
  Replica,
  "propose" | "barrier" | "read" | "history" | "ledger" | "follow" | "position" | "status" | "onLeadership"
>;

export interface UplinkOptions {
  readonly replica: UplinkReplica;
  readonly cluster: ClusterId;
  readonly parent: ClusterId;
  readonly credential: Uint8Array;
  readonly subscription: Subscription;
  readonly clock: Clock;
  readonly random: Random;
  /** For the leaf of what is private, which alone leaves the site. */
  readonly sha256: Sha256;
  readonly limits: UplinkLimits;
  /** What went over all connections to the parent that this node ever had. */
  traffic(): Traffic;
  /** One try at a connection to the parent; told why the one before ended, as another of its nodes may do better. */
  connect(ended: OpenClawError | null): Promise<ChildConnection>;
  /** A connection ended, with why; null when it was ended here. */
  ended?(reason: OpenClawError | null): void;
  connected?(): void;
  /** The bytes of the day are used up: the connection is closed until there are more. */
  spent?(msToNextDay: number): void;
}
