/**
 * What every message passes first: who may say it, and what its term means (paper §5.1, with PreVote and CheckQuorum).
 */
import { unreachable } from "../errors.ts";
import type { Election } from "./election.ts";
import type { RaftMessage } from "./message.ts";
import type { NodeState } from "./node-state.ts";

export class TermGate {
  readonly #node: NodeState;
  readonly #election: Election;

  constructor(node: NodeState, election: Election) {
    this.#node = node;
    this.#election = election;
  }

  /** False when the message goes no further. */
  passes(message: RaftMessage): boolean {
    if (message.to !== this.#node.id || message.from === this.#node.id || !this.#admits(message)) return false;
    if (this.#isRemoved(message)) return false;
    if (message.term > this.#node.term) return this.#entersTerm(message);
    // What is committed stays committed: an old term makes that word no less true.
    if (message.term === this.#node.term || message.kind === "removed") return true;
    this.#refuseOld(message);
    return false;
  }

  /**
   * A candidate that is no member, and has not the committed configuration that left it out, is told so (R10). With that
   * entry in its log it would know, and may know of a later one than we do. A log that ends before it, or with an older
   * term, is without it, however long (paper §5.4.1). Where the entry is compacted its term is not known: then a log
   * that ends with an older term than our base lacks a committed entry, and what it holds behind that is lost.
   */
  #isRemoved(message: RaftMessage): boolean {
    if (message.kind !== "preVote" && message.kind !== "vote") return false;
    const node = this.#node;
    const { latest } = node.configurations;
    if (node.quorum.hasMember(message.from) || latest.index > node.log.commit) return false;
    const ofTerm = node.log.termAt(latest.index) ?? node.log.base.term;
    if (message.lastIndex >= latest.index && message.lastTerm >= ofTerm) return false;
    node.answer({ kind: "removed", ...node.envelope(message.from), configuration: latest.index, ofTerm });
    return true;
  }

  /**
   * Requests are taken from anyone whom the transport admits: a node that slept through a membership change must hear
   * its new leader and vote for a new voter (thesis §4.1, R10, pitfall 18). Answers count from members only.
   */
  #admits(message: RaftMessage): boolean {
    switch (message.kind) {
      case "preVote":
      case "vote":
      case "append":
      case "heartbeat":
      case "commit":
      case "snapshot":
      case "readIndexResponse":
      case "timeoutNow":
      case "removed":
        return true;
      case "preVoteResponse":
      case "voteResponse":
      case "appendAccepted":
      case "appendRejected":
      case "appendUncounted":
      case "heartbeatResponse":
      case "readIndex":
      case "stateRequest":
      case "forward":
      case "changeMembership":
      case "transferLeadership":
        return this.#node.quorum.hasMember(message.from);
      default:
        return unreachable(message);
    }
  }

  /** The sender's term is ahead of ours. False when the message is to be ignored. */
  #entersTerm(message: RaftMessage): boolean {
    switch (message.kind) {
      case "preVote":
        return !this.#election.hearsLeader;
      case "vote":
        // An election that the leader asked for is not to be stopped by hearing that leader (thesis §4.2.3).
        if (this.#election.hearsLeader && !message.transfer) return false;
        this.#election.becomeFollower(message.term, null);
        return true;
      case "preVoteResponse":
        // Granted, it carries the term that we would campaign in; refused, the voter's own.
        if (!message.granted) this.#election.becomeFollower(message.term, null);
        return true;
      case "append":
      case "heartbeat":
      case "commit":
        this.#election.becomeFollower(message.term, message.from);
        return true;
      default:
        this.#election.becomeFollower(message.term, null);
        return true;
    }
  }

  /** The sender's term is over. It is told so, or PreVote and CheckQuorum would leave two sides deaf (pitfall 5). */
  #refuseOld(message: RaftMessage): void {
    const node = this.#node;
    switch (message.kind) {
      case "append":
      case "heartbeat":
        node.answer({ kind: "heartbeatResponse", ...node.envelope(message.from), context: 0 });
        return;
      case "preVote":
      case "vote":
        this.#election.refuse(message);
        return;
      default:
        return;
    }
  }
}
