/**
 * One random schedule of whole replicas from one seed: messages that are lost, repeated and overtaken, links that are cut
 * in one direction, slow and held disks, a disk that rots, power cuts of any number of nodes, short logs. At the end everything works
 * again, and the cluster must agree, go on, and have kept every promise that it made.
 */
import { utf8, utf8Text } from "@openclaw/core/bytes.ts";
import { OpenClawError } from "@openclaw/core/errors.ts";
import type { Revision } from "@openclaw/core/ids.ts";
import { revision } from "@openclaw/core/ids.ts";
import { decodeRecord } from "@openclaw/core/ledger/record-codec.ts";
import type { StoredRecord } from "@openclaw/core/ports.ts";
import type { LedgerAdvance } from "@openclaw/core/replica/contract.ts";
import { MemoryCluster, type MemoryMember } from "./memory-cluster.ts";
import { RegisterHistory } from "./register-history.ts";
import { SeededRandom } from "./seeded-random.ts";

const STEPS = 120;
const KEY = utf8("register");
/** Healed, a cluster agrees and answers within this, ms: elections, retries, and a snapshot. */
const HEALED_MS = 20_000;

/** Longer than any election timeout: others elect another leader, and the one that slept does not know. */
const OVERSLEPT_MS = 3_000;

type Step =
  | "write"
  | "read"
  | "powerOff"
  | "blackout"
  | "powerOn"
  | "stop"
  | "resume"
  | "oversleep"
  | "cut"
  | "isolate"
  | "heal"
  | "holdLog"
  | "holdState"
  | "release"
  | "checkpoint";

export class ReplicaSchedule {
  readonly history = new RegisterHistory();
  readonly #random: SeededRandom;
  readonly #cluster: MemoryCluster;
  readonly #weights: readonly (readonly [Step, number])[];
  readonly #faults: string[] = [];
  /** The last revision that each member's follower knows of. */
  readonly #followed = new Map<MemoryMember, Revision>();
  /** R5: the log of this member, of three or more, loses entries at a power cut. */
  readonly #rotting: MemoryMember | null;
  readonly #fsyncMs: number;
  #writes = 0;

  constructor(seed: number) {
    this.#random = new SeededRandom(seed);
    const retention = this.#pick([
      { entriesMax: 20, bytesMax: 1e6, entriesKept: 4, bytesKept: 1e6, entriesBetween: 5, bytesBetween: 1e6 },
      { entriesMax: 1, bytesMax: 1e6, entriesKept: 0, bytesKept: 1e6, entriesBetween: 1, bytesBetween: 1e6 },
      { entriesMax: 1e6, bytesMax: 1e9, entriesKept: 1e6, bytesKept: 1e9, entriesBetween: 1e6, bytesBetween: 1e9 },
    ]);
    const onAdvance = (member: MemoryMember, advance: LedgerAdvance): void => this.#advanced(member, advance);
    this.#cluster = new MemoryCluster(this.#pick([1, 2, 3, 3, 3, 5]), seed, { retention, onAdvance });
    const [first = null] = this.#cluster.members;
    this.#rotting = this.#cluster.members.length > 2 ? this.#pick([null, first]) : null;
    this.#cluster.network.unreliability = {
      random: this.#random,
      lost: this.#pick([0, 0.02, 0.2]),
      repeated: this.#pick([0, 0.1]),
      jitterMs: this.#pick([0, 5, 120]),
    };
    this.#fsyncMs = this.#pick([1, 30, 300]);
    const trouble = this.#pick([1, 3]);
    this.#weights = [
      ["write", 40],
      ["read", 20],
      ["powerOff", trouble],
      ["blackout", trouble],
      ["powerOn", 2 * trouble],
      ["stop", trouble],
      ["resume", 2 * trouble],
      ["oversleep", trouble / 2],
      ["cut", trouble],
      ["isolate", trouble],
      ["heal", 2 * trouble],
      ["holdLog", trouble],
      ["holdState", trouble],
      ["release", 3 * trouble],
      ["checkpoint", 4],
    ];
  }

  /** @returns what is wrong */
  async run(): Promise<readonly string[]> {
    await this.#cluster.start();
    for (const member of this.#cluster.members) this.#slowDisk(member);
    for (let step = 0; step < STEPS && this.#faults.length === 0; step++) {
      await this.#step(this.#draw());
      await this.#cluster.elapse(Math.floor(this.#random.unit() * this.#pick([1, 20, 200, 400])));
      this.#failures();
    }
    if (this.#faults.length === 0) await this.#heal();
    return this.#faults;
  }

  async #step(step: Step): Promise<void> {
    const { members, network } = this.#cluster;
    const member = this.#pick(members);
    switch (step) {
      case "write":
        return this.#write(member, this.#pick([100, 1_500, 6_000]));
      case "read":
        return this.#read(member, this.#pick([100, 3_000]));
      case "powerOff":
        if (member.up) this.#powerOff(member);
        return;
      case "blackout":
        for (const each of members) if (each.up) this.#powerOff(each);
        for (const each of members) await this.#powerOn(each);
        return;
      case "oversleep":
        return this.#oversleep();
      case "stop":
        return member.clock.stop();
      case "resume":
        return member.clock.resume();
      case "powerOn":
        if (!member.up) await this.#powerOn(member);
        return;
      case "cut":
        return network.cut(member.id, this.#pick(members).id);
      case "isolate":
        return network.isolate(member.id);
      case "heal":
        return network.heal();
      case "holdLog":
        if (member.up) member.log.hold();
        return;
      case "holdState":
        if (member.up) member.state.hold();
        return;
      case "release":
        member.log.release();
        return member.state.release();
      case "checkpoint":
        member.state.checkpointNow();
        return;
    }
  }

  #write(member: MemoryMember, timeoutMs: number): void {
    if (!member.up || member.clock.stopped) return;
    const value = `v${++this.#writes}`;
    const acknowledged = this.history.write(value);
    member.replica.execute({ kind: "put", key: KEY, value: utf8(value) }, { principal: "tester", timeoutMs }).then(
      (outcome) => {
        if (outcome.ok) acknowledged(outcome.revision);
        else this.#faults.push(`${value} was refused: ${outcome.code}`);
      },
      (error: unknown) => this.#unanswered(value, error),
    );
  }

  #read(member: MemoryMember, timeoutMs: number): void {
    if (!member.up || member.clock.stopped) return;
    const ended = this.history.read();
    const { replica } = member;
    const answered = async (): Promise<void> => {
      await replica.barrier(timeoutMs);
      const { row } = await replica.read({ kind: "get", origin: null, key: KEY });
      // A process that lost its power tells nobody.
      if (member.up && member.replica === replica) {
        ended(row === null ? null : { value: utf8Text(row.value) ?? "", revision: row.modRevision });
      }
    };
    answered().catch((error: unknown) => this.#unanswered("a read", error));
  }

  /** Whoever calls is told one of these; anything else is our fault. */
  #unanswered(what: string, error: unknown): void {
    if (error instanceof OpenClawError && (error.code === "UNAVAILABLE" || error.code === "STOPPED")) return;
    this.#faults.push(`${what}: ${String(error)}`);
  }

  /** A leader stops, is cut off, and is read from before it can notice either (pitfall 3). */
  async #oversleep(): Promise<void> {
    const { members, network } = this.#cluster;
    const leader = members.find((member) => member.up && member.replica.status().role === "leader");
    if (leader === undefined) return;
    network.isolate(leader.id);
    leader.clock.stop();
    await this.#cluster.elapse(OVERSLEPT_MS);
    for (const member of members) this.#write(member, 1_500);
    await this.#cluster.elapse(this.#pick([20, 500]));
    leader.clock.resume();
    this.#read(leader, 3_000);
  }

  #powerOff(member: MemoryMember): void {
    const survivors = Math.floor(this.#random.unit() * (member.log.waiting + 1));
    this.#cluster.powerOff(member, survivors, member === this.#rotting ? this.#pick([0, 1, 5]) : 0);
  }

  async #powerOn(member: MemoryMember): Promise<void> {
    this.#followed.delete(member);
    await this.#cluster.powerOn(member);
    this.#slowDisk(member);
  }

  /** An fsync takes its time, and what comes meanwhile shares the next one. */
  #slowDisk(member: MemoryMember): void {
    const { clock } = member;
    member.log.latency = (done) => clock.after(Math.floor(this.#random.unit() * this.#fsyncMs), done);
  }

  #advanced(member: MemoryMember, { records, revision: reached }: LedgerAdvance): void {
    const known = this.#followed.get(member);
    const first = records[0]?.revision;
    if (known !== undefined && first !== undefined && first !== known + 1) {
      this.#faults.push(`${member.id}'s followers knew ${known} and were told ${first}`);
    }
    this.#followed.set(member, reached);
  }

  #failures(): void {
    for (const { id, failure } of this.#cluster.members)
      if (failure !== null) this.#faults.push(`${id} stopped: ${failure.stack}`);
  }

  async #heal(): Promise<void> {
    const { members, network } = this.#cluster;
    network.heal();
    network.unreliability = null;
    for (const member of members) {
      member.log.release();
      member.state.release();
      member.clock.resume();
      if (!member.up) await this.#powerOn(member);
    }
    await this.#eventually("one leader, and everything applied", () => this.#agreed());
    // What was asked before is over by then.
    await this.#cluster.elapse(6_000);
    if (this.#faults.length > 0) return;
    let acknowledged = this.history.acknowledged;
    for (const member of members) this.#write(member, HEALED_MS);
    acknowledged += members.length;
    await this.#eventually("a write at each member", () => this.history.acknowledged >= acknowledged);
    const reads = this.history.reads + members.length;
    for (const member of members) this.#read(member, HEALED_MS);
    await this.#eventually("a read at each member", () => this.history.reads >= reads);
    await this.#eventually("the same everywhere", () => this.#agreed());
    if (this.#faults.length === 0) await this.#compare();
  }

  #agreed(): boolean {
    const statuses = this.#cluster.members.map(({ replica }) => replica.status());
    const leader = statuses.find(({ role }) => role === "leader");
    if (leader === undefined) return false;
    return statuses.every(
      ({ term, applied, leader: known }) =>
        term === leader.term && known === leader.id && applied === leader.raft.lastIndex,
    );
  }

  async #eventually(what: string, holds: () => boolean): Promise<void> {
    const until = this.#cluster.clock.now() + HEALED_MS;
    while (this.#faults.length === 0 && !holds()) {
      if (this.#cluster.clock.now() >= until) {
        const statuses = this.#cluster.members.map(({ replica }) => JSON.stringify(replica.status().raft));
        this.#faults.push(`healed, the cluster does not come to ${what}:\n${statuses.join("\n")}`);
        return;
      }
      await this.#cluster.elapse(50);
      this.#failures();
    }
  }

  async #compare(): Promise<void> {
    const seen = new Set<string>();
    let ledger: readonly StoredRecord[] = [];
    for (const { replica } of this.#cluster.members) {
      const { hash } = await replica.read({ kind: "stateHash" });
      ledger = (await replica.ledger(revision(1), Number.MAX_SAFE_INTEGER)).records;
      seen.add(
        [hash, ...ledger.map((record) => record.hash)].map((bytes) => Buffer.from(bytes).toString("hex")).join(),
      );
    }
    if (seen.size !== 1) this.#faults.push("members differ in state or ledger");
    const ran = ledger.flatMap(({ revision: at, record }) =>
      decodeRecord(record).events.map((event) => ({
        value: event.kind === "put" ? (utf8Text(event.value) ?? "") : event.kind,
        revision: at,
      })),
    );
    this.#faults.push(...this.history.faults(ran));
  }

  #draw(): Step {
    const total = this.#weights.reduce((sum, [, weight]) => sum + weight, 0);
    let at = this.#random.unit() * total;
    for (const [step, weight] of this.#weights) {
      at -= weight;
      if (at < 0) return step;
    }
    return "write";
  }

  #pick<T>(choices: readonly T[]): T {
    const choice = choices[Math.floor(this.#random.unit() * choices.length)];
    if (choice === undefined) throw new Error("nothing to pick from");
    return choice;
  }
}
