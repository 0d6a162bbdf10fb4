/** What a replica says of itself, put together. */
import type { RaftStatus } from "../raft/ready.ts";
import type { Position } from "../state-machine/query.ts";
import type { ReplicaOptions, ReplicaStatus } from "./contract.ts";

export function replicaStatus(
  { cluster, id, applyVersions }: Pick<ReplicaOptions, "cluster" | "id" | "applyVersions">,
  raft: RaftStatus,
  { epoch, revision, logTime, applyVersion }: Position,
  rest: Pick<ReplicaStatus, "members" | "waiting" | "snapshots" | "agreement" | "comparison">,
): ReplicaStatus {
  const { role, leader, term, applied } = raft;
  const supports = applyVersions.length;
  const replicated = { applied, revision, logTime, applyVersion };
  return { cluster, id, epoch, raft, role, leader, term, ...replicated, supports, ...rest };
}
