/** Does to a cluster what its scenario's schedule says, step by step. */
import { unreachable } from "@openclaw/core/errors.ts";
import type { NodeId } from "@openclaw/core/ids.ts";
import type { FaultCounts } from "./faults.ts";
import { GroupChanges } from "./group-changes.ts";
import type { MemoryMember } from "./memory-cluster.ts";
import { RELIABLE } from "./memory-network.ts";
import { OldDisk } from "./old-disk.ts";
import { RottenState } from "./rotten-state.ts";
import type { Step } from "./scenario.ts";
import { SeededRandom } from "./seeded-random.ts";
import type { SimulatedCluster } from "./simulated-cluster.ts";
import type { Trace } from "./trace.ts";
import type { VirtualClock } from "./virtual-clock.ts";

/** What a step needs of the world besides the site. */
export interface NemesisHost {
  readonly clock: VirtualClock;
  readonly faults: FaultCounts;
  readonly trace: Trace;
  /** Callers write everywhere, and read from `leader`. */
  overslept(leader: MemoryMember): void;
  cutUplink(forMs: number): void;
  killDevice(device: number, downMs: number, evicted: boolean): void;
}

/** How often, and every how many ms, a crash in the middle of a write looks whether there is one. */
const MID_WRITE_LOOKS = 300;
const MID_WRITE_LOOK_MS = 2;

export class Nemesis {
  readonly #site: SimulatedCluster;
  readonly #host: NemesisHost;
  readonly #random: SeededRandom;
  readonly #group: GroupChanges;
  #over = false;

  constructor(site: SimulatedCluster, host: NemesisHost, seed: number, steps: readonly Step[]) {
    this.#site = site;
    this.#host = host;
    this.#random = new SeededRandom(seed).stream(`nemesis of ${site.name}`);
    this.#group = new GroupChanges(site, host, this.#random);
    for (const step of steps) this.#at(step.at, () => this.#take(step));
  }

  /** No step comes any more, and those that last end. */
  end(): void {
    this.#over = true;
    this.#site.heal();
  }

  #at(ms: number, run: () => void): void {
    this.#host.clock.after(ms, () => {
      if (!this.#over) run();
    });
  }

  #take(step: Step): void {
    const { faults, trace } = this.#host;
    if (this.#site.calm) return;
    trace.tell(`${this.#site.name} nemesis`, JSON.stringify(step));
    switch (step.kind) {
      case "crash":
        return this.#with(step.target, (it) => this.#crash(it, step, MID_WRITE_LOOKS));
      case "crashAtPoint":
        return this.#with(step.target, (it) => this.#site.arm(it, step.points, step.downMs));
      case "blackout":
        for (const it of this.#site.members)
          this.#site.crash(it, this.#random.below(step.downMs + 1), { survivors: step.survivors, torn: false });
        return;
      case "rot":
        return this.#with(step.target, (it) => this.#rot(it, step));
      case "misdirectChunk":
        this.#site.cluster.network.misdirectChunk = true;
        return;
      case "diskError":
        return this.#with(step.target, (it) => this.#site.failDisk(it, step.full, step.downMs));
      case "slowDisk":
        return this.#with(step.target, (it) => {
          faults.count("slow disk");
          this.#site.slow(it, step.ms);
          this.#at(step.forMs, () => this.#site.slow(it, 0));
        });
      case "hungDisk":
        return this.#with(step.target, (it) => this.#hang(it, step.log, step.forMs));
      case "checkpoint":
        return this.#with(step.target, (it) => void it.state.checkpointNow());
      case "stall":
        return this.#with(step.target, (it) => this.#stall(it, step.forMs));
      case "oversleep":
        return this.#oversleep(step.forMs);
      case "clockJump":
        return this.#with(step.target, (it) => {
          faults.count("clock jump");
          it.clock.jump(step.ms);
        });
      case "drift":
        faults.count("clock drift");
        for (const [i, it] of this.#site.members.entries()) it.rate = step.rates[i] ?? 1;
        return;
      case "partition":
        return this.#partition(step.shape, step.forMs);
      case "network": {
        const { network } = this.#site.cluster;
        network.unreliability = step.unreliability;
        this.#at(step.forMs, () => {
          if (network.unreliability === step.unreliability) network.unreliability = RELIABLE;
        });
        return;
      }
      case "oldDisk":
        return this.#with(step.target, (it) => {
          const copy = new OldDisk(this.#site, it);
          this.#at(step.ageMs, () => copy.putInWhenQuiet(this.#host));
        });
      case "rotState":
        return this.#with(step.target, (it) => RottenState.begin(this.#site, it, this.#host, this.#random));
      case "membership":
        return this.#with(step.target, (it) => this.#group.change(step.change, it, step.timeoutMs));
      case "transfer":
        return this.#with(step.target, (it) => this.#group.transfer(it, step.timeoutMs));
      case "upgrade":
        faults.count("rolling upgrade");
        for (const [i, it] of this.#site.members.entries())
          this.#at(i * step.everyMs, () => this.#site.upgrade(it, step.downMs));
        return;
      case "cutUplink":
        faults.count(step.times === 1 ? "cut uplink" : "flapping uplink");
        for (let i = 0; i < step.times; i++) this.#at(2 * i * step.forMs, () => this.#host.cutUplink(step.forMs));
        return;
      case "deviceDeath":
        return this.#host.killDevice(step.device, step.downMs, step.evicted);
      default:
        return unreachable(step);
    }
  }

  #with(target: Parameters<SimulatedCluster["find"]>[0], run: (member: MemoryMember) => void): void {
    const member = this.#site.find(target);
    if (member !== null) run(member);
  }

  /** One that is to lose writes waits a while for one to be under way. */
  #crash(member: MemoryMember, step: Extract<Step, { kind: "crash" }>, looks: number): void {
    const waits = member.up && step.survivors < 1 && member.log.waiting === 0 && looks > 0;
    if (waits) this.#at(MID_WRITE_LOOK_MS, () => this.#crash(member, step, looks - 1));
    else this.#site.crash(member, step.downMs, step);
  }

  #rot(member: MemoryMember, { share, read, downMs }: Extract<Step, { kind: "rot" }>): void {
    if (!member.up || !this.#site.mayDamage(member)) return;
    this.#site.damage(member, downMs, { share, read, random: this.#random });
  }

  #hang(member: MemoryMember, log: boolean, forMs: number): void {
    if (!member.up) return;
    this.#host.faults.count("slow disk");
    const store = log ? member.log : member.state;
    store.hold();
    this.#at(forMs, () => store.release());
  }

  #stall(member: MemoryMember, forMs: number): void {
    if (!member.up) return;
    this.#host.faults.count("event-loop stall");
    const { clock } = member;
    clock.stop();
    this.#at(forMs, () => clock.resume());
  }

  #oversleep(forMs: number): void {
    const leader = this.#site.cluster.leading();
    if (leader === undefined) return;
    this.#cut(
      this.#site.members.filter((it) => it !== leader),
      [leader],
      forMs + 1_000,
      "symmetric",
    );
    this.#stall(leader, forMs);
    this.#at(forMs - 100, () => this.#host.overslept(leader));
  }

  #partition(shape: "leader" | "symmetric" | "asymmetric" | "bridge", forMs: number): void {
    const { members } = this.#site;
    if (members.length < 2) return;
    const shuffled = [...members].sort(() => this.#random.unit() - 0.5);
    const half = this.#random.below(members.length, 1);
    if (shape === "leader") {
      const leader = this.#site.find("leader");
      if (leader === null) return;
      return this.#cut(
        [leader],
        members.filter((it) => it !== leader),
        forMs,
        this.#random.pick(["symmetric", "asymmetric"]),
      );
    }
    if (shape !== "bridge") return this.#cut(shuffled.slice(0, half), shuffled.slice(half), forMs, shape);
    // All but one are in two camps that do not hear each other; the one hears both.
    const [, ...camps] = shuffled;
    const middle = Math.ceil(camps.length / 2);
    this.#cut(camps.slice(0, middle), camps.slice(middle), forMs, "bridge");
  }

  #cut(
    some: readonly MemoryMember[],
    others: readonly MemoryMember[],
    forMs: number,
    shape: "symmetric" | "asymmetric" | "bridge",
  ): void {
    if (some.length === 0 || others.length === 0) return;
    this.#host.faults.count(`${shape} partition`);
    const { network } = this.#site.cluster;
    const links: (readonly [NodeId, NodeId])[] = some.flatMap((a) => others.map((b) => [a.id, b.id] as const));
    if (shape !== "asymmetric") links.push(...links.map(([a, b]) => [b, a] as const));
    for (const [from, to] of links) network.cut(from, to);
    this.#at(forMs, () => {
      for (const [from, to] of links) network.mend(from, to);
    });
  }
}
