/**
 * Who leads: terms, votes and timeouts (paper §5.2, thesis §9.6 PreVote, §6.2 CheckQuorum), as in etcd.
 *
 * A voter that heard its leader within the least election timeout ignores whoever wants another one. So a node that
 * comes back, was removed, or sees only half of the network deposes nobody (pitfalls 7, 8).
 */
import { type Index, type NodeId, type Term, term } from "../ids.ts";
import type { RaftMessage } from "./message.ts";
import type { NodeState } from "./node-state.ts";
import type { Role } from "./ready.ts";

type Of<Kind extends RaftMessage["kind"]> = Extract<RaftMessage, { kind: Kind }>;

export interface ElectionOptions {
  /** The least election timeout; the real one is drawn from [electionTicks, 2 × electionTicks). */
  readonly electionTicks: number;
  /** Uniform in [0, 1). */
  readonly random: () => number;
}

/** Called after the change. */
export interface LeadershipListener {
  /** This node was elected. */
  elected(): void;
  /** This node was leader until now. */
  deposed(): void;
  /** Another leader, none, or another term. */
  changed(): void;
}

export class Election {
  readonly #node: NodeState;
  readonly #options: ElectionOptions;
  readonly #listener: LeadershipListener;
  readonly #votes = new Map<NodeId, boolean>();
  #elapsed = 0;
  #timeout = 0;

  constructor(node: NodeState, options: ElectionOptions, listener: LeadershipListener) {
    this.#node = node;
    this.#options = options;
    this.#listener = listener;
    this.#drawTimeout();
  }

  /** A leader is being heard: neither votes nor pre-votes are given to others. */
  get hearsLeader(): boolean {
    return this.#node.leader !== null && this.#elapsed < this.#options.electionTicks;
  }

  /** One tick of a node that does not lead. */
  tick(): void {
    const node = this.#node;
    if (++this.#elapsed < this.#timeout) return;
    if (node.removed) return this.becomeFollower(node.term, null);
    if (this.#mayCampaign) return this.#preCampaign();
    this.becomeFollower(node.term, null);
    // R10: who never campaigns is to be told as well that it is no member any more. What else is answered counts for nothing.
    if (node.quorum.hasMember(node.id) && !node.installing) this.#sendPreVotes();
  }

  get #mayCampaign(): boolean {
    const { configurations, recovery, installing } = this.#node;
    return configurations.mayLead && !recovery.active && !installing;
  }

  /** One tick of a leader. True when it is time to check that a majority answers. */
  leaderTick(): boolean {
    if (++this.#elapsed < this.#options.electionTicks) return false;
    this.#elapsed = 0;
    return true;
  }

  /** The term's leader spoke. */
  heardLeader(from: NodeId): void {
    if (this.#node.role !== "follower" || this.#node.leader !== from) this.becomeFollower(this.#node.term, from);
    this.#elapsed = 0;
    this.#node.removed = false;
  }

  /** The leader hands over to us: no pre-vote, for it is not to be kept (thesis §3.10). */
  onTimeoutNow(): void {
    if (this.#node.role !== "leader" && this.#mayCampaign) this.#campaign(true);
  }

  /** We are no member any more, unless our log has a later configuration; one of an older term is none (paper §5.4.1). */
  onRemoved(message: Of<"removed">): void {
    const { configurations, log } = this.#node;
    const { index: ours } = configurations.latest;
    const ofTerm = log.termAt(ours) ?? log.base.term;
    if (ofTerm < message.ofTerm || (ofTerm === message.ofTerm && ours < message.configuration))
      this.#node.removed = true;
  }

  becomeFollower(newTerm: Term, leader: NodeId | null): void {
    const node = this.#node;
    const before = { term: node.term, role: node.role, leader: node.leader };
    if (newTerm > node.term) this.#enterTerm(newTerm, null);
    node.role = "follower";
    node.leader = leader;
    this.#restart();
    this.#report(before);
  }

  onPreVote(message: Of<"preVote">): void {
    const node = this.#node;
    // A pre-vote is no promise: several may be given in one term, and none is remembered.
    const free = message.term > node.term || this.#voteIsFree(message.from);
    const granted = free && this.#mayGrant(message.lastIndex, message.lastTerm);
    // A refusal carries our own term, so that a node whose term fell behind catches up (pitfall 5).
    const answerTerm = granted ? message.term : node.term;
    node.answer({ kind: "preVoteResponse", ...node.envelope(message.from), term: answerTerm, granted });
  }

  onVote(message: Of<"vote">): void {
    const node = this.#node;
    const granted = this.#voteIsFree(message.from) && this.#mayGrant(message.lastIndex, message.lastTerm);
    if (granted) {
      node.vote = message.from;
      this.#elapsed = 0;
    }
    node.answer({ kind: "voteResponse", ...node.envelope(message.from), granted });
  }

  /** A request from a term that is over: the sender learns ours. */
  refuse(message: Of<"preVote"> | Of<"vote">): void {
    const node = this.#node;
    const kind = message.kind === "vote" ? "voteResponse" : "preVoteResponse";
    node.answer({ kind, ...node.envelope(message.from), granted: false });
  }

  onPreVoteResponse(message: Of<"preVoteResponse">): void {
    const node = this.#node;
    if (node.role !== "preCandidate" || message.term !== (message.granted ? node.term + 1 : node.term)) return;
    this.#votes.set(message.from, message.granted);
    this.#decide();
  }

  onVoteResponse(message: Of<"voteResponse">): void {
    if (this.#node.role !== "candidate" || message.term !== this.#node.term) return;
    this.#votes.set(message.from, message.granted);
    this.#decide();
  }

  #voteIsFree(candidate: NodeId): boolean {
    const { vote, leader } = this.#node;
    return vote === candidate || (vote === null && leader === null);
  }

  /** Paper §5.4.1, and rule R5. */
  #mayGrant(lastIndex: Index, lastTerm: Term): boolean {
    const { recovery, log } = this.#node;
    return recovery.isReached(lastIndex, lastTerm) && log.isUpToDate(lastIndex, lastTerm);
  }

  #preCampaign(): void {
    const node = this.#node;
    const before = { term: node.term, role: node.role, leader: node.leader };
    node.role = "preCandidate";
    node.leader = null;
    this.#restart();
    this.#votes.set(node.id, true);
    this.#report(before);
    this.#sendPreVotes();
    this.#decide();
  }

  #sendPreVotes(): void {
    const node = this.#node;
    const { lastIndex, lastTerm } = node.log;
    for (const to of this.#others()) {
      node.send({ kind: "preVote", ...node.envelope(to), term: term(node.term + 1), lastIndex, lastTerm });
    }
  }

  #campaign(transfer: boolean): void {
    const node = this.#node;
    const before = { term: node.term, role: node.role, leader: node.leader };
    this.#enterTerm(term(node.term + 1), node.id);
    node.role = "candidate";
    this.#restart();
    this.#report(before);
    // Our own vote counts when it is on disk, and so do the requests leave: a restart must find the vote (pitfall 9).
    node.answer({ kind: "voteResponse", ...node.envelope(node.id), granted: true });
    const { lastIndex, lastTerm } = node.log;
    for (const to of this.#others()) {
      node.answer({ kind: "vote", ...node.envelope(to), lastIndex, lastTerm, transfer });
    }
  }

  #decide(): void {
    const node = this.#node;
    const tally = node.quorum.tally(this.#votes);
    if (tally === "pending") return;
    if (tally === "lost") this.becomeFollower(node.term, null);
    else if (node.role === "preCandidate") this.#campaign(false);
    else this.#lead();
  }

  #lead(): void {
    const node = this.#node;
    const before = { term: node.term, role: node.role, leader: node.leader };
    node.role = "leader";
    node.leader = node.id;
    this.#restart();
    this.#listener.elected();
    this.#report(before);
  }

  #enterTerm(newTerm: Term, vote: NodeId | null): void {
    this.#node.term = newTerm;
    this.#node.vote = vote;
  }

  #restart(): void {
    this.#elapsed = 0;
    this.#votes.clear();
    this.#drawTimeout();
  }

  #drawTimeout(): void {
    const { electionTicks, random } = this.#options;
    const { quorum, id } = this.#node;
    const alone = quorum.voters.length === 1 && quorum.has(id);
    // Nobody to collide with, nobody to wait for.
    this.#timeout = alone ? 1 : electionTicks + Math.floor(random() * electionTicks);
  }

  #report(before: { readonly term: Term; readonly role: Role; readonly leader: NodeId | null }): void {
    const node = this.#node;
    if (before.role === "leader" && node.role !== "leader") this.#listener.deposed();
    if (before.term !== node.term || before.leader !== node.leader) this.#listener.changed();
  }

  #others(): readonly NodeId[] {
    return this.#node.quorum.voters.filter((voter) => voter !== this.#node.id);
  }
}
