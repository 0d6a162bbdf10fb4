/** Raft as it goes on from what a member finds in its stores. */

import type { NodeId } from "../ids.ts";
import type { StoredLog, StoredState } from "../ports.ts";
import type { Refused } from "../raft/membership.ts";
import { Raft } from "../raft/raft.ts";
import type { ReplicaOptions } from "./contract.ts";

/** A leader is heard every second tick; an election starts after 10 to 20 (core/raft/options.ts). */
const HEARTBEAT_TICKS = 2;

export function raftOfStored(
  { id, membership, random, clock }: ReplicaOptions,
  stored: StoredState,
  storedLog: StoredLog,
  refusal: (node: NodeId) => Refused | null,
): Raft {
  return new Raft({
    id,
    membership: stored.applied > 0 ? stored.membership : membership,
    hardState: storedLog.hardState,
    base: storedLog.base,
    entries: storedLog.entries,
    applied: stored.applied,
    recoverTo: storedLog.highWater,
    heartbeatTicks: HEARTBEAT_TICKS,
    random: () => random.unit(),
    now: () => clock.now(),
    refusal,
  });
}
