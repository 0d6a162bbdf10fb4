/**
 * A cluster of a simulated world: real replicas on disks that take their time, lose power, rot, fill up and fail.
 *
 * The fault model. Messages and processes may do anything but lie. A disk may lose what was not fsynced, at any number of
 * members at once. A disk may lose what was fsynced (rot, a misdirected read, an old copy put in) only while fewer than
 * half of the members, this one included, have lost something that they have not yet caught up to: a majority's disks
 * survive. An old copy holds no trace of what it lost (no high water, an old vote): R5 promises for it only what its
 * leader's heartbeats can tell it, so it is put in while the whole cluster follows one leader that knows this member's
 * acknowledgements, and nothing else happens until it has caught up.
 */
import { hash } from "node:crypto";
import { equalBytes } from "@openclaw/core/bytes.ts";
import { OpenClawError } from "@openclaw/core/errors.ts";
import { isNodeId, type NodeId } from "@openclaw/core/ids.ts";
import { isMember } from "@openclaw/core/raft/membership.ts";
import type { RaftStatus } from "@openclaw/core/raft/ready.ts";
import type { Position } from "@openclaw/core/state-machine/query.ts";
import { ClusterChecks } from "./cluster-checks.ts";
import type { Damage } from "./damage.ts";
import type { FaultCounts } from "./faults.ts";
import { MemoryCluster, type MemoryMember } from "./memory-cluster.ts";
import { RELIABLE } from "./memory-network.ts";
import type { MemoryStateStore, StateCall } from "./memory-state-store.ts";
import { endingOf, FINISHED, KILLED, type Loss } from "./power-loss.ts";
import { ROTTEN_ROW } from "./rotten-row.ts";
import type { Scenario, Target } from "./scenario.ts";
import { TWO_VERSIONS } from "./second-version.ts";
import { SeededRandom } from "./seeded-random.ts";
import { type Ending, POWER_CUT, type SimulatedLogStore } from "./simulated-log-store.ts";
import type { Trace } from "./trace.ts";
import type { VirtualClock } from "./virtual-clock.ts";

export interface SimulatedClusterOptions {
  readonly name: string;
  readonly size: number;
  readonly scenario: Scenario;
  readonly clock: VirtualClock;
  readonly faults: FaultCounts;
  readonly trace: Trace;
  readonly violation: (text: string) => void;
  /** A member's stores are open. */
  readonly ready?: (member: MemoryMember) => void;
  /** A member has applied up to here. */
  readonly reached?: (member: MemoryMember, position: Position) => void;
  /** A member lost its power. */
  readonly lost?: (member: MemoryMember) => void;
}

/** What a member's disk does besides storing. */
interface Disk {
  /** Added to each fsync. */
  slowMs: number;
  /** After a failure that the disk is to blame for, the process starts again that much later; null: there is none. */
  failingMs: number | null;
}

/** A log without a write for this many ms is at rest, as in production. */
const REST_MS = 50;
/** For a node's word of itself. */
const NOTE_MS = 30_000;
/** Checkpoints and snapshots take that many times as long as an apply. */
const CHECKPOINT_SLOWNESS = 10;

export class SimulatedCluster {
  readonly cluster: MemoryCluster;
  readonly checks: ClusterChecks;
  readonly name: string;
  readonly #options: SimulatedClusterOptions;
  readonly #random: SeededRandom;
  readonly #disks = new Map<MemoryMember, Disk>();
  /** Members that lost what was fsynced and have not caught up to it. */
  readonly #damaged = new Set<MemoryMember>();
  /** Points that are left until a member loses its power. */
  readonly #armed = new Map<MemoryMember, { points: number; readonly downMs: number }>();
  /** Changes of the membership, or of the leader, that somebody waits for. */
  #changes = 0;
  /** Nothing but the one thing that is under way may happen to this cluster. */
  calm = false;

  constructor(options: SimulatedClusterOptions) {
    const { name, size, scenario, clock, faults, trace } = options;
    this.#options = options;
    this.name = name;
    this.#random = new SeededRandom(scenario.seed).stream(`${name}'s disks`);
    const disk = (id: NodeId): MemoryMember => this.member(id);
    this.checks = new ClusterChecks({
      name,
      trace,
      violation: (text) => this.violation(text),
      now: () => clock.now(),
      disk: (id) => disk(id).log.durable,
      stateHash: (id) => rowsHash(disk(id).state),
      reached: (id, position) => options.reached?.(disk(id), position),
    });
    this.cluster = new MemoryCluster(size, scenario.seed, {
      name,
      clock,
      retention: scenario.retention,
      network: {
        delayMs: scenario.networkMs,
        random: new SeededRandom(scenario.seed).stream(`${name}'s network`),
        encoded: scenario.encoded,
        count: (fault) => faults.count(fault),
        sent: (from, to, messages) => this.checks.sent(from, to, messages),
      },
      observe: (id) => this.checks.observer(id),
      onPoint: (it) => this.#point(it),
      onFatal: (it, error) => this.#fatal(it, error),
    });
    for (const it of this.cluster.members) this.#disks.set(it, { slowMs: 0, failingMs: null });
  }

  get members(): readonly MemoryMember[] {
    return this.cluster.members;
  }

  /** Those that belong to the group, as far as anybody knows. */
  get group(): readonly MemoryMember[] {
    let newest: RaftStatus | null = null;
    for (const { ready, failure, replica } of this.members) {
      if (!ready || failure !== null) continue;
      const { raft } = replica.status();
      // A node that has heard nothing yet knows no group.
      if (raft.committedMembership.voters.length === 0) continue;
      if (newest === null || raft.commit > newest.commit) newest = raft;
    }
    const membership = newest?.committedMembership;
    return membership === undefined ? this.members : this.members.filter(({ id }) => isMember(membership, id));
  }

  /** An operator asked for something that is not done yet. */
  get changing(): boolean {
    return this.#changes > 0;
  }

  /** Counts as under way until it settles. */
  async change(request: Promise<void>): Promise<void> {
    this.#changes++;
    try {
      await request;
    } finally {
      this.#changes--;
    }
  }

  /** A node that is no member yet comes up. */
  newcomer(): MemoryMember {
    const id = `n${this.members.length + 1}`;
    if (!isNodeId(id)) throw new Error(id);
    const member = this.cluster.newcomer(id);
    // Nobody installs what is older than what runs already.
    if (this.members.some(({ versions }) => versions === TWO_VERSIONS)) member.versions = TWO_VERSIONS;
    this.#disks.set(member, { slowMs: 0, failingMs: null });
    this.#powerOn(member);
    return member;
  }

  member(id: NodeId): MemoryMember {
    const found = this.members.find((it) => it.id === id);
    if (found === undefined) throw new Error(`no member ${id}`);
    return found;
  }

  violation(text: string): void {
    this.#options.violation(`${this.name}: ${text}`);
  }

  tell(member: MemoryMember, what: string): void {
    this.#options.trace.tell(`${this.name}/${member.id}`, what);
  }

  /** Whom a step means now, if there is anybody. */
  find(target: Target): MemoryMember | null {
    const leader = this.cluster.leading();
    switch (target) {
      case "leader":
        return leader ?? this.#random.pick(this.group);
      case "follower": {
        const others = this.group.filter((it) => it !== leader);
        return others.length === 0 ? null : this.#random.pick(others);
      }
      case "any":
        return this.#random.pick(this.members);
    }
  }

  start(): void {
    for (const it of this.members) this.#powerOn(it);
  }

  /** A power cut, and the next start. */
  crash(member: MemoryMember, downMs: number, loss: Loss): void {
    if (!member.up || this.calm) return;
    const { torn } = loss;
    const unfinished = member.log.waiting > 0 && loss.survivors < 1;
    if (unfinished) this.#options.faults.count("crash losing un-fsynced writes");
    if (unfinished && torn) this.#options.faults.count("torn writes");
    this.#powerOff(member, endingOf(loss, this.#random));
    this.#startAgain(member, downMs);
  }

  /** The power of `member` is cut at the so-manieth point from now on. */
  arm(member: MemoryMember, points: number, downMs: number): void {
    if (member.up && !this.calm) this.#armed.set(member, { points, downMs });
  }

  /** A later release is installed on this member, and it starts again. */
  upgrade(member: MemoryMember, downMs: number): void {
    member.versions = TWO_VERSIONS;
    this.crash(member, downMs, { survivors: 1, torn: false });
  }

  /** What a node says of itself, by way of a member, which may be itself (edge-runtime/members.ts). */
  async note({ id: node, versions }: MemoryMember, by: MemoryMember): Promise<void> {
    if (!this.#upgrades) return;
    const place = { peer: node, addresses: [], http: "" };
    const command = { kind: "noteMember", node, place, supports: versions.length } as const;
    await by.replica.propose(command, { principal: `node:${node}`, timeoutMs: NOTE_MS });
  }

  /** Else it would not matter what anybody supports. */
  get #upgrades(): boolean {
    return this.#options.scenario.steps.some(
      ({ kind, hub }) => kind === "upgrade" && (hub === true) === (this.name === "hub"),
    );
  }

  /** True if the disk of one more member may lose what was fsynced. */
  mayDamage(member: MemoryMember): boolean {
    for (const it of [...this.#damaged]) if (this.#whole(it)) this.#damaged.delete(it);
    return !this.calm && !this.#damaged.has(member) && 2 * (this.#damaged.size + 1) < this.#voters;
  }

  /**
   * What was fsynced is gone in part. Only after `mayDamage`. The power stays on: what a power cut takes from the mark
   * together with the last batch is what R5 does not see.
   */
  damage(member: MemoryMember, downMs: number, what: Damage): void {
    if (!member.log.damage(what)) return;
    this.#options.faults.count(what.read ? "misdirected reads" : "bit rot");
    this.tell(member, what.read ? "reads its log at a wrong place" : "has a log that rots");
    this.#damaged.add(member);
    this.#powerOff(member, FINISHED);
    this.#startAgain(member, downMs);
  }

  /** Another disk, which is an old copy of its own, takes the place of the member's. */
  putIn(member: MemoryMember, log: SimulatedLogStore, state: MemoryStateStore): void {
    this.#powerOff(member, POWER_CUT);
    this.cluster.replaceDisk(member, log, state);
    this.#powerOn(member);
  }

  /** The disk refuses writes from now on: the node stops by itself, and starts again on a disk that works. */
  failDisk(member: MemoryMember, full: boolean, downMs: number): void {
    if (!member.up || this.calm) return;
    this.#disk(member).failingMs = downMs;
    member.log.fail(full ? "STORAGE_FULL" : "STORAGE_FAILED");
  }

  slow(member: MemoryMember, ms: number): void {
    this.#disk(member).slowMs = ms;
  }

  /** Some process will stop for its disk as soon as it writes. */
  get disksFail(): boolean {
    return this.members.some((it) => this.#disk(it).failingMs !== null);
  }

  /** Everything works again. */
  heal(): void {
    this.#armed.clear();
    this.cluster.network.heal();
    this.cluster.network.unreliability = RELIABLE;
    this.easeDisks();
    for (const it of this.members) {
      it.clock.resume();
      this.#powerOn(it);
    }
  }

  /** No disk is slow any more, and none hangs. */
  easeDisks(): void {
    for (const it of this.members) {
      this.slow(it, 0);
      it.log.release();
      it.state.release();
    }
  }

  #disk(member: MemoryMember): Disk {
    const disk = this.#disks.get(member);
    if (disk === undefined) throw new Error(`${member.id} has no disk`);
    return disk;
  }

  /** Of the smallest group that may decide. */
  get #voters(): number {
    const sizes = this.group.flatMap(({ ready, replica }) => {
      if (!ready) return [];
      const { voters, outgoing } = replica.status().raft.membership;
      return outgoing.length === 0 ? [voters.length] : [voters.length, outgoing.length];
    });
    return sizes.length === 0 ? 0 : Math.min(...sizes);
  }

  /** It has caught up to everything that it once had. */
  #whole(member: MemoryMember): boolean {
    return member.ready && member.failure === null && member.replica.status().raft.recoveringTo === null;
  }

  #powerOff(member: MemoryMember, ending: Ending): void {
    this.#armed.delete(member);
    this.tell(member, `ends: ${member.log.waiting} log writes under way${ending.powerCut === null ? ", killed" : ""}`);
    this.cluster.powerOff(member, ending);
    this.#options.lost?.(member);
  }

  #startAgain(member: MemoryMember, downMs: number): void {
    this.#options.clock.after(downMs, () => this.#powerOn(member));
  }

  #powerOn(member: MemoryMember): void {
    if (member.up) return;
    const disk = this.#disk(member);
    disk.failingMs = null;
    this.#takesTime(member, disk);
    this.tell(member, "starts");
    const started = this.cluster.powerOn(member);
    const { clock } = member;
    started.then(
      () => {
        if (clock.ended) return;
        const { id, replica } = member;
        this.checks.watches.began(id);
        replica.follow(({ records }) => this.checks.watches.advanced(id, records));
        this.#options.ready?.(member);
        // Out of time, out of power, out of the group: its row stays what it was.
        this.note(member, member).catch(() => {});
      },
      (error: unknown) => {
        if (!clock.ended) this.violation(`${member.id} does not start: ${shown(error)}`);
      },
    );
  }

  #takesTime({ log, state }: MemoryMember, disk: Disk): void {
    const { clock, scenario } = this.#options;
    log.latency = (done) =>
      clock.after(1 + this.#random.below(scenario.fsyncMs) + this.#random.below(disk.slowMs + 1), done);
    log.idle = (rest) => void clock.after(REST_MS, rest);
    state.witness = (entries, applied) => this.checks.committed(entries, applied);
    if (scenario.applyMs === 0) return;
    state.latency = (call) => {
      const ms = this.#random.below(scenario.applyMs) * slowness(call);
      return ms === 0 ? Promise.resolve() : new Promise((resolve) => clock.after(ms, resolve));
    };
  }

  #point(member: MemoryMember): void {
    const armed = this.#armed.get(member);
    if (armed === undefined || this.calm || armed.points-- > 0) return;
    this.#options.faults.count("crash at any await point");
    this.crash(member, armed.downMs, { survivors: this.#random.unit(), torn: this.#random.chance(0.3) });
  }

  #fatal(member: MemoryMember, error: Error): void {
    const { failingMs } = this.#disk(member);
    const blamed = error instanceof OpenClawError && (error.code === "STORAGE_FAILED" || error.code === "STORAGE_FULL");
    if (failingMs === null || !blamed) return this.violation(`${member.id} stopped: ${shown(error)}`);
    this.#options.faults.count(error.code === "STORAGE_FULL" ? "disk full" : "fsync error");
    this.tell(member, `stops: ${error.message}`);
    // It stops by itself, then its process ends.
    this.#options.clock.after(0, () => {
      if (member.up && member.failure === error) {
        this.#powerOff(member, KILLED);
        this.#startAgain(member, failingMs);
      }
    });
  }
}

function slowness(call: StateCall): number {
  return call === "apply" || call === "read" || call === "ledger" ? 1 : CHECKPOINT_SLOWNESS;
}

/** Over every row, without the code under test; the row that rot made is looked for elsewhere. */
function rowsHash(state: MemoryStateStore): Uint8Array {
  const parts: Uint8Array[] = [];
  for (const { key, value } of state.view.rows())
    if (!equalBytes(key, ROTTEN_ROW)) parts.push(Uint8Array.of(key.length >> 8, key.length), key, value);
  return hash("sha256", Buffer.concat(parts), "buffer");
}

function shown(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  return error.cause === undefined
    ? (error.stack ?? String(error))
    : `${error.stack}\n  because of ${shown(error.cause)}`;
}
