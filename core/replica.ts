/**
 * One member of a cluster: drives raft, the stores and the transport. The one way in is `propose`, the one way out is
 * the ledger.
 */
import { toHex } from "./bytes.ts";
import { InvariantViolation, invariant, OpenClawError } from "./errors.ts";
import { type ClusterId, type Epoch, type Index, type NodeId, type Revision, type SessionId, type Term, index } from "./ids.ts";
import type {
  Clock, LedgerSlice, LogStore, Random, SnapshotHeader, StateStore, StoredLog, StoredRecord, StoredState, Transport,
} from "./ports.ts";
import type { Membership, RaftMessage, SnapshotMeta } from "./raft/message.ts";
import { Raft } from "./raft/raft.ts";
import type { RaftStatus, Ready, Role } from "./raft/ready.ts";
import { ApplyBacklog } from "./replica/apply-backlog.ts";
import { Barriers } from "./replica/barriers.ts";
import { Forwarded } from "./replica/forwarded.ts";
import { LogRetention, type RetentionLimits } from "./replica/log-retention.ts";
import { Proposals } from "./replica/proposals.ts";
import { within } from "./replica/within.ts";
import type { CommandResult, Outcome, SystemCommand, UserCommand } from "./state-machine/command.ts";
import { encodeCommands } from "./state-machine/command-codec.ts";
import type { Answer, Position, Query } from "./state-machine/query.ts";

export interface ReplicaOptions {
  readonly cluster: ClusterId;
  readonly id: NodeId;
  /** Founding voters, used when the stores are empty. */
  readonly membership: Membership;
  readonly epoch: Epoch;
  readonly log: LogStore;
  readonly state: StateStore;
  readonly transport: Transport;
  readonly clock: Clock;
  readonly random: Random;
  /** One Raft tick, ms. Heartbeat 2 ticks, election 10–20 ticks. */
  readonly tickMs: number;
  /** How much of the log is kept; the default suits a node. */
  readonly retention?: RetentionLimits;
  /** The replica can no longer vouch for its disk, or an invariant broke: stop the process. Called at most once. */
  readonly onFatal: (error: Error) => void;
}

export interface ProposeOptions {
  readonly principal: string;
  /** Give up with UNAVAILABLE after this long. */
  readonly timeoutMs: number;
}

export interface ReplicaStatus {
  readonly cluster: ClusterId;
  readonly id: NodeId;
  readonly epoch: Epoch;
  readonly raft: RaftStatus;
  readonly role: Role;
  readonly leader: NodeId | null;
  readonly term: Term;
  readonly applied: Index;
  readonly revision: Revision;
  readonly members: readonly NodeId[];
  readonly waiting: number;
}

/**
 * What watchers, the uplink and children see, in ledger order, after it is applied here. After a snapshot was installed
 * the records between are not delivered: a listener whose next revision is not the first record's, or who is behind
 * `revision` with no records, pages from `ledger`.
 */
export interface LedgerAdvance {
  readonly records: readonly StoredRecord[];
  readonly revision: Revision;
  /** The parent holds our ledger up to here (S3). */
  readonly parentHolds: Revision;
}

/** A leader is heard every second tick; an election starts after 10 to 20 (core/raft/options.ts). */
const HEARTBEAT_TICKS = 2;
/**
 * A log write without an answer for this many ticks (30 s at 50 ms) will have none: the disk hangs. A leader would lead on
 * meanwhile, because its heartbeats need no disk, and commit nothing. Ticks, not ms: a machine that slept had none.
 */
const DISK_SILENT_TICKS_MAX = 600;
/** A copy of the state is costly: after a failed transfer the next one waits this long, ms. */
const SNAPSHOT_REST_MS = 2_000;

type Phase = "new" | "starting" | "running" | "stopped";

export class Replica {
  readonly #options: ReplicaOptions;
  readonly #proposals: Proposals;
  readonly #barriers: Barriers;
  readonly #retention: LogRetention;
  readonly #listeners = new Set<(advance: LedgerAdvance) => void>();
  readonly #leadershipListeners = new Set<(status: ReplicaStatus) => void>();
  #raft: Raft | null = null;
  #phase: Phase = "new";
  #position: Position | null = null;
  #membership: Membership;
  #cancelTick: () => void = () => {};
  #role: Role = "follower";
  #leader: NodeId | null = null;
  #term: Term | null = null;
  #applied: Index = index(0);
  /** The last log write; the next one's completion follows it. */
  #lastAppend: Promise<void> = Promise.resolve();
  #appendsInFlight = 0;
  /** Ticks since the last answer to a write, while there are writes. */
  #diskSilentTicks = 0;
  #flushScheduled = false;
  readonly #forwarded = new Forwarded();
  readonly #committed = new ApplyBacklog();
  #applying: Promise<void> | null = null;
  #installing: Promise<void> | null = null;
  #snapshotsWanted = new Set<NodeId>();
  #sendingSnapshot = false;
  #receivingSnapshot: Promise<void> = Promise.resolve();
  #compacting = false;
  #openingSession: Promise<void> | null = null;

  constructor(options: ReplicaOptions) {
    this.#options = options;
    this.#membership = options.membership;
    this.#retention = new LogRetention(options.retention);
    this.#proposals = new Proposals(options.clock, options.random);
    this.#barriers = new Barriers(options.clock);
  }

  /** Opens the stores, replays the log, takes part. @throws OpenClawError DATA_CORRUPT, DATA_FOREIGN, DATA_IN_USE, DATA_NEWER */
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
    const { log, state, transport, clock, random, id } = this.#options;
    const stored = await state.open();
    this.#assertStarting();
    const storedLog = await this.#fitting(await log.open(), stored);
    this.#assertStarting();
    this.#position = stored.position;
    this.#applied = stored.applied;
    if (stored.applied > 0) this.#membership = stored.membership;
    this.#retention.restart(storedLog.base.index, storedLog.entries);
    this.#raft = new Raft({
      id,
      membership: this.#membership,
      hardState: storedLog.hardState,
      base: storedLog.base,
      entries: storedLog.entries,
      applied: stored.applied,
      recoverTo: storedLog.highWater,
      heartbeatTicks: HEARTBEAT_TICKS,
      random: () => random.unit(),
    });
    this.#phase = "running";
    transport.receive({
      messages: (messages) => this.#received(messages),
      snapshot: (header, chunks) => this.#receivedSnapshot(header, chunks),
    });
    const tick = (): void => {
      this.#cancelTick = clock.after(this.#options.tickMs, tick);
      this.#tick();
    };
    this.#cancelTick = clock.after(this.#options.tickMs, tick);
    this.#drive(() => {});
  }

  /**
   * The log, which holds the entry that the state applied last. If it holds none or another one there (R8), a snapshot was
   * installed, or a follower applied what was committed before its own disk had it, and the crash came before the log's
   * write: nothing of such a log is of use, for what follows an entry that is not the committed one is not either.
   */
  async #fitting(stored: StoredLog, { applied, appliedTerm }: StoredState): Promise<StoredLog> {
    const { hardState, base, entries, highWater } = stored;
    if (applied < base.index) {
      throw new OpenClawError("DATA_CORRUPT", `the state ends at ${applied}, before the log's first entry, ${base.index + 1}`);
    }
    const at = applied === base.index ? base : entries[applied - base.index - 1];
    if (at?.term === appliedTerm) return stored;
    const last = entries.at(-1)?.index ?? base.index;
    const fresh = { index: applied, term: appliedTerm };
    await this.#options.log.reset(fresh);
    // As the store itself does (R5): what was lost stays lost, what is dropped here is not missed.
    return { hardState, base: fresh, entries: [], highWater: last < highWater ? highWater : applied };
  }

  #assertStarting(): void {
    if (this.#phase !== "starting") throw new OpenClawError("STOPPED");
  }

  /** Also after a failure of its own, whose stores are still open. */
  async stop(): Promise<void> {
    if (this.#phase !== "stopped") this.#halt(new OpenClawError("STOPPED"));
    await Promise.allSettled([this.#lastAppend, this.#applying, this.#installing]);
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
    const { clock } = this.#options;
    const deadline = clock.now() + options.timeoutMs;
    while (this.#proposals.session === null) await within(clock, deadline - clock.now(), this.#openSession());
    const { session } = this.#proposals;
    const result = await this.#submit(command, { ...options, timeoutMs: deadline - clock.now() });
    if (result.kind !== "outcome") throw new InvariantViolation(`a user command was answered ${result.kind}`);
    if (!result.outcome.ok && result.outcome.code === "SESSION_EXPIRED") {
      this.#proposals.expired(session);
      throw new OpenClawError("SESSION_EXPIRED");
    }
    return result.outcome;
  }

  /**
   * Proposes a command whose repetition is harmless (imports carry cursors), retried until `timeoutMs`.
   * @throws OpenClawError OVERLOADED, UNAVAILABLE, STOPPED
   */
  propose(command: SystemCommand, options: ProposeOptions): Promise<CommandResult> {
    return this.#submit(command, options);
  }

  /** Resolves when a local read is linearizable: ReadIndex, then applied (thesis §6.4). @throws OpenClawError OVERLOADED, UNAVAILABLE, STOPPED */
  async barrier(timeoutMs: number): Promise<void> {
    this.#assertRunning();
    const waiting = this.#barriers.wait(timeoutMs);
    this.#schedule();
    return waiting;
  }

  /** Reads local state; for a linearizable read, `await barrier()` first. */
  read<Q extends Query>(query: Q): Promise<Answer<Q>> {
    this.#assertRunning();
    return this.#options.state.read(query);
  }

  /** Encoded records from `from` on, at most `maxBytes`. @throws OpenClawError COMPACTED */
  ledger(from: Revision, maxBytes: number): Promise<LedgerSlice> {
    this.#assertRunning();
    return this.#options.state.ledger(from, maxBytes);
  }

  /** Calls back for every advance; the returned function ends it. */
  follow(listener: (advance: LedgerAdvance) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Calls back when role, term or leader changed; the returned function ends it. */
  onLeadership(listener: (status: ReplicaStatus) => void): () => void {
    this.#leadershipListeners.add(listener);
    return () => this.#leadershipListeners.delete(listener);
  }

  position(): Position {
    invariant(this.#position !== null, "position before start");
    return this.#position;
  }

  status(): ReplicaStatus {
    const raft = this.#running().status();
    const position = this.position();
    return {
      cluster: this.#options.cluster,
      id: this.#options.id,
      epoch: position.epoch,
      raft,
      role: raft.role,
      leader: raft.leader,
      term: raft.term,
      applied: raft.applied,
      revision: position.revision,
      members: this.#membership.voters,
      waiting: this.#proposals.waiting,
    };
  }

  async #submit(command: UserCommand | SystemCommand, options: ProposeOptions): Promise<CommandResult> {
    this.#assertRunning();
    if (this.#committed.full) throw new OpenClawError("OVERLOADED", "apply is behind");
    const answer = this.#proposals.submit(command, options.principal, options.timeoutMs);
    this.#schedule();
    return answer;
  }

  /** One at a time, for all who need it; it is tried until it succeeds or the replica stops. */
  #openSession(): Promise<void> {
    this.#openingSession ??= (async () => {
      try {
        const session = toHex(this.#options.random.bytes(16)) as SessionId;
        const command: SystemCommand = { kind: "openSession", session };
        const principal = `node:${this.#options.id}`;
        const result = await this.#submit(command, { principal, timeoutMs: Number.POSITIVE_INFINITY });
        invariant(result.kind === "sessionOpened", "openSession was answered with something else");
        this.#proposals.adopt(session);
      } finally {
        this.#openingSession = null;
      }
    })();
    return this.#openingSession;
  }

  #tick(): void {
    this.#drive((raft) => {
      if (this.#appendsInFlight > 0 && ++this.#diskSilentTicks > DISK_SILENT_TICKS_MAX) {
        throw new OpenClawError("STORAGE_FAILED", "the log's disk does not answer");
      }
      raft.tick();
      this.#proposals.tick();
      this.#barriers.tick();
    });
  }

  #received(messages: readonly RaftMessage[]): void {
    this.#drive((raft) => {
      for (const message of messages) raft.step(message);
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
      while (this.#installing === null) {
        this.#offer(raft);
        if (!raft.hasReady()) break;
        this.#handle(raft.ready());
      }
      this.#noteLeadership(raft);
    } catch (error) {
      this.#fatal(error);
    }
  }

  #offer(raft: Raft): void {
    const context = this.#barriers.ask();
    if (context !== null) raft.readIndex(context);
    if (raft.role === "leader") {
      // R3: a batch is what waits while the previous write is in flight.
      if (this.#appendsInFlight > 0) return;
      for (const data of this.#forwarded.take()) if (!raft.propose(data).ok) break;
      if (!this.#proposals.queued) return;
      const batch = this.#proposals.take();
      // A refusal (OVERLOADED, or the leadership just lost) leaves the batch to the retry of its proposals.
      if (batch.length > 0) raft.propose(encodeCommands(batch));
      return;
    }
    this.#forwarded.take();
    if (raft.leader === null) return;
    while (this.#proposals.queued) {
      const batch = this.#proposals.take();
      if (batch.length > 0) raft.forward(encodeCommands(batch));
    }
  }

  /** The ordering contract of `Ready`. */
  #handle(ready: Ready): void {
    this.#send(ready.messages);
    if (ready.snapshot === null) {
      this.#handleRest(ready);
      return;
    }
    this.#installing = this.#install(ready.snapshot).then(
      () =>
        this.#drive(() => {
          this.#installing = null;
          this.#handleRest(ready);
        }),
      (error: unknown) => this.#fatal(error),
    );
  }

  #handleRest(ready: Ready): void {
    this.#persist(ready);
    this.#committed.push(ready.committed);
    this.#applyNext();
    for (const state of ready.readStates) this.#barriers.confirmed(state, this.#applied);
    for (const context of ready.readsDropped) this.#barriers.dropped(context);
    for (const to of ready.snapshotsTo) this.#snapshotsWanted.add(to);
    this.#sendSnapshots();
    if (!this.#committed.full) this.#forwarded.push(ready.forwarded);
  }

  #persist(ready: Ready): void {
    const { persisted, afterDurable } = ready;
    if (persisted === null) return;
    this.#appendsInFlight++;
    this.#retention.appended(ready.entries);
    this.#lastAppend = this.#options.log.append(ready.hardState, ready.entries).then(
      () =>
        this.#drive((raft) => {
          this.#appendsInFlight--;
          this.#diskSilentTicks = 0;
          this.#send(afterDurable);
          raft.durable(persisted);
        }),
      (error: unknown) => this.#fatal(error),
    );
  }

  #send(messages: readonly RaftMessage[]): void {
    if (messages.length === 0) return;
    const byPeer = new Map<NodeId, RaftMessage[]>();
    for (const message of messages) {
      const batch = byPeer.get(message.to);
      if (batch === undefined) byPeer.set(message.to, [message]);
      else batch.push(message);
    }
    for (const [to, batch] of byPeer) this.#options.transport.send(to, batch);
  }

  /** One apply in flight; what commits meanwhile is the next batch. */
  #applyNext(): void {
    if (this.#applying !== null || this.#committed.empty || this.#phase !== "running") return;
    this.#applying = this.#options.state.apply(this.#committed.take()).then(
      (applied) =>
        this.#drive((raft) => {
          this.#applying = null;
          const before = this.position();
          this.#position = applied.position;
          this.#applied = applied.index;
          raft.applied(applied.index);
          for (const { proposer, request, result } of applied.results) this.#proposals.settle(proposer, request, result);
          this.#barriers.applied(applied.index);
          if (applied.records.length > 0 || before.parentHolds !== applied.position.parentHolds) this.#advance(applied.records);
          this.#applyNext();
          this.#compact();
        }),
      (error: unknown) => this.#fatal(error),
    );
  }

  #advance(records: readonly StoredRecord[]): void {
    const { revision, parentHolds } = this.position();
    for (const listener of this.#listeners) listener({ records, revision, parentHolds });
  }

  /** R8: the new state first, then the log, then (by Raft) the acknowledgement. */
  async #install(meta: SnapshotMeta): Promise<void> {
    // The snapshot holds what waits; what is being applied comes before it.
    this.#committed.clear();
    await this.#applying;
    if (this.#phase !== "running") return;
    const stored = await this.#options.state.install(meta);
    await this.#options.log.reset({ index: meta.index, term: meta.term });
    if (this.#phase !== "running") return;
    this.#retention.restart(meta.index, []);
    this.#membership = stored.membership;
    this.#position = stored.position;
    this.#applied = meta.index;
    this.#running().snapshotInstalled(meta);
    this.#barriers.applied(meta.index);
    this.#advance([]);
  }

  /** One snapshot is staged at a time, and the next waits until Raft has taken or refused it (pitfall 14). */
  #receivedSnapshot(header: SnapshotHeader, chunks: AsyncIterable<Uint8Array>): Promise<void> {
    const turn = this.#receivingSnapshot.then(async () => {
      this.#assertRunning();
      await this.#installing;
      await this.#options.state.stage(header, chunks);
      const { id: to } = this.#options;
      this.#received([{ kind: "snapshot", from: header.from, to, term: header.term, meta: header.meta }]);
      await this.#installing;
    });
    this.#receivingSnapshot = turn.catch(() => {});
    return turn;
  }

  /** Followers that fell behind the log get a copy of the state, one after the other. */
  #sendSnapshots(): void {
    const [to] = this.#snapshotsWanted;
    if (to === undefined || this.#sendingSnapshot || this.#phase !== "running") return;
    this.#snapshotsWanted.delete(to);
    this.#sendingSnapshot = true;
    this.#sendSnapshot(to)
      .then(
        () => this.#drive((raft) => raft.snapshotSent(to)),
        async (error: unknown) => {
          // Unreachable, or no room for a copy. What else a store says of itself is no failed transfer.
          if (!(error instanceof OpenClawError && error.retryable)) throw error;
          this.#drive((raft) => raft.snapshotFailed(to));
          await new Promise<void>((resolve) => this.#options.clock.after(SNAPSHOT_REST_MS, resolve));
        },
      )
      .then(() => {
        this.#sendingSnapshot = false;
        this.#sendSnapshots();
      })
      .catch((error: unknown) => this.#fatal(error));
  }

  async #sendSnapshot(to: NodeId): Promise<void> {
    const { state, transport, id: from } = this.#options;
    const snapshot = await state.snapshot();
    try {
      const { meta, epoch, hash, bytes } = snapshot;
      const { term } = this.#running();
      await transport.sendSnapshot(to, { from, term, meta, epoch, hash, bytes }, snapshot.chunks());
    } finally {
      await snapshot.dispose();
    }
  }

  /** R7: the log is cut only behind what a complete checkpoint covers. */
  #compact(): void {
    if (this.#compacting || this.#phase !== "running" || !this.#retention.due()) return;
    this.#compacting = true;
    this.#retention.tried();
    (async () => {
      const { applied } = await this.#options.state.checkpoint();
      const raft = this.#running();
      const cut = this.#retention.cut(applied);
      if (cut === null || cut <= raft.status().firstIndex - 1) return;
      const term = raft.termAt(cut);
      invariant(term !== null, "the log is cut at an entry it holds");
      raft.compact(cut);
      this.#retention.compacted(cut);
      await this.#options.log.compact({ index: cut, term });
    })()
      .then(() => {
        this.#compacting = false;
      })
      .catch((error: unknown) => this.#fatal(error));
  }

  #noteLeadership(raft: Raft): void {
    if (raft.role === this.#role && raft.leader === this.#leader && raft.term === this.#term) return;
    const offerAgain = raft.leader !== null && (raft.leader !== this.#leader || raft.term !== this.#term);
    this.#role = raft.role;
    this.#leader = raft.leader;
    this.#term = raft.term;
    if (offerAgain) {
      this.#proposals.offerAllAgain();
      this.#schedule();
    }
    const status = this.status();
    for (const listener of this.#leadershipListeners) listener(status);
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
  }

  #fatal(cause: unknown): void {
    if (this.#phase === "stopped") return;
    const error = cause instanceof Error ? cause : new InvariantViolation(String(cause));
    this.#halt(new OpenClawError("STOPPED", "", { cause: error }));
    this.#options.onFatal(error);
  }
}
