/** What a replica says of itself, put together. */
import type { RaftStatus } from "../raft/ready.ts";
import type { Position } from "../state-machine/query.ts";
import type { ReplicaOptions, ReplicaStatus } from "./contract.ts";

export function replicaStatus(
  { cluster, id }: Pick<ReplicaOptions, "cluster" | "id">,
  raft: RaftStatus,
  { epoch, revision }: Position,
  rest: Pick<ReplicaStatus, "members" | "waiting" | "snapshots">,
): ReplicaStatus {
  const { role, leader, term, applied } = raft;
  return { cluster, id, epoch, raft, role, leader, term, applied, revision, ...rest };
}
