/**
 * A whole world from one scenario: a site under trouble with its callers and watchers, in some seeds with a hub and with
 * devices at both; then everything heals, and the world must come to rest within a bound, go on, and have kept every
 * promise.
 */
import { Callers } from "./callers.ts";
import { History } from "./checkers/history.ts";
import { requestFaults } from "./checkers/request-answers.ts";
import { Requests } from "./checkers/requests.ts";
import { Knowledge } from "./drawn-requests.ts";
import type { FaultCounts } from "./faults.ts";
import { Fleet } from "./fleet.ts";
import { KeyWatchers } from "./key-watchers.ts";
import { LeaseHolders, TTL_MS_MAX } from "./lease-holders.ts";
import type { MemoryMember } from "./memory-cluster.ts";
import { Nemesis } from "./nemesis.ts";
import { MENDED_MS } from "./rotten-state.ts";
import { DRIFT, type Scenario, TROUBLE_MS } from "./scenario.ts";
import { SeededRandom } from "./seeded-random.ts";
import { SimulatedCluster } from "./simulated-cluster.ts";
import type { Trace } from "./trace.ts";
import { TxnClients } from "./txn-clients.ts";
import { verdict } from "./verdict.ts";
import { elapse, type VirtualClock } from "./virtual-clock.ts";
import { Watchers } from "./watchers.ts";

/** A seed lasts at least so long, ms, and its clients have at least so many answers. */
const LASTS_MS = 60_000;
const OPERATIONS_MIN = 500;
/** Healed, a world comes to what it must within this, ms: elections, retries, and a snapshot. */
const HEALED_MS = 20_000;
/** By the slowest clock, and a failover later. */
const LEASES_END_MS = TTL_MS_MAX / (1 - DRIFT) + HEALED_MS;
/** Tiers also wait for each other: the longest backoff, a silence, and a look for what dead sessions left. */
const CONVERGED_MS = 120_000;
/** Steps in which conditions are waited for, ms. */
const LOOK_MS = 100;
/** The longest that a caller waits, ms. */
const CALLS_END_MS = 7_000;
/** L1: a fleet that has converged proposes nothing for so long, ms; what it still owes, it says before. */
const IDLE_MS = 60_000;
const LAST_WORDS_MS = 15_000;
/** Of transactions and the like, so many are asked for under an `Idempotency-Key`. */
const REPEATED = 0.1;
/** More are of no use to anybody. */
const VIOLATIONS_MAX = 20;

export class Simulation {
  readonly violations: string[] = [];
  readonly #scenario: Scenario;
  readonly #clock: VirtualClock;
  readonly #trace: Trace;
  readonly #history = new History();
  readonly #requests = new Requests();
  readonly #site: SimulatedCluster;
  readonly #hub: SimulatedCluster | null;
  readonly #fleet: Fleet | null;
  readonly #callers: Callers;
  readonly #txns: TxnClients;
  readonly #holders: LeaseHolders;
  readonly #watchers: Watchers;
  readonly #keyWatchers: KeyWatchers;
  readonly #nemeses: readonly Nemesis[];

  constructor(scenario: Scenario, clock: VirtualClock, trace: Trace, faults: FaultCounts) {
    this.#scenario = scenario;
    this.#clock = clock;
    this.#trace = trace;
    const { seed, steps, members, hubMembers, keys, thinkMs } = scenario;
    const random = new SeededRandom(seed);
    const violation = (text: string): void => this.violation(text);
    const cluster = (name: string, size: number): SimulatedCluster =>
      new SimulatedCluster({
        ...{ name, size, scenario, clock, faults, trace, violation },
        ready: (member) => this.#fleet?.ready(name, member),
        reached: (member, position) => this.#fleet?.reached(name, member, position),
        lost: (member) => {
          this.#fleet?.lost(name, member);
          if (name !== "site") return;
          this.#watchers?.lost(member);
          this.#keyWatchers?.lost(member);
        },
      });
    const site = cluster("site", members);
    const hub = hubMembers === 0 ? null : cluster("hub", hubMembers);
    this.#site = site;
    this.#hub = hub;
    this.#fleet =
      hub === null ? null : new Fleet({ site, hub, scenario, clock, faults, trace, violation, history: this.#history });
    const host = {
      ...{ clock, faults, trace },
      // Callers ask the site only.
      overslept: (leader: MemoryMember) => {
        if (site.members.includes(leader)) this.#overslept(leader);
      },
      cutUplink: (forMs: number) => this.#fleet?.cutUplink(forMs),
      killDevice: (device: number, downMs: number, evicted: boolean) => this.#fleet?.kill(device, downMs, evicted),
    };
    this.#nemeses = this.#clusters.map(
      (it) =>
        new Nemesis(
          it,
          host,
          seed,
          steps.filter((step) => (step.hub === true) === (it === hub)),
        ),
    );
    for (const it of this.#clusters) it.start();
    this.#watchers = new Watchers(site, clock, random.stream("watchers"), scenario.watchers);
    this.#keyWatchers = new KeyWatchers(site, clock, random.stream("key watchers"));
    const options = { site, clock, random: random.stream("callers"), history: this.#history, keys, thinkMs };
    this.#callers = new Callers(options, scenario.callers);
    const asking = { site, clock, requests: this.#requests, known: new Knowledge() };
    // To the later release whoever writes has another name (second-version.ts), and a key of that name is another one.
    const repeated = steps.some(({ kind }) => kind === "upgrade") ? 0 : REPEATED;
    const txns = { ...asking, random: random.stream("txn clients"), keys: 2 * keys, thinkMs, repeated };
    this.#txns = new TxnClients(txns, scenario.txnClients);
    this.#holders = new LeaseHolders({ ...asking, random: random.stream("lease holders") }, scenario.leaseHolders);
  }

  get operations(): number {
    return this.#history.answered + this.#requests.answered + (this.#fleet?.hubHistory.answered ?? 0);
  }

  /** How often clients of keys and leases did what. */
  get requests(): Readonly<Record<string, number>> {
    const told = this.#requests.all.map((asked) => asked.told?.kind);
    const [ranges, earlier] = ["saw", "was"].map((kind) => told.filter((one) => one === kind).length);
    return {
      ...Object.fromEntries(this.#site.checks.serial.counts),
      range: ranges ?? 0,
      "earlier range": earlier ?? 0,
    };
  }

  get leaderChanges(): number {
    return this.#site.checks.leaders.changes;
  }

  violation(text: string): void {
    this.#trace.tell("VIOLATION", text.split("\n")[0] ?? "");
    if (this.violations.length < VIOLATIONS_MAX) this.violations.push(text);
  }

  async run(): Promise<void> {
    const { members, hubMembers, seed } = this.#scenario;
    this.#trace.tell("world", `seed ${seed}: a site of ${members}, a hub of ${hubMembers}`);
    while (this.#clock.now() < TROUBLE_MS && !this.#failed) await elapse(this.#clock, 1_000);
    if (this.#failed) return;
    this.#trace.tell("world", "heals");
    for (const nemesis of this.#nemeses) nemesis.end();
    this.#fleet?.heal();
    await this.#eventually("one leader that everyone follows", () => this.#agreed(Number.POSITIVE_INFINITY));
    await this.#eventually(
      "states that are mended",
      () => this.#clusters.every(({ calm }) => !calm),
      MENDED_MS + LOOK_MS,
    );
    const enough = (): boolean => this.operations >= OPERATIONS_MIN && this.#clock.now() >= LASTS_MS;
    await this.#eventually(`${OPERATIONS_MIN} answers`, enough, 10 * HEALED_MS);
    this.#callers.end();
    this.#txns.end();
    this.#holders.end();
    this.#fleet?.end();
    await this.#goesOn();
    // What was asked before is over by then.
    await elapse(this.#clock, CALLS_END_MS);
    const leases = (): boolean => this.#site.checks.serial.leases === 0;
    await this.#eventually("the end of leases that nobody keeps alive", leases, LEASES_END_MS);
    await this.#eventually("tiers that know everything", () => this.#fleet?.settled !== false, CONVERGED_MS);
    await this.#eventually("the same everywhere", () => this.#agreed(0));
    const told = (at: number): boolean => this.#watchers.told(at) && this.#keyWatchers.told(at);
    await this.#eventually("watchers who know everything", () => told(revisionOf(this.#site)));
    if (!this.#failed) await this.#judge();
    if (!this.#failed && this.#scenario.idle) await this.#idles();
    this.#watchers.end();
    this.#keyWatchers.end();
  }

  get #clusters(): readonly SimulatedCluster[] {
    return this.#hub === null ? [this.#site] : [this.#site, this.#hub];
  }

  get #failed(): boolean {
    return this.violations.length > 0;
  }

  /** Each member takes a write and a read: liveness within a bound after the last fault healed. */
  async #goesOn(): Promise<void> {
    if (this.#failed) return;
    const { group } = this.#site;
    let answered = 0;
    for (const member of group) {
      for (const call of [
        this.#callers.write("last caller", member, HEALED_MS),
        this.#callers.read("last caller", member, HEALED_MS),
      ]) {
        call.then(
          () => answered++,
          (error: unknown) => this.violation(`healed, ${member.id} answers ${String(error)}`),
        );
      }
    }
    await this.#eventually("an answer from each member", () => answered === 2 * group.length);
  }

  /** In each cluster one leader, known to all, no change of members left to do, and nobody more than `lag` entries behind. */
  #agreed(lag: number): boolean {
    return this.#clusters.every(({ group }) => {
      if (group.some(({ ready, failure }) => !ready || failure !== null)) return false;
      const statuses = group.map(({ replica }) => replica.status());
      const leader = statuses.find(({ role }) => role === "leader");
      if (leader === undefined) return false;
      const { lastIndex, committedMembership } = leader.raft;
      if (committedMembership.learners.length > 0 || committedMembership.outgoing.length > 0) return false;
      return statuses.every(
        ({ term, leader: known, raft, applied }) =>
          term === leader.term && known === leader.id && raft.recoveringTo === null && applied + lag >= lastIndex,
      );
    });
  }

  async #eventually(what: string, holds: () => boolean, withinMs = HEALED_MS): Promise<void> {
    const until = this.#clock.now() + withinMs;
    while (!this.#failed && !holds()) {
      if (this.#clock.now() >= until) {
        const raft = this.#clusters.flatMap(({ name, members }) =>
          members.map(({ ready, replica }) => `${name} ${JSON.stringify(ready ? replica.status().raft : null)}`),
        );
        const fleet = this.#fleet === null ? [] : [this.#fleet.shown];
        return this.violation(
          `healed, the world does not come to ${what} within ${withinMs} ms:\n${[...raft, ...fleet].join("\n")}`,
        );
      }
      await elapse(this.#clock, LOOK_MS);
    }
  }

  async #judge(): Promise<void> {
    const meanwhile = <T>(answer: Promise<T>): Promise<T> => this.#meanwhile(answer);
    const ledger = await verdict(this.#site, this.#history, meanwhile);
    this.#watchers.check(ledger.length);
    for (const fault of requestFaults(this.#requests, this.#site.checks.serial)) this.violation(fault);
    await this.#fleet?.judge(ledger, meanwhile);
  }

  /** Lets time pass until there is an answer. */
  async #meanwhile<T>(answer: Promise<T>): Promise<T> {
    let waiting = true;
    const done = (): void => {
      waiting = false;
    };
    answer.then(done, done);
    while (waiting) await elapse(this.#clock, 5);
    return answer;
  }

  async #idles(): Promise<void> {
    const replicas = this.#clusters.flatMap(({ group }) => group.map(({ replica }) => replica));
    const logs = (): string => replicas.map((replica) => replica.status().raft.lastIndex).join();
    const terms = (): string => replicas.map((replica) => replica.status().term).join();
    if (this.#fleet !== null) await elapse(this.#clock, LAST_WORDS_MS);
    const [before, term] = [logs(), terms()];
    await elapse(this.#clock, IDLE_MS);
    if (before !== logs() && term === terms())
      this.violation(`the idle world proposed: its logs ended at ${before}, and end at ${logs()}`);
  }

  #overslept(leader: MemoryMember): void {
    for (const member of this.#site.group) {
      if (!member.ready || member.failure !== null) continue;
      this.#callers.write("oversleeper", member, 1_500).catch((error) => this.#callers.unanswered("a write", error));
    }
    this.#clock.after(110, () => {
      if (!leader.ready || leader.failure !== null) return;
      this.#callers.read("oversleeper", leader, 3_000).catch((error) => this.#callers.unanswered("a read", error));
    });
  }
}

const revisionOf = ({ group }: SimulatedCluster): number => group[0]?.replica.position().revision ?? 0;
