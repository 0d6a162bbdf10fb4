/**
 * One life of a cluster: from its founding, a restore or a copy of its disks to its end. Its replicas are real, its disks
 * take their time, and whatever was applied anywhere in it is written down here, as a backup that nobody can lose.
 */
import { hash } from "node:crypto";
import type { Epoch, NodeId } from "@openclaw/core/ids.ts";
import type { Lineage } from "@openclaw/core/ledger/lineage.ts";
import type { StoredRecord } from "@openclaw/core/ports.ts";
import type { Position } from "@openclaw/core/state-machine/query.ts";
import { OneLeaderPerTerm } from "../checkers/one-leader-per-term.ts";
import { StateAgreement } from "../checkers/state-agreement.ts";
import { type MemberDisks, MemoryCluster, type MemoryMember } from "../memory-cluster.ts";
import { endingOf, type Loss } from "../power-loss.ts";
import { SeededRandom } from "../seeded-random.ts";
import type { Trace } from "../trace.ts";
import type { VirtualClock } from "../virtual-clock.ts";
import type { HierarchyPlan } from "./plan.ts";

/** Where a life comes from. */
export interface Beginning {
  readonly lineage: Lineage;
  /** The ledger that it begins with. */
  readonly ledger: readonly StoredRecord[];
  /** Null: its disks are empty. */
  readonly disks: ((id: NodeId) => MemberDisks) | null;
}

export interface LifeOptions {
  /** Of its cluster. */
  readonly name: string;
  /** From 1 on; no two lives of a cluster have one. */
  readonly number: number;
  readonly size: number;
  readonly begins: Beginning;
  readonly plan: HierarchyPlan;
  readonly clock: VirtualClock;
  readonly trace: Trace;
  readonly violation: (text: string) => void;
  /** A member's stores are open. */
  readonly ready: (member: MemoryMember) => void;
  /** It has applied more than anybody before. */
  readonly reached: (member: MemoryMember, position: Position) => void;
  /** It lost its power. */
  readonly lost: (member: MemoryMember) => void;
}

export class Life {
  readonly name: string;
  readonly number: number;
  readonly lineage: Lineage;
  readonly cluster: MemoryCluster;
  /** Everything that was applied, from revision 1 on. */
  readonly ledger: StoredRecord[];
  readonly #options: LifeOptions;
  readonly #random: SeededRandom;
  /** Names it in a trace. */
  readonly shown: string;
  #applied = 0;
  #over = false;

  constructor(options: LifeOptions) {
    const { name, number, size, begins, plan, clock, trace } = options;
    this.#options = options;
    this.name = name;
    this.number = number;
    this.shown = `${name}#${number}`;
    this.lineage = begins.lineage;
    this.ledger = [...begins.ledger];
    this.#random = new SeededRandom(plan.seed).stream(`${this.shown}'s disks`);
    const agreement = new StateAgreement((text) => this.violation(text));
    const leaders = new OneLeaderPerTerm((text) => this.violation(text));
    this.cluster = new MemoryCluster(size, plan.seed + number, {
      ...{ name, clock, epoch: begins.lineage.epoch, retention: plan.retention },
      ...(begins.disks === null ? {} : { disks: begins.disks }),
      network: {
        delayMs: plan.networkMs,
        random: this.#random.stream("network"),
        sent: (from, _, messages) => {
          for (const message of messages) leaders.sent(from, message);
        },
      },
      observe: (id) => ({
        appending: () => undefined,
        logged: (entries) => {
          trace.note("logged", entries.at(-1)?.index ?? 0);
          leaders.logged(entries);
        },
        applied: (_, { index, position }) => {
          agreement.reached(id, index, position);
          if (index <= this.#applied) return;
          this.#applied = index;
          options.reached(this.member(id), position);
        },
        installed: ({ index }, { position }) => agreement.reached(id, index, position),
      }),
      onFatal: (member, error) => this.violation(`${member.id} stopped: ${error.stack}`),
    });
  }

  get epoch(): Epoch {
    return this.lineage.epoch;
  }

  get group(): readonly MemoryMember[] {
    return this.cluster.members;
  }

  get members(): readonly MemoryMember[] {
    return this.cluster.members;
  }

  get over(): boolean {
    return this.#over;
  }

  /** The last revision that was applied anywhere. */
  get revision(): number {
    return this.ledger.at(-1)?.revision ?? 0;
  }

  member(id: NodeId): MemoryMember {
    const found = this.members.find((it) => it.id === id);
    if (found === undefined) throw new Error(`no member ${id}`);
    return found;
  }

  violation(text: string): void {
    this.#options.violation(`${this.shown}: ${text}`);
  }

  tell(what: string): void {
    this.#options.trace.tell(this.shown, what);
  }

  start(): void {
    for (const member of this.members) this.#powerOn(member);
  }

  /** A power cut, and the next start. */
  crash(member: MemoryMember, downMs: number, loss: Loss): void {
    if (!member.up) return;
    this.tell(`${member.id} loses its power`);
    this.#powerOff(member, loss);
    this.#options.clock.after(downMs, () => this.#powerOn(member));
  }

  /** `member` and the others do not hear each other for so long. */
  isolate(member: MemoryMember, forMs: number): void {
    const { network } = this.cluster;
    this.tell(`${member.id} is cut off`);
    network.isolate(member.id);
    this.#options.clock.after(forMs, () => {
      for (const { id } of this.members) {
        network.mend(id, member.id);
        network.mend(member.id, id);
      }
    });
  }

  /** Every process stops for a while, and goes on. */
  stall(forMs: number): void {
    for (const { clock } of this.members) clock.stop();
    this.#options.clock.after(forMs, () => {
      for (const { clock } of this.members) clock.resume();
    });
  }

  /** What is on the disks now, of every member at the same moment; another life may begin with it. */
  copy(): Beginning {
    const copies = new Map(this.members.map(({ id, log, state }) => [id, { log: log.copy(), state: state.crash() }]));
    const disks = (id: NodeId): MemberDisks => {
      const found = copies.get(id);
      if (found === undefined) throw new Error(`no copy of ${id}`);
      return found;
    };
    return { lineage: this.lineage, ledger: [...this.ledger], disks };
  }

  /** For good: the plug of all of it. */
  end(): void {
    this.tell("ends");
    this.#over = true;
    for (const member of this.members) if (member.up) this.#powerOff(member, { survivors: 1, torn: false });
  }

  heal(): void {
    if (this.#over) return;
    this.cluster.network.heal();
    for (const member of this.members) {
      member.clock.resume();
      this.#powerOn(member);
    }
  }

  /** One leader that all follow, who have applied everything. */
  get agreed(): boolean {
    if (this.#over) return true;
    if (this.members.some(({ ready, failure }) => !ready || failure !== null)) return false;
    const statuses = this.members.map(({ replica }) => replica.status());
    const leader = statuses.find(({ role }) => role === "leader");
    if (leader === undefined) return false;
    return statuses.every(
      ({ term, leader: known, applied }) =>
        term === leader.term && known === leader.id && applied === leader.raft.lastIndex,
    );
  }

  #powerOff(member: MemoryMember, loss: Loss): void {
    this.cluster.powerOff(member, endingOf(loss, this.#random));
    this.#options.lost(member);
  }

  #powerOn(member: MemoryMember): void {
    if (member.up || this.#over) return;
    this.#takesTime(member);
    const started = this.cluster.powerOn(member);
    const { clock } = member;
    started.then(
      () => {
        if (!clock.ended) this.#options.ready(member);
      },
      (error: unknown) => {
        if (!clock.ended) this.violation(`${member.id} does not start: ${String(error)}`);
      },
    );
  }

  #takesTime({ log, state }: MemoryMember): void {
    const { clock, plan } = this.#options;
    log.latency = (done) => clock.after(1 + this.#random.below(plan.fsyncMs), done);
    state.witness = (_, { records }) => {
      for (const record of records) this.#write(record);
    };
    if (plan.applyMs === 0) return;
    state.latency = () =>
      new Promise((resolve) => void clock.after(this.#random.below(plan.applyMs + 1), () => resolve()));
  }

  #write(record: StoredRecord): void {
    const known = this.ledger[record.revision - 1];
    if (known === undefined) {
      if (record.revision !== this.revision + 1)
        this.violation(`revision ${record.revision} was applied after ${this.revision}`);
      this.ledger.push(record);
    } else if (hash("sha256", known.record) !== hash("sha256", record.record))
      this.violation(`revision ${record.revision} was applied twice, and not alike`);
  }
}
