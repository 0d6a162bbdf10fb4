/** Brings each message to the part of the node that it is for. */
import { unreachable } from "../errors.ts";
import type { Election } from "./election.ts";
import type { Follower } from "./follower.ts";
import type { RaftMessage } from "./message.ts";
import type { NodeState } from "./node-state.ts";
import type { ReadIndex } from "./read-index.ts";
import type { Reconfiguration } from "./reconfiguration.ts";
import type { Replication } from "./replication.ts";
import type { SnapshotInstall } from "./snapshot.ts";
import type { StateLoss } from "./state-loss.ts";
import { TermGate } from "./term-gate.ts";
import type { Transfer } from "./transfer.ts";

/** Forwarded batches kept until the next Ready; more are dropped, and their proposers retry (Q1). */
const FORWARDED_MAX = 256;

export interface Parts {
  readonly node: NodeState;
  readonly election: Election;
  readonly replication: Replication;
  readonly follower: Follower;
  readonly reads: ReadIndex;
  readonly install: SnapshotInstall;
  readonly reconfiguration: Reconfiguration;
  readonly transfer: Transfer;
  readonly stateLoss: StateLoss;
}

export class Dispatch {
  readonly #parts: Parts;
  readonly #gate: TermGate;
  #forwarded: Uint8Array[] = [];

  constructor(parts: Parts) {
    this.#parts = parts;
    this.#gate = new TermGate(parts.node, parts.election);
  }

  get hasForwarded(): boolean {
    return this.#forwarded.length > 0;
  }

  /** Batches that followers sent to this node as their leader. */
  takeForwarded(): readonly Uint8Array[] {
    const forwarded = this.#forwarded;
    this.#forwarded = [];
    return forwarded;
  }

  step(message: RaftMessage): void {
    if (!this.#gate.passes(message)) return;
    const { node, election, replication, follower, reads, install, reconfiguration, transfer } = this.#parts;
    const leads = node.role === "leader";
    if (leads) replication.heard(message.from);
    switch (message.kind) {
      case "preVote":
        return election.onPreVote(message);
      case "preVoteResponse":
        return election.onPreVoteResponse(message);
      case "vote":
        return election.onVote(message);
      case "voteResponse":
        return election.onVoteResponse(message);
      case "append":
        return follower.onAppend(message);
      case "appendAccepted":
        replication.onAccepted(message);
        return transfer.proceed();
      case "appendRejected":
        return replication.onRejected(message);
      case "appendUncounted":
        return replication.onUncounted(message);
      case "heartbeat":
        return follower.onHeartbeat(message);
      case "commit":
        return follower.onCommit(message);
      case "heartbeatResponse":
        replication.onHeartbeatResponse(message);
        return reads.onHeartbeatResponse(message);
      case "snapshot":
        return install.onSnapshot(message);
      case "readIndex":
        return reads.onReadIndex(message);
      case "readIndexResponse":
        return reads.onReadIndexResponse(message);
      case "stateRequest":
        return this.#parts.stateLoss.onRequest(message);
      case "forward":
        if (leads && this.#forwarded.length < FORWARDED_MAX) this.#forwarded.push(message.data);
        return;
      case "changeMembership":
        if (leads) reconfiguration.propose(message.change);
        return;
      case "transferLeadership":
        if (leads) transfer.begin(message.target);
        return;
      case "timeoutNow":
        return election.onTimeoutNow();
      case "removed":
        return election.onRemoved(message);
      default:
        return unreachable(message);
    }
  }
}
