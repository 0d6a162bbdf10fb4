/**
 * One member of a cluster: drives raft, the stores and the transport. The one way in is `propose`, the one way out is
 * the ledger.
 */
import { InvariantViolation, invariant, OpenClawError } from "./errors.ts";
import type { HistoryAnswer, HistoryQuery } from "./history/history-query.ts";
import type { NodeId, Revision } from "./ids.ts";
import type { Applied, LedgerChecked, LedgerSlice, StoredState } from "./ports.ts";
import type { MembershipChange } from "./raft/membership.ts";
import type { RaftMessage, SnapshotMeta, StateMark } from "./raft/message.ts";
import type { Raft } from "./raft/raft.ts";
import { type Agreement, agreementText } from "./replica/comparisons.ts";
import type { FollowedRows, LedgerAdvance, ProposeOptions, ReplicaOptions, ReplicaStatus } from "./replica/contract.ts";
import { LedgerMarks } from "./replica/ledger-marks.ts";
import type { IdempotentResult } from "./replica/own-session.ts";
import { ReplicaParts } from "./replica/parts.ts";
import type { Proposed } from "./replica/proposals.ts";
import { raftOfStored } from "./replica/raft-of-stored.ts";
import { replicaStatus } from "./replica/status.ts";
import { openStores } from "./replica/stored.ts";
import { within } from "./replica/within.ts";
import type { CommandResult, IdempotentCommand, Outcome, SystemCommand, UserCommand } from "./state-machine/command.ts";
import type { Comparison } from "./state-machine/finding.ts";
import type { Answer, Position, Query } from "./state-machine/query.ts";

type Phase = "new" | "starting" | "running" | "stopped";

export class Replica {
  readonly #options: ReplicaOptions;
  readonly #parts: ReplicaParts;
  #raft: Raft | null = null;
  #phase: Phase = "new";
  #cancelTick: () => void = () => {};
  #flushScheduled = false;

  constructor(options: ReplicaOptions) {
    this.#options = options;
    this.#parts = new ReplicaParts(options, {
      running: () => this.#phase === "running",
      assertRunning: () => this.#assertRunning(),
      assertServing: () => this.#assertServing(),
      raft: () => this.#running(),
      drive: (work) => this.#drive(work),
      submit: (command, how) => this.#submit(command, how),
      received: (messages) => this.#received(messages),
      applied: (raft, batch, record) => this.#answer(raft, batch, record),
      installed: (meta, stored, logStays) => this.#installed(meta, stored, logStays),
      diverged: () => this.#diverged(),
      failed: (error) => this.#fatal(error),
    });
  }

  /** Opens the stores, replays the log, takes part. @throws OpenClawError DATA_*, NODE_TOO_OLD, UNKNOWN_VERSION */
  async start(): Promise<void> {
    invariant(this.#phase === "new", "a replica starts once");
    this.#phase = "starting";
    try {
      await this.#open();
    } catch (error) {
      this.#phase = "stopped";
      await this.#closeStores();
      throw error;
    }
  }

  async #open(): Promise<void> {
    const { transport, clock } = this.#options;
    const { state: stored, log: storedLog } = await openStores(
      this.#options.state,
      this.#options.log,
      () => this.#phase === "starting",
    );
    this.#parts.applied.open(stored);
    await this.#parts.upkeep.comparisons.open(stored);
    this.#parts.retention.restart(storedLog.base.index, storedLog.entries);
    this.#raft = raftOfStored(this.#options, stored, storedLog, (node) =>
      this.#parts.upkeep.versions.refusal(node, this.#running()),
    );
    if (this.#parts.upkeep.comparisons.replaces !== null) this.#raft.loseState(stored.applied);
    this.#phase = "running";
    transport.receive({
      // A snapshot is taken when its bytes are staged, by the receiver alone: a peer cannot merely claim it.
      messages: (messages) => this.#received(messages.filter(({ kind }) => kind !== "snapshot")),
      snapshot: (header, chunks) => this.#parts.receiver.receive(header, chunks),
    });
    const tick = (): void => {
      this.#cancelTick = clock.after(this.#options.tickMs, tick);
      this.#tick();
    };
    this.#cancelTick = clock.after(this.#options.tickMs, tick);
    this.#drive(() => {});
  }

  /** Also after a failure of its own, whose stores are still open. */
  async stop(): Promise<void> {
    if (this.#phase !== "stopped") this.#halt(new OpenClawError("STOPPED"));
    await Promise.allSettled([
      this.#parts.writes.settled(),
      this.#parts.applied.settled(),
      this.#parts.receiver.settled(),
    ]);
    await this.#closeStores();
  }

  async #closeStores(): Promise<void> {
    await Promise.all([this.#options.log.close(), this.#options.state.close()]);
  }

  /**
   * Runs a user command at most once, retried across leader changes within this replica's session (Q1).
   * @throws OpenClawError OVERLOADED, STORAGE_FULL, UNAVAILABLE, SESSION_EXPIRED, STOPPED
   */
  async execute(command: UserCommand, options: ProposeOptions): Promise<Outcome> {
    this.#assertServing();
    return this.#parts.session.execute(command, options);
  }

  /** The same under an `Idempotency-Key`: a repeat, at whatever node, gets the first outcome and does not run. @throws as `execute` */
  async executeIdempotent(command: IdempotentCommand, options: ProposeOptions): Promise<IdempotentResult> {
    this.#assertServing();
    return this.#parts.session.executeIdempotent(command, options);
  }

  /**
   * Proposes a command whose repetition is harmless (imports carry cursors), retried until `timeoutMs`.
   * @throws OpenClawError OVERLOADED, STORAGE_FULL, UNAVAILABLE, STOPPED
   */
  async propose(command: SystemCommand, options: ProposeOptions): Promise<CommandResult> {
    this.#assertServing();
    return this.#submit(command, options);
  }

  /**
   * Adds or removes a member; resolves when that is committed. A node that is added starts as a learner.
   * @throws OpenClawError MEMBERSHIP_INVALID, MEMBERSHIP_PENDING, MEMBERSHIP_UNHEALTHY, NODE_TOO_OLD, OVERLOADED,
   * UNAVAILABLE, STOPPED
   */
  async changeMembership(change: MembershipChange, timeoutMs: number): Promise<void> {
    this.#assertRunning();
    const { clock } = this.#options;
    const deadline = clock.now() + timeoutMs;
    await within(clock, timeoutMs, this.#parts.upkeep.versions.refreshed());
    return this.#asked(() => this.#parts.requests.change(change, deadline - clock.now()));
  }

  /** Resolves when `to` leads. @throws OpenClawError TRANSFER_REFUSED, OVERLOADED, UNAVAILABLE, STOPPED */
  transferLeadership(to: NodeId, timeoutMs: number): Promise<void> {
    return this.#asked(() => this.#parts.requests.transfer(to, timeoutMs));
  }

  /** Before a planned stop: somebody else leads, if this node does and anybody can. Never fails, and takes `timeoutMs` at most. */
  async handOver(timeoutMs: number): Promise<void> {
    if (this.#phase !== "running" || this.#running().role !== "leader") return;
    const { heir } = this.#running();
    // Whoever stops anyway has nothing to do about a transfer that fails: the others elect in their own time.
    if (heir !== null) await this.transferLeadership(heir, timeoutMs).catch(() => {});
  }

  /** Resolves when a local read is linearizable: ReadIndex, then applied (thesis §6.4). @throws OpenClawError OVERLOADED, UNAVAILABLE, STOPPED */
  async barrier(timeoutMs: number): Promise<void> {
    this.#assertServing();
    return this.#asked(() => this.#parts.barriers.wait(timeoutMs));
  }

  /** Reads local state; for a linearizable read, `await barrier()` first. */
  read<Q extends Query>(query: Q): Promise<Answer<Q>> {
    // Where the members are is not what the state is for: nobody is to lose sight of them.
    if (query.kind === "members") this.#assertRunning();
    else this.#assertServing();
    return this.#options.state.read(query);
  }

  /** Reads local state as it was. @throws OpenClawError as `StateStore.history`; STOPPED */
  history<Q extends HistoryQuery>(query: Q): Promise<HistoryAnswer<Q>> {
    this.#assertServing();
    return this.#options.state.history(query);
  }

  /** Encoded records from `from` on, at most `maxBytes`. @throws OpenClawError COMPACTED */
  ledger(from: Revision, maxBytes: number): Promise<LedgerSlice> {
    this.#assertServing();
    return this.#options.state.ledger(from, maxBytes);
  }

  /** The parts of a base, as `BaseSender.parts` tells them. */
  base(): AsyncGenerator<Uint8Array> {
    return this.#parts.bases.parts();
  }

  /** Hashes the ledger that is stored here again, a slice at a time; also of a state that is not served. @throws OpenClawError BAD_REQUEST */
  checkLedger(from: Revision, to: Revision | null, maxBytes: number): Promise<LedgerChecked> {
    this.#assertRunning();
    return this.#options.state.checkLedger(from, to, maxBytes);
  }

  /**
   * Compares the states of all replicas, now (C1). What was found until `timeoutMs` is told.
   * @throws OpenClawError MEMBERSHIP_PENDING, OVERLOADED, UNAVAILABLE, STOPPED
   */
  compareStates(timeoutMs: number): Promise<Comparison> {
    return this.#asked(() => this.#parts.upkeep.comparisons.compare(this.#running(), timeoutMs));
  }

  /** Checkpoints the state and cuts the log, also before that is due (S5); of a state that is wrong nothing. */
  async shedLog(): Promise<void> {
    this.#assertRunning();
    if (this.#parts.upkeep.comparisons.replaces !== null) return;
    await this.#parts.compaction.now(this.#running()).catch((error: unknown) => this.#fatal(error));
  }

  /**
   * Calls back when this replica is found to differ from the others, or is as they are again; at once, too, where it
   * differs already. The returned function ends it.
   */
  onAgreement(listener: (agreement: Agreement) => void): () => void {
    const { comparisons } = this.#parts.upkeep;
    if (comparisons.agreement.kind !== "sound") listener(comparisons.agreement);
    return comparisons.follow(listener);
  }

  /** Calls back for every advance; the returned function ends it. */
  follow(listener: (advance: LedgerAdvance) => void): () => void {
    return this.#parts.applied.follow(listener);
  }

  /** Calls back when the members, or those rows, may have changed here; the returned function ends it. */
  onRows(of: FollowedRows, listener: () => void): () => void {
    return this.#parts.applied.followRows(of, listener);
  }

  /** Calls back when role, term or leader changed; the returned function ends it. */
  onLeadership(listener: (status: ReplicaStatus) => void): () => void {
    return this.#parts.leadership.follow(listener);
  }

  position(): Position {
    return this.#parts.applied.position;
  }

  /** How stale a local read may be: ms since this node last knew that it held all that was committed; null when never. */
  staleMs(): number | null {
    this.#parts.freshness.tick(this.#running(), this.#parts.applied.index);
    return this.#parts.freshness.age;
  }

  status(): ReplicaStatus {
    const raft = this.#running().status();
    return replicaStatus(this.#options, raft, this.position(), {
      members: raft.committedMembership.voters,
      waiting: this.#parts.proposals.waiting,
      agreement: this.#parts.upkeep.comparisons.agreement,
      comparison: this.#parts.upkeep.comparisons.known,
      snapshots: { sending: this.#parts.snapshots.sending, receiving: this.#parts.receiver.receiving },
    });
  }

  #submit(command: Proposed, options: ProposeOptions): Promise<CommandResult> {
    return this.#asked(() => {
      if (this.#parts.applied.full) throw new OpenClawError("OVERLOADED", "apply is behind");
      const refusal = this.#options.refusal?.(command) ?? null;
      if (refusal !== null) throw refusal;
      return this.#parts.proposals.submit(command, options.principal, options.timeoutMs);
    });
  }

  /** Somebody waits for what Raft is to do next. */
  async #asked<T>(wait: () => Promise<T>): Promise<T> {
    this.#assertRunning();
    const answer = wait();
    this.#schedule();
    return answer;
  }

  #tick(): void {
    this.#drive((raft) => {
      this.#parts.writes.tick();
      raft.attest(this.#mark);
      raft.tick();
      this.#parts.freshness.tick(raft, this.#parts.applied.index);
      this.#parts.proposals.tick();
      this.#parts.barriers.tick();
      this.#parts.upkeep.tick(raft);
    });
  }

  #received(messages: readonly RaftMessage[]): void {
    this.#drive((raft) => {
      for (const message of messages) {
        raft.step(message);
        if (message.kind === "heartbeat" && message.mark !== null && raft.leader === message.from)
          this.#parts.upkeep.comparisons.heard(message.mark);
        this.#parts.freshness.received(raft, message, this.#parts.applied.index);
      }
    });
  }

  /** What arrives within one turn of the event loop shares a batch. */
  #schedule(): void {
    if (this.#flushScheduled) return;
    this.#flushScheduled = true;
    void Promise.resolve().then(() => {
      this.#flushScheduled = false;
      this.#drive(() => {});
    });
  }

  /** Everything that happens while we run: `work`, then all that Raft asks. Never throws: an error here is fatal. */
  #drive(work: (raft: Raft) => void): void {
    if (this.#phase !== "running") return;
    try {
      const raft = this.#running();
      work(raft);
      while (!this.#parts.receiver.installing) {
        this.#parts.requests.look(raft);
        this.#parts.offers.offer(raft);
        if (!raft.hasReady()) break;
        this.#parts.ready.handle(raft.ready());
      }
      if (this.#parts.leadership.note(raft, () => this.status())) {
        this.#parts.proposals.offerAllAgain();
        this.#schedule();
      }
    } catch (error) {
      this.#fatal(error);
    }
  }

  /** A batch is in the state: those who waited for it are told, then those who follow the ledger. */
  #answer(raft: Raft, batch: Applied, record: () => void): void {
    raft.applied(batch.index);
    for (const { proposer, request, result } of batch.results) this.#parts.proposals.settle(proposer, request, result);
    record();
    this.#parts.barriers.applied(batch.index);
    this.#parts.upkeep.comparisons.applied(batch);
    if (this.#parts.upkeep.comparisons.replaces !== null) return;
    this.#parts.applied.next();
    this.#parts.compaction.consider(raft).catch((error: unknown) => this.#fatal(error));
  }

  /** State and log are the snapshot's. What is known of rounds is read before a later one is applied (C1). */
  async #installed(meta: SnapshotMeta, stored: StoredState, logStays: boolean): Promise<void> {
    if (!logStays) this.#parts.retention.restart(meta.index, []);
    this.#running().snapshotInstalled(meta);
    this.#parts.applied.replace(stored);
    this.#parts.barriers.applied(meta.index);
    await this.#parts.upkeep.comparisons.open(stored);
  }

  /** What a heartbeat tells of this state; nothing of one that is wrong. */
  get #mark(): StateMark | null {
    const { upkeep, applied } = this.#parts;
    return upkeep.comparisons.replaces === null ? LedgerMarks.of(applied.index, applied.position) : null;
  }

  /** C1: nothing is applied to this state any more, or answered from it; Raft goes on, for the log is sound. */
  #diverged(): void {
    // What was offered may be committed all the same: whoever waits is told no more than that.
    const error = new OpenClawError("UNAVAILABLE", agreementText(this.#parts.upkeep.comparisons.agreement));
    this.#parts.proposals.abandon(error);
    this.#parts.barriers.abandon(error);
    this.#raft?.loseState(this.#parts.applied.index);
    // So that a start after this one knows it at once.
    this.#options.state.checkpoint().catch((failure: unknown) => this.#fatal(failure));
  }

  /** @throws OpenClawError STOPPED, DIVERGED */
  #assertServing(): void {
    this.#assertRunning();
    this.#parts.upkeep.comparisons.assertSound();
  }

  #assertRunning(): void {
    if (this.#phase !== "running") throw new OpenClawError("STOPPED");
  }

  #running(): Raft {
    invariant(this.#raft !== null, "the replica has not started");
    return this.#raft;
  }

  /** Stops taking part; callers are answered. */
  #halt(error: OpenClawError): void {
    this.#phase = "stopped";
    this.#cancelTick();
    this.#parts.proposals.abandon(error);
    this.#parts.barriers.abandon(error);
    this.#parts.requests.abandon(error);
    this.#parts.upkeep.comparisons.abandon(error);
  }

  #fatal(cause: unknown): void {
    if (this.#phase === "stopped") return;
    const error = cause instanceof Error ? cause : new InvariantViolation(String(cause));
    this.#halt(new OpenClawError("STOPPED", "", { cause: error }));
    this.#options.onFatal(error);
  }
}
