/** Whole replicas over stores and links in memory, under virtual time: what a test of a cluster starts from. */
import { type ClusterId, type NodeId, revision } from "@openclaw/core/ids.ts";
import type { Membership } from "@openclaw/core/raft/message.ts";
import type { LedgerAdvance } from "@openclaw/core/replica/contract.ts";
import type { RetentionLimits } from "@openclaw/core/replica/log-retention.ts";
import { Replica } from "@openclaw/core/replica.ts";
import { MemoryLogStore } from "./memory-log-store.ts";
import { MemoryNetwork } from "./memory-network.ts";
import { MemoryStateStore } from "./memory-state-store.ts";
import { SeededRandom } from "./seeded-random.ts";
import { elapse, ProcessClock, VirtualClock } from "./virtual-clock.ts";

const TICK_MS = 50;

export interface MemoryMember {
  readonly id: NodeId;
  replica: Replica;
  /** May be stopped for a while, as a process may. */
  clock: ProcessClock;
  log: MemoryLogStore;
  state: MemoryStateStore;
  failure: Error | null;
  /** False between a power cut and the next start. */
  up: boolean;
}

export interface MemoryClusterOptions {
  /** Shorter than the default, so that a short test sees snapshots. */
  readonly retention?: RetentionLimits;
  readonly snapshotBytesPerSecond?: number;
  /** Every advance of every member, from its start on. */
  readonly onAdvance?: (member: MemoryMember, advance: LedgerAdvance) => void;
}

export class MemoryCluster {
  readonly clock = new VirtualClock();
  readonly network = new MemoryNetwork(this.clock);
  readonly members: MemoryMember[];
  readonly #random: SeededRandom;
  readonly #membership: Membership;
  readonly #cluster = "test" as ClusterId;
  readonly #options: MemoryClusterOptions;
  readonly #epoch = { counter: 1, nonce: "ab".repeat(16), parent: null, departure: revision(0) };

  constructor(size: number, seed = 1, options: MemoryClusterOptions = {}) {
    this.#options = options;
    this.#random = new SeededRandom(seed);
    const ids = Array.from({ length: size }, (_, i) => `n${i + 1}` as NodeId);
    this.#membership = { voters: ids };
    this.members = ids.map((id) => {
      const log = new MemoryLogStore();
      const state = new MemoryStateStore({ cluster: this.#cluster, epoch: this.#epoch, membership: this.#membership });
      return this.#member(id, log, state);
    });
  }

  #member(id: NodeId, log: MemoryLogStore, state: MemoryStateStore): MemoryMember {
    const clock = new ProcessClock(this.clock);
    const member: MemoryMember = {
      id,
      clock,
      log,
      state,
      failure: null,
      up: false,
      replica: this.#replica(id, clock, log, state, (error) => {
        member.failure = error;
      }),
    };
    return member;
  }

  #replica(
    id: NodeId,
    clock: ProcessClock,
    log: MemoryLogStore,
    state: MemoryStateStore,
    onFatal: (error: Error) => void,
  ): Replica {
    const { retention, snapshotBytesPerSecond } = this.#options;
    return new Replica({
      cluster: this.#cluster,
      id,
      membership: this.#membership,
      epoch: this.#epoch,
      log,
      state,
      transport: this.network.transport(id, clock),
      clock,
      random: this.#random,
      tickMs: TICK_MS,
      ...(retention === undefined ? {} : { retention }),
      ...(snapshotBytesPerSecond === undefined ? {} : { snapshotBytesPerSecond }),
      onFatal,
    });
  }

  async start(): Promise<void> {
    await Promise.all(this.members.map((member) => this.#start(member)));
  }

  async #start(member: MemoryMember): Promise<void> {
    const { onAdvance } = this.#options;
    if (onAdvance !== undefined) member.replica.follow((advance) => onAdvance(member, advance));
    member.up = true;
    await member.replica.start();
  }

  elapse(ms: number): Promise<void> {
    return elapse(this.clock, ms);
  }

  /** Moves time on until there is one leader that a majority follows. */
  async leader(withinMs = 10_000): Promise<MemoryMember> {
    const until = this.clock.now() + withinMs;
    for (;;) {
      const running = this.members.filter((member) => member.up && member.failure === null);
      const leader = running.find(({ id, replica }) => {
        const status = replica.status();
        if (status.role !== "leader") return false;
        const followers = running.filter(
          (other) => other.replica.status().leader === id && other.replica.status().term === status.term,
        );
        return followers.length * 2 > this.members.length;
      });
      if (leader !== undefined) return leader;
      if (this.clock.now() >= until) throw new Error(`no leader within ${withinMs} ms`);
      await this.elapse(TICK_MS);
    }
  }

  /** A power cut: what was not durable is gone; the node starts again on what is left. */
  async powerCut(member: MemoryMember): Promise<void> {
    this.powerOff(member);
    await this.powerOn(member);
  }

  /** Of the log writes that were not answered, the first `logSurvivors` reached the disk nevertheless; `rotten`: see the log. */
  powerOff(member: MemoryMember, logSurvivors = 0, rotten = 0): void {
    member.up = false;
    this.network.leave(member.id);
    member.log = member.log.crash(logSurvivors, rotten);
    member.state = member.state.crash();
    // The process is gone: nothing waits for its calls to the old stores to end.
    member.replica.stop().catch((error: unknown) => {
      member.failure = error instanceof Error ? error : new Error(String(error));
    });
  }

  async powerOn(member: MemoryMember): Promise<void> {
    member.failure = null;
    member.clock = new ProcessClock(this.clock);
    member.replica = this.#replica(member.id, member.clock, member.log, member.state, (error) => {
      member.failure = error;
    });
    await this.#start(member);
  }
}
