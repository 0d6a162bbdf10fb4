/** Whole replicas over stores and links in memory, under virtual time: what a test of a cluster starts from. */
import { type ClusterId, type Epoch, isClusterId, type NodeId, revision } from "@openclaw/core/ids.ts";
import { founding, type Membership } from "@openclaw/core/raft/membership.ts";
import type { LedgerAdvance } from "@openclaw/core/replica/contract.ts";
import type { RetentionLimits } from "@openclaw/core/replica/log-retention.ts";
import { Replica } from "@openclaw/core/replica.ts";
import { APPLY_VERSIONS, type ApplyVersions } from "@openclaw/core/state-machine/apply.ts";
import { MemoryNetwork, type NetworkOptions } from "./memory-network.ts";
import { MemoryStateStore } from "./memory-state-store.ts";
import { SeededRandom } from "./seeded-random.ts";
import { type Ending, POWER_CUT, SimulatedLogStore } from "./simulated-log-store.ts";
import { GatedLogStore, GatedStateStore, StoreGate, type StoreObserver } from "./store-gate.ts";
import { elapse, ProcessClock, VirtualClock } from "./virtual-clock.ts";

const TICK_MS = 50;

export interface MemoryMember {
  readonly id: NodeId;
  replica: Replica;
  /** May be stopped for a while, as a process may. */
  clock: ProcessClock;
  log: SimulatedLogStore;
  state: MemoryStateStore;
  failure: Error | null;
  /** False between a power cut and the next start. */
  up: boolean;
  /** True from when its stores are open. */
  ready: boolean;
  /** Of its monotonic clock; from the next start on. */
  rate: number;
  /** What its software supports; from the next start on. */
  versions: ApplyVersions;
}

/** What a member starts on. */
export interface MemberDisks {
  readonly log: SimulatedLogStore;
  readonly state: MemoryStateStore;
}

export interface MemoryClusterOptions {
  readonly name?: string;
  /** Of a cluster that goes on from an earlier one (L3). */
  readonly epoch?: Epoch;
  /** Of its founders; empty ones unless given. */
  readonly disks?: (id: NodeId) => MemberDisks;
  /** A world of several clusters has one clock. */
  readonly clock?: VirtualClock;
  readonly network?: NetworkOptions;
  /** Shorter than the default, so that a short test sees snapshots. */
  readonly retention?: RetentionLimits;
  readonly snapshotBytesPerSecond?: number;
  /** Shorter than the default, so that states are compared often. */
  readonly compareEveryMs?: number;
  /** Every advance of every member, from its start on. */
  readonly onAdvance?: (member: MemoryMember, advance: LedgerAdvance) => void;
  readonly observe?: (id: NodeId) => StoreObserver;
  /** At each call of a store, its answer, and each send: may cut this member's power. */
  readonly onPoint?: (member: MemoryMember) => void;
  readonly onFatal?: (member: MemoryMember, error: Error) => void;
}

/** The founders of a cluster. */
export const nodesOf = (size: number): readonly NodeId[] =>
  Array.from({ length: size }, (_, i) => `n${i + 1}` as NodeId);

export class MemoryCluster {
  readonly clock: VirtualClock;
  readonly network: MemoryNetwork;
  readonly members: MemoryMember[];
  readonly id: ClusterId;
  readonly #random: SeededRandom;
  readonly #membership: Membership;
  readonly #options: MemoryClusterOptions;
  readonly #epoch: Epoch;

  constructor(size: number, seed = 1, options: MemoryClusterOptions = {}) {
    const name = options.name ?? "test";
    if (!isClusterId(name)) throw new Error(`no cluster: ${name}`);
    this.id = name;
    this.#options = options;
    this.clock = options.clock ?? new VirtualClock();
    this.network = new MemoryNetwork(this.clock, options.network);
    this.#random = new SeededRandom(seed).stream(name);
    this.#epoch = options.epoch ?? { counter: 1, nonce: "ab".repeat(16), parent: null, departure: revision(0) };
    const ids = nodesOf(size);
    this.#membership = founding(ids);
    this.members = ids.map((id) => this.#member(id, options.disks?.(id) ?? this.#emptyDisks(id, this.#membership)));
  }

  #emptyDisks(id: NodeId, membership: Membership): MemberDisks {
    const log = new SimulatedLogStore({ cluster: this.id, node: id });
    return { log, state: new MemoryStateStore({ cluster: this.id, epoch: this.#epoch, membership }) };
  }

  #member(id: NodeId, { log, state }: MemberDisks): MemoryMember {
    // The replica is made when the member starts: everything it calls asks the member that it belongs to.
    const member = {
      id,
      log,
      state,
      failure: null,
      up: false,
      ready: false,
      rate: 1,
      versions: APPLY_VERSIONS,
      clock: new ProcessClock(this.clock),
    };
    return Object.assign(member, { replica: this.#replica(member) });
  }

  #replica(member: Omit<MemoryMember, "replica">): Replica {
    const { retention, snapshotBytesPerSecond, compareEveryMs, onPoint, onFatal, observe } = this.#options;
    const { id, clock, log, state } = member;
    const whole = (): MemoryMember | undefined => this.members.find((other) => other.id === id);
    const point = (): void => {
      const it = whole();
      if (onPoint !== undefined && it?.clock === clock) onPoint(it);
    };
    const gate = new StoreGate(clock, point);
    const observer = observe?.(id) ?? null;
    return new Replica({
      cluster: this.id,
      id,
      membership: this.#foundingOf(id),
      epoch: this.#epoch,
      log: new GatedLogStore(log, gate, observer),
      state: new GatedStateStore(state, gate, observer),
      transport: this.network.transport(id, clock, point),
      clock,
      random: this.#random,
      applyVersions: member.versions,
      tickMs: TICK_MS,
      ...(retention === undefined ? {} : { retention }),
      ...(snapshotBytesPerSecond === undefined ? {} : { snapshotBytesPerSecond }),
      ...(compareEveryMs === undefined ? {} : { compareEveryMs }),
      onFatal: (error) => {
        const it = whole();
        if (it === undefined || it.clock !== clock) return;
        it.failure = error;
        onFatal?.(it, error);
      },
    });
  }

  /** A joining node knows nobody. */
  #foundingOf(id: NodeId): Membership {
    return this.#membership.voters.includes(id) ? this.#membership : founding([]);
  }

  /** A node that is no member yet, on an empty disk. */
  newcomer(id: NodeId): MemoryMember {
    const member = this.#member(id, this.#emptyDisks(id, founding([])));
    this.members.push(member);
    return member;
  }

  /** Starts a node that is no member yet. */
  async join(id: NodeId): Promise<MemoryMember> {
    const member = this.newcomer(id);
    await this.#start(member);
    return member;
  }

  async start(): Promise<void> {
    await Promise.all(this.members.map((member) => this.#start(member)));
  }

  async #start(member: MemoryMember): Promise<void> {
    const { onAdvance } = this.#options;
    if (onAdvance !== undefined) member.replica.follow((advance) => onAdvance(member, advance));
    member.up = true;
    const { replica } = member;
    await replica.start();
    if (member.replica === replica) member.ready = true;
  }

  elapse(ms: number): Promise<void> {
    return elapse(this.clock, ms);
  }

  /** Who leads a majority, if anybody does. */
  leading(): MemoryMember | undefined {
    const running = this.members.filter((member) => member.up && member.ready && member.failure === null);
    return running.find(({ id, replica }) => {
      const status = replica.status();
      if (status.role !== "leader") return false;
      const followers = running.filter(
        (other) =>
          status.members.includes(other.id) &&
          other.replica.status().leader === id &&
          other.replica.status().term === status.term,
      );
      return followers.length * 2 > status.members.length;
    });
  }

  /** Moves time on until there is one leader that a majority follows. */
  async leader(withinMs = 10_000): Promise<MemoryMember> {
    const until = this.clock.now() + withinMs;
    for (;;) {
      const leader = this.leading();
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

  /** The process ends. Of the state only what it synced stays. */
  powerOff(member: MemoryMember, ending: Ending = POWER_CUT): void {
    member.up = false;
    member.ready = false;
    this.network.leave(member.id);
    member.log = member.log.crash(ending);
    member.state = member.state.crash();
    // Callers hear of it as of a connection that ends; nothing waits for the calls to the old stores.
    void member.replica.stop();
    member.clock.end();
  }

  /** Another disk is put in. */
  replaceDisk(member: MemoryMember, log: SimulatedLogStore, state: MemoryStateStore): void {
    member.log = log;
    member.state = state;
  }

  async powerOn(member: MemoryMember): Promise<void> {
    member.failure = null;
    member.clock = new ProcessClock(this.clock, member.rate);
    member.state.runs(member.versions);
    member.replica = this.#replica(member);
    await this.#start(member);
  }
}
