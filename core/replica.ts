/**
 * One member of a cluster: drives raft, the stores and the transport. The one way in is `propose`, the one way out is
 * the ledger.
 */
import { InvariantViolation, invariant, OpenClawError } from "./errors.ts";
import type { HistoryAnswer, HistoryQuery } from "./history/history-query.ts";
import { index, type NodeId, type Revision } from "./ids.ts";
import type { Applied, LedgerSlice, StoredState } from "./ports.ts";
import type { MembershipChange } from "./raft/membership.ts";
import type { RaftMessage, SnapshotMeta } from "./raft/message.ts";
import type { Raft } from "./raft/raft.ts";
import { AppliedState } from "./replica/applied-state.ts";
import { Barriers } from "./replica/barriers.ts";
import { Compaction } from "./replica/compaction.ts";
import type { LedgerAdvance, ProposeOptions, ReplicaOptions, ReplicaStatus } from "./replica/contract.ts";
import { DueStamps } from "./replica/due-stamps.ts";
import { Freshness } from "./replica/freshness.ts";
import { GroupRequests } from "./replica/group-requests.ts";
import { Leadership } from "./replica/leadership.ts";
import { LogRetention } from "./replica/log-retention.ts";
import { LogWrites } from "./replica/log-writes.ts";
import { Offers } from "./replica/offers.ts";
import { type IdempotentResult, OwnSession } from "./replica/own-session.ts";
import { Proposals, type Proposed } from "./replica/proposals.ts";
import { raftOfStored } from "./replica/raft-of-stored.ts";
import { ReadyHandler } from "./replica/ready-handler.ts";
import { SnapshotReceiver } from "./replica/snapshot-receiver.ts";
import { SNAPSHOT_BYTES_PER_SECOND, SnapshotSender } from "./replica/snapshot-sender.ts";
import { replicaStatus } from "./replica/status.ts";
import { openStores } from "./replica/stored.ts";
import { VersionRaise } from "./replica/version-raise.ts";
import { within } from "./replica/within.ts";
import type { CommandResult, IdempotentCommand, Outcome, SystemCommand, UserCommand } from "./state-machine/command.ts";
import type { Answer, Position, Query } from "./state-machine/query.ts";

type Phase = "new" | "starting" | "running" | "stopped";

export class Replica {
  readonly #options: ReplicaOptions;
  readonly #proposals: Proposals;
  readonly #barriers: Barriers;
  readonly #retention: LogRetention;
  readonly #compaction: Compaction;
  readonly #snapshots: SnapshotSender;
  readonly #ready: ReadyHandler;
  readonly #receiver: SnapshotReceiver;
  readonly #requests: GroupRequests;
  readonly #session: OwnSession;
  readonly #writes: LogWrites;
  readonly #offers: Offers;
  readonly #applied: AppliedState;
  readonly #leadership = new Leadership();
  readonly #freshness: Freshness;
  readonly #versions: VersionRaise;
  readonly #due: DueStamps;
  #raft: Raft | null = null;
  #phase: Phase = "new";
  #cancelTick: () => void = () => {};
  #flushScheduled = false;

  constructor(options: ReplicaOptions) {
    this.#options = options;
    this.#retention = new LogRetention(options.retention);
    this.#proposals = new Proposals(options.clock, options.random);
    this.#barriers = new Barriers(options.clock);
    this.#freshness = new Freshness(options.clock);
    this.#session = new OwnSession({
      clock: options.clock,
      random: options.random,
      proposals: this.#proposals,
      principal: `node:${options.id}`,
      submit: (command, how) => this.#submit(command, how),
    });
    this.#writes = new LogWrites(options.log);
    this.#offers = new Offers(this.#proposals, this.#barriers, this.#writes);
    const newest = options.applyVersions.length;
    this.#applied = new AppliedState({
      state: options.state,
      newest,
      running: () => this.#phase === "running",
      applied: (batch, record) => this.#drive((raft) => this.#answer(raft, batch, record)),
      failed: (error) => this.#fatal(error),
    });
    const upkeep = {
      propose: (command: SystemCommand, timeoutMs: number) =>
        this.#submit(command, { principal: `node:${options.id}`, timeoutMs }),
      running: () => this.#phase === "running",
      failed: (error: unknown) => this.#fatal(error),
    };
    const version = (): number => this.position().applyVersion;
    this.#versions = new VersionRaise({ state: options.state, newest, version, ...upkeep });
    this.#due = new DueStamps({ clock: options.clock, ...upkeep });
    this.#applied.followMembers(() => this.#versions.changed());
    this.#requests = new GroupRequests(options.clock, (node, raft) => this.#versions.refusal(node, raft));
    this.#receiver = new SnapshotReceiver({
      to: options.id,
      state: options.state,
      log: options.log,
      assertRunning: () => this.#assertRunning(),
      running: () => this.#phase === "running",
      drained: () => this.#applied.drain(),
      staged: (message) => this.#received([message]),
      installed: (meta, stored) => this.#installed(meta, stored),
    });
    this.#compaction = new Compaction(options.state, options.log, this.#retention);
    this.#snapshots = new SnapshotSender({
      from: options.id,
      state: options.state,
      transport: options.transport,
      clock: options.clock,
      bytesPerSecond: options.snapshotBytesPerSecond ?? SNAPSHOT_BYTES_PER_SECOND,
      running: () => this.#phase === "running",
      term: () => this.#running().term,
      base: () => index(this.#running().status().firstIndex - 1),
      ended: (to, outcome) =>
        this.#drive((raft) => {
          if (outcome === "sent") raft.snapshotSent(to);
          else raft.snapshotFailed(to);
        }),
      failed: (error) => this.#fatal(error),
    });
    this.#ready = new ReadyHandler({
      transport: options.transport,
      writes: this.#writes,
      retention: this.#retention,
      applied: this.#applied,
      barriers: this.#barriers,
      offers: this.#offers,
      snapshots: this.#snapshots,
      receiver: this.#receiver,
      drive: (work) => this.#drive(work),
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
    this.#applied.open(stored);
    this.#retention.restart(storedLog.base.index, storedLog.entries);
    this.#raft = raftOfStored(this.#options, stored, storedLog, (node) =>
      this.#versions.refusal(node, this.#running()),
    );
    this.#phase = "running";
    transport.receive({
      // A snapshot is taken when its bytes are staged, by the receiver alone: a peer cannot merely claim it.
      messages: (messages) => this.#received(messages.filter(({ kind }) => kind !== "snapshot")),
      snapshot: (header, chunks) => this.#receiver.receive(header, chunks),
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
    await Promise.allSettled([this.#writes.settled(), this.#applied.settled(), this.#receiver.settled()]);
    await this.#closeStores();
  }

  async #closeStores(): Promise<void> {
    await Promise.all([this.#options.log.close(), this.#options.state.close()]);
  }

  /**
   * Runs a user command at most once, retried across leader changes within this replica's session (Q1).
   * @throws OpenClawError OVERLOADED, UNAVAILABLE, SESSION_EXPIRED, STOPPED
   */
  async execute(command: UserCommand, options: ProposeOptions): Promise<Outcome> {
    this.#assertRunning();
    return this.#session.execute(command, options);
  }

  /** The same under an `Idempotency-Key`: a repeat, at whatever node, gets the first outcome and does not run. @throws as `execute` */
  async executeIdempotent(command: IdempotentCommand, options: ProposeOptions): Promise<IdempotentResult> {
    this.#assertRunning();
    return this.#session.executeIdempotent(command, options);
  }

  /**
   * Proposes a command whose repetition is harmless (imports carry cursors), retried until `timeoutMs`.
   * @throws OpenClawError OVERLOADED, UNAVAILABLE, STOPPED
   */
  propose(command: SystemCommand, options: ProposeOptions): Promise<CommandResult> {
    return this.#submit(command, options);
  }

  /**
   * Adds or removes a member; resolves when that is committed. A node that is added starts as a learner.
   * @throws OpenClawError MEMBERSHIP_INVALID, MEMBERSHIP_PENDING, NODE_TOO_OLD, OVERLOADED, UNAVAILABLE, STOPPED
   */
  async changeMembership(change: MembershipChange, timeoutMs: number): Promise<void> {
    this.#assertRunning();
    const { clock } = this.#options;
    const deadline = clock.now() + timeoutMs;
    await within(clock, timeoutMs, this.#versions.refreshed());
    return this.#asked(() => this.#requests.change(change, deadline - clock.now()));
  }

  /** Resolves when `to` leads. @throws OpenClawError TRANSFER_REFUSED, OVERLOADED, UNAVAILABLE, STOPPED */
  transferLeadership(to: NodeId, timeoutMs: number): Promise<void> {
    return this.#asked(() => this.#requests.transfer(to, timeoutMs));
  }

  /** Before a planned stop: somebody else leads, if this node does and anybody can. Never fails, and takes `timeoutMs` at most. */
  async handOver(timeoutMs: number): Promise<void> {
    if (this.#phase !== "running" || this.#running().role !== "leader") return;
    const { heir } = this.#running();
    // Whoever stops anyway has nothing to do about a transfer that fails: the others elect in their own time.
    if (heir !== null) await this.transferLeadership(heir, timeoutMs).catch(() => {});
  }

  /** Resolves when a local read is linearizable: ReadIndex, then applied (thesis §6.4). @throws OpenClawError OVERLOADED, UNAVAILABLE, STOPPED */
  barrier(timeoutMs: number): Promise<void> {
    return this.#asked(() => this.#barriers.wait(timeoutMs));
  }

  /** Reads local state; for a linearizable read, `await barrier()` first. */
  read<Q extends Query>(query: Q): Promise<Answer<Q>> {
    this.#assertRunning();
    return this.#options.state.read(query);
  }

  /** Reads local state as it was. @throws OpenClawError as `StateStore.history`; STOPPED */
  history<Q extends HistoryQuery>(query: Q): Promise<HistoryAnswer<Q>> {
    this.#assertRunning();
    return this.#options.state.history(query);
  }

  /** Encoded records from `from` on, at most `maxBytes`. @throws OpenClawError COMPACTED */
  ledger(from: Revision, maxBytes: number): Promise<LedgerSlice> {
    this.#assertRunning();
    return this.#options.state.ledger(from, maxBytes);
  }

  /** Calls back for every advance; the returned function ends it. */
  follow(listener: (advance: LedgerAdvance) => void): () => void {
    return this.#applied.follow(listener);
  }

  /** Calls back when the members or their rows may have changed here; the returned function ends it. */
  onMembers(listener: () => void): () => void {
    return this.#applied.followMembers(listener);
  }

  /** Calls back when role, term or leader changed; the returned function ends it. */
  onLeadership(listener: (status: ReplicaStatus) => void): () => void {
    return this.#leadership.follow(listener);
  }

  position(): Position {
    return this.#applied.position;
  }

  /** How stale a local read may be: ms since this node last knew that it held all that was committed; null when never. */
  staleMs(): number | null {
    this.#freshness.tick(this.#running(), this.#applied.index);
    return this.#freshness.age;
  }

  status(): ReplicaStatus {
    const raft = this.#running().status();
    return replicaStatus(this.#options, raft, this.position(), {
      members: raft.committedMembership.voters,
      waiting: this.#proposals.waiting,
      snapshots: { sending: this.#snapshots.sending, receiving: this.#receiver.receiving },
    });
  }

  #submit(command: Proposed, options: ProposeOptions): Promise<CommandResult> {
    return this.#asked(() => {
      if (this.#applied.full) throw new OpenClawError("OVERLOADED", "apply is behind");
      return this.#proposals.submit(command, options.principal, options.timeoutMs);
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
      this.#writes.tick();
      raft.tick();
      this.#freshness.tick(raft, this.#applied.index);
      this.#proposals.tick();
      this.#barriers.tick();
      this.#versions.tick(raft);
      this.#due.tick(this.position(), raft.role === "leader");
    });
  }

  #received(messages: readonly RaftMessage[]): void {
    this.#drive((raft) => {
      for (const message of messages) {
        raft.step(message);
        this.#freshness.received(raft, message, this.#applied.index);
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
      while (!this.#receiver.installing) {
        this.#requests.look(raft);
        this.#offers.offer(raft);
        if (!raft.hasReady()) break;
        this.#ready.handle(raft.ready());
      }
      if (this.#leadership.note(raft, () => this.status())) {
        this.#proposals.offerAllAgain();
        this.#schedule();
      }
    } catch (error) {
      this.#fatal(error);
    }
  }

  /** A batch is in the state: those who waited for it are told, then those who follow the ledger. */
  #answer(raft: Raft, batch: Applied, record: () => void): void {
    raft.applied(batch.index);
    for (const { proposer, request, result } of batch.results) this.#proposals.settle(proposer, request, result);
    record();
    this.#barriers.applied(batch.index);
    this.#applied.next();
    this.#compaction.consider(raft).catch((error: unknown) => this.#fatal(error));
  }

  /** State and log are the snapshot's. */
  #installed(meta: SnapshotMeta, stored: StoredState): void {
    this.#retention.restart(meta.index, []);
    this.#running().snapshotInstalled(meta);
    this.#applied.replace(stored);
    this.#barriers.applied(meta.index);
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
    this.#proposals.abandon(error);
    this.#barriers.abandon(error);
    this.#requests.abandon(error);
  }

  #fatal(cause: unknown): void {
    if (this.#phase === "stopped") return;
    const error = cause instanceof Error ? cause : new InvariantViolation(String(cause));
    this.#halt(new OpenClawError("STOPPED", "", { cause: error }));
    this.#options.onFatal(error);
  }
}
