/**
 * One Raft node without I/O (rule R1): `step` a message, `tick` time, `propose`; then take `ready` and do what it says.
 *
 *     while (raft.hasReady()) handle(raft.ready());   // the order is in ready.ts; storage reports with `durable`
 *
 * A Ready is taken once and needs no further acknowledgement than `durable`, `applied` and the snapshot reports.
 */
import { invariant, OpenClawError } from "../errors.ts";
import { type Index, index, type NodeId, type Term } from "../ids.ts";
import { BATCH_ITEMS_MAX, FRAME_BYTES_MAX } from "../limits.ts";
import { Configurations } from "./configurations.ts";
import { Dispatch } from "./dispatch.ts";
import type { Persisted } from "./durability.ts";
import { Election } from "./election.ts";
import { Follower } from "./follower.ts";
import { RaftLog } from "./log.ts";
import type { MembershipChange, Stepped } from "./membership.ts";
import type { Entry, HardState, RaftMessage, SnapshotMeta, StateMark } from "./message.ts";
import { NodeState } from "./node-state.ts";
import { RAFT_DEFAULTS, type RaftOptions } from "./options.ts";
import { ReadIndex } from "./read-index.ts";
import type { RaftStatus, Ready, Role } from "./ready.ts";
import { Reconfiguration } from "./reconfiguration.ts";
import { Recovery } from "./recovery.ts";
import { Replication } from "./replication.ts";
import { SnapshotInstall } from "./snapshot.ts";
import { StateLoss } from "./state-loss.ts";
import { Transfer, type Transferred } from "./transfer.ts";

export type Proposed =
  | { readonly ok: true; readonly index: Index; readonly term: Term }
  | { readonly ok: false; readonly code: "NOT_LEADER" | "OVERLOADED" };

/** Bytes of one proposal: an entry has to fit a frame, or it would block the group for ever. */
export const PROPOSAL_BYTES_MAX = FRAME_BYTES_MAX - 65_536;

export class Raft {
  readonly #node: NodeState;
  readonly #election: Election;
  readonly #replication: Replication;
  readonly #reads: ReadIndex;
  readonly #install: SnapshotInstall;
  readonly #reconfiguration: Reconfiguration;
  readonly #transfer: Transfer;
  readonly #stateLoss: StateLoss;
  readonly #dispatch: Dispatch;
  readonly #maxBatchBytes: number;
  /** The hard state that was last given to the disk. */
  #written: HardState;
  /** Committed entries were handed out up to here. */
  #delivered: Index;

  /**
   * @throws OpenClawError DATA_CORRUPT if a group of one has lost entries: there is nobody to recover them from (R5)
   */
  constructor(options: RaftOptions) {
    const { id, membership, hardState, base, entries, applied, random } = options;
    const settings = { ...RAFT_DEFAULTS, ...options };
    const lastIndex = index(base.index + entries.length);
    invariant(applied >= base.index && applied <= lastIndex, "applied is in the log; else the log is reset to it (R8)");
    // The commit is stored with or after the entries it covers, so a commit past the end is evidence of a loss, too.
    const evidence = index(Math.max(options.recoverTo, hardState.commit));
    const recovery = new Recovery(evidence, lastIndex, hardState.term);
    const configurations = new Configurations(id, membership, applied);
    const commit = index(Math.min(Math.max(hardState.commit, applied), lastIndex));
    const log = new RaftLog(base, entries, commit, configurations);
    // By the latest configuration in the log: the group may have grown or shrunk since the state was stored.
    const { voters } = configurations.quorum;
    if (recovery.target !== null && voters.length === 1 && voters[0] === id) {
      const loss = `the log ends at ${lastIndex}, entry ${recovery.target} was durable, and no other node has it`;
      throw new OpenClawError("DATA_CORRUPT", loss);
    }
    this.#node = new NodeState(id, configurations, hardState, log, applied, recovery);
    this.#written = hardState;
    this.#delivered = applied;
    this.#maxBatchBytes = settings.maxBatchBytes;
    this.#replication = new Replication(this.#node, settings, () => this.#reconfiguration.committed());
    this.#transfer = new Transfer(this.#node, this.#replication, settings.electionTicks);
    this.#stateLoss = new StateLoss(this.#node, this.#replication, this.#transfer);
    this.#reconfiguration = new Reconfiguration(
      this.#node,
      this.#replication,
      () => this.#stepDown(),
      settings.refusal,
    );
    this.#reads = new ReadIndex(this.#node, random, (round) => this.#replication.sendHeartbeats(round));
    this.#election = new Election(this.#node, settings, {
      elected: () => {
        this.#reconfiguration.start();
        this.#replication.start();
      },
      deposed: () => {
        this.#transfer.end();
        this.#replication.stop();
      },
      changed: () => this.#reads.leaderChanged(),
    });
    this.#install = new SnapshotInstall(this.#node, this.#election);
    this.#dispatch = new Dispatch({
      node: this.#node,
      election: this.#election,
      replication: this.#replication,
      follower: new Follower(this.#node, this.#election, settings.maxUnappliedBytes),
      reads: this.#reads,
      install: this.#install,
      reconfiguration: this.#reconfiguration,
      transfer: this.#transfer,
      stateLoss: this.#stateLoss,
    });
    // A snapshot may have been installed from a term that was not stored before the crash.
    if (log.lastTerm > hardState.term) this.#election.becomeFollower(log.lastTerm, null);
  }

  get id(): NodeId {
    return this.#node.id;
  }
  get role(): Role {
    return this.#node.role;
  }
  get term(): Term {
    return this.#node.term;
  }
  get leader(): NodeId | null {
    return this.#node.leader;
  }
  get commit(): Index {
    return this.#node.log.commit;
  }
  /** Leadership is being handed over: no proposal is taken. */
  get transferring(): boolean {
    return this.#transfer.target !== null;
  }

  /** A leader's: the last entry that every follower holds which was heard lately. What comes after it may have to be sent. */
  get slowestMatch(): Index | null {
    return this.#replication.slowestMatch();
  }

  /** A leader's: the voter best placed to take over; null if nobody else is there. */
  get heir(): NodeId | null {
    return this.#replication.mostUpToDate();
  }

  /** Whether those for whom `holds` is true are a quorum. */
  reachesQuorum(holds: (voter: NodeId) => boolean): boolean {
    return this.#node.quorum.reached(holds);
  }

  /** The term of an entry that the log holds or its base; null otherwise. */
  termAt(at: Index): Term | null {
    return this.#node.log.termAt(at);
  }

  /** Time passed: one tick. */
  tick(): void {
    this.#reads.tick();
    if (this.role !== "leader") {
      this.#election.tick();
      return;
    }
    if (this.#election.leaderTick() && !this.#replication.takeQuorumActive()) {
      // CheckQuorum (thesis §6.2): a leader that nobody hears must not keep its callers waiting.
      this.#election.becomeFollower(this.term, null);
      return;
    }
    this.#transfer.tick();
    this.#stateLoss.leaderTick();
    if (!this.#replication.tick()) return;
    this.#replication.sendHeartbeats(this.#reads.roundInFlight);
    this.#reconfiguration.heartbeat();
  }

  /**
   * A leader takes a batch of commands. Committed it comes back in `Ready.committed`, unless another leader replaces
   * it.
   */
  propose(data: Uint8Array): Proposed {
    invariant(data.length <= PROPOSAL_BYTES_MAX, "a proposal fits a frame");
    if (this.role !== "leader") return { ok: false, code: "NOT_LEADER" };
    if (this.transferring) return { ok: false, code: "OVERLOADED" };
    const at = this.#replication.propose(data);
    return at === null ? { ok: false, code: "OVERLOADED" } : { ok: true, index: at, term: this.term };
  }

  /**
   * Asks for a change of the membership; a follower passes it on to its leader, where it may be lost. It is made when a
   * configuration with it is committed. Asking again does no harm.
   */
  changeMembership(change: MembershipChange): Stepped | { readonly ok: false; readonly code: "NOT_LEADER" } {
    if (this.role === "leader") return this.#reconfiguration.propose(change);
    const { leader } = this.#node;
    if (leader !== null) this.#node.send({ kind: "changeMembership", ...this.#node.envelope(leader), change });
    return { ok: false, code: "NOT_LEADER" };
  }

  /** Asks that `target` lead (thesis §3.10); a follower passes it on to its leader, where it may be lost. */
  transferLeadership(target: NodeId): Transferred {
    if (this.role === "leader") return this.#transfer.begin(target);
    const { leader } = this.#node;
    if (leader !== null) this.#node.send({ kind: "transferLeadership", ...this.#node.envelope(leader), target });
    return { ok: false, code: "NOT_LEADER", details: leader === null ? "no leader is known" : `${leader} leads` };
  }

  /** A follower passes a batch of commands to its leader; false when it knows none. It may be lost: retry (Q1). */
  forward(data: Uint8Array): boolean {
    invariant(data.length <= PROPOSAL_BYTES_MAX, "a proposal fits a frame");
    const { leader } = this.#node;
    if (this.role !== "follower" || leader === null) return false;
    this.#node.send({ kind: "forward", ...this.#node.envelope(leader), data });
    return true;
  }

  /**
   * Asks for an index from which a local read is linearizable. The answer comes in `Ready.readStates`, or the context
   * in `Ready.readsDropped` when the leader changed. Without a leader it waits for one.
   */
  readIndex(context: number): void {
    this.#reads.ask(context);
  }

  /** The state is wrong, the log is not: a state as of `atLeast` or later is to take its place (state-loss.ts). */
  loseState(atLeast: Index): void {
    this.#stateLoss.lose(atLeast);
  }

  /** What the state says of itself now: a leader's heartbeats tell it. */
  attest(mark: StateMark | null): void {
    this.#node.mark = mark;
  }

  /** Asks the leader for a state that may be taken in place of the wrong one; it may be lost. */
  askForState(): void {
    this.#stateLoss.ask();
  }

  /** A message arrived. It is from the node it names: the transport vouches for that. */
  step(message: RaftMessage): void {
    this.#dispatch.step(message);
  }

  /** The oldest write in flight, `Ready.persisted`, is on disk: once for each, in order (R2). */
  durable(persisted: Persisted): void {
    const node = this.#node;
    for (const answer of node.durability.completed(persisted)) {
      if (answer.to !== node.id) node.send(answer);
      else if (answer.kind === "voteResponse") this.#election.onVoteResponse(answer);
    }
    if (!node.installing) node.recovery.durable(node.durability.durable);
    if (this.role === "leader") this.#replication.commit();
  }

  /** The state holds everything up to `upTo`. */
  applied(upTo: Index): void {
    invariant(upTo <= this.#delivered, "only committed entries that were handed out are applied");
    if (upTo > this.#node.applied) this.#node.applied = upTo;
  }

  /** The snapshot of a Ready is durable as state, and the log reset to it (R8). */
  snapshotInstalled(meta: SnapshotMeta): void {
    this.#install.installed(meta);
    this.#delivered = meta.index;
    this.#node.applied = meta.index;
  }

  /** A follower of `Ready.snapshotsTo` has the snapshot, or was not reached; either way it is asked where it stands. */
  snapshotSent(to: NodeId): void {
    this.#replication.snapshotEnded(to);
  }
  snapshotFailed(to: NodeId): void {
    this.#replication.snapshotEnded(to);
  }

  /**
   * Forgets entries up to and including `upTo`: they are applied, and the state that holds them is durable (R7).
   * Entries whose write is still in flight stay until the next call.
   */
  compact(upTo: Index): void {
    invariant(upTo <= this.#node.applied, "only applied entries are compacted");
    const { log, durability, installing } = this.#node;
    if (!installing) log.compact(index(Math.min(upTo, durability.durable)));
  }

  hasReady(): boolean {
    const { hasMessages, durability, installing, log } = this.#node;
    return (
      hasMessages ||
      durability.hasAnswers ||
      this.#install.due ||
      this.#replication.hasWork ||
      this.#reads.hasWork ||
      this.#dispatch.hasForwarded ||
      this.#stateLoss.hasRequests ||
      this.#voteChanged() ||
      (!installing && (log.lastIndex > durability.written || this.#mayDeliver))
    );
  }

  /** Takes the next round of work. It may be empty. */
  ready(): Ready {
    const node = this.#node;
    const install = this.#install.take();
    this.#reads.flush();
    this.#replication.flush();
    const entries = this.#unwritten();
    const hardState = this.#unwrittenHardState(entries.length > 0);
    const writes = hardState !== null || entries.length > 0;
    const persisted = writes ? { term: node.log.lastTerm, index: node.log.lastIndex } : null;
    let afterDurable: readonly RaftMessage[] = [];
    if (persisted !== null) afterDurable = node.durability.handOut(persisted);
    else for (const answer of node.durability.releaseIdle()) node.send(answer);
    return {
      messages: node.takeMessages(),
      snapshot: install?.meta ?? null,
      logStays: install?.logStays ?? false,
      hardState,
      entries,
      afterDurable,
      persisted,
      committed: this.#deliver(),
      readStates: this.#reads.takeReadStates(),
      readsDropped: this.#reads.takeDropped(),
      snapshotsTo: this.#replication.takeSnapshotsTo(),
      statesTo: this.#stateLoss.takeRequests(),
      forwarded: this.#dispatch.takeForwarded(),
    };
  }

  status(): RaftStatus {
    const { id, role, term, leader, log, applied, recovery, stateNeeded, configurations, removed } = this.#node;
    return {
      id,
      role,
      term,
      leader,
      firstIndex: index(log.base.index + 1),
      lastIndex: log.lastIndex,
      commit: log.commit,
      applied,
      recoveringTo: recovery.target,
      stateNeeded,
      membership: configurations.latest.membership,
      committedMembership: configurations.lastCommitted,
      removed: removed || configurations.left,
      transferringTo: this.#transfer.target,
      progress: role === "leader" ? this.#replication.status() : [],
    };
  }

  #stepDown(): void {
    this.#transfer.leave();
    this.#election.becomeFollower(this.term, null);
  }

  #voteChanged(): boolean {
    return this.#node.term !== this.#written.term || this.#node.vote !== this.#written.vote;
  }

  #unwritten(): readonly Entry[] {
    const { installing, log, durability } = this.#node;
    if (installing || log.lastIndex === durability.written) return [];
    // All of it: what may wait is bounded where it came in (maxUncommittedBytes here, the leader's window elsewhere).
    return log.slice(index(durability.written + 1), log.lastIndex, Number.MAX_SAFE_INTEGER, Number.MAX_SAFE_INTEGER);
  }

  /** The commit is a hint: it is written when something else is, and never ahead of the log on disk. */
  #unwrittenHardState(withEntries: boolean): HardState | null {
    const { term, vote, log, installing } = this.#node;
    const commit = installing ? this.#written.commit : log.commit;
    if (!this.#voteChanged() && !(withEntries && commit !== this.#written.commit)) return null;
    this.#written = { term, vote, commit };
    return this.#written;
  }

  get #mayDeliver(): boolean {
    const { log, stateNeeded } = this.#node;
    return stateNeeded === null && log.commit > this.#delivered;
  }

  #deliver(): readonly Entry[] {
    const { log, installing } = this.#node;
    if (installing || !this.#mayDeliver) return [];
    const committed = log.slice(index(this.#delivered + 1), log.commit, this.#maxBatchBytes, BATCH_ITEMS_MAX);
    this.#delivered = index(this.#delivered + committed.length);
    return committed;
  }
}
