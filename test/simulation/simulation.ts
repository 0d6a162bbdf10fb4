/**
 * A whole world from one scenario: a site under trouble with its callers and watchers; then everything heals, and the
 * world must come to rest within a bound, go on, and have kept every promise.
 */
import { utf8Text } from "@openclaw/core/bytes.ts";
import { revision } from "@openclaw/core/ids.ts";
import { decodeRecord } from "@openclaw/core/ledger/record-codec.ts";
import type { StoredRecord } from "@openclaw/core/ports.ts";
import { Callers } from "./callers.ts";
import { lossFaults } from "./checkers/durability.ts";
import { doubleFaults } from "./checkers/exactly-once.ts";
import { History, type LedgerWrite } from "./checkers/history.ts";
import { chainFaults } from "./checkers/ledger-chain.ts";
import { orderFaults } from "./checkers/linearizability.ts";
import type { FaultCounts } from "./faults.ts";
import type { MemoryMember } from "./memory-cluster.ts";
import { Nemesis } from "./nemesis.ts";
import { type Scenario, TROUBLE_MS } from "./scenario.ts";
import { SeededRandom } from "./seeded-random.ts";
import { SimulatedCluster } from "./simulated-cluster.ts";
import type { Trace } from "./trace.ts";
import { elapse, type VirtualClock } from "./virtual-clock.ts";
import { Watchers } from "./watchers.ts";

/** A seed lasts at least so long, ms, and its clients have at least so many answers. */
const LASTS_MS = 60_000;
const OPERATIONS_MIN = 500;
/** Healed, a world comes to what it must within this, ms: elections, retries, and a snapshot. */
const HEALED_MS = 20_000;
/** Steps in which conditions are waited for, ms. */
const LOOK_MS = 100;
/** The longest that a caller waits, ms. */
const CALLS_END_MS = 7_000;
/** Entries that may be under way while callers go on. */
const LAG_MAX = 10;
/** L1: a fleet that has converged proposes nothing for so long, ms. */
const IDLE_MS = 60_000;
/** More are of no use to anybody. */
const VIOLATIONS_MAX = 20;

export class Simulation {
  readonly violations: string[] = [];
  readonly #scenario: Scenario;
  readonly #clock: VirtualClock;
  readonly #trace: Trace;
  readonly #history = new History();
  readonly #site: SimulatedCluster;
  readonly #callers: Callers;
  readonly #watchers: Watchers;
  readonly #nemesis: Nemesis;

  constructor(scenario: Scenario, clock: VirtualClock, trace: Trace, faults: FaultCounts) {
    this.#scenario = scenario;
    this.#clock = clock;
    this.#trace = trace;
    const random = new SeededRandom(scenario.seed);
    const site = new SimulatedCluster({
      name: "site",
      size: scenario.members,
      scenario,
      clock,
      faults,
      trace,
      violation: (text) => this.violation(text),
      lost: (member) => this.#watchers?.lost(member),
    });
    this.#site = site;
    this.#nemesis = new Nemesis(
      site,
      {
        clock,
        faults,
        trace,
        overslept: (leader) => this.#overslept(leader),
        cutUplink: () => {},
        killClient: () => {},
      },
      scenario,
    );
    site.start();
    this.#watchers = new Watchers(site, clock, random.stream("watchers"), scenario.watchers);
    const { keys, thinkMs } = scenario;
    const options = { site, clock, random: random.stream("callers"), history: this.#history, keys, thinkMs };
    this.#callers = new Callers(options, scenario.callers);
  }

  get operations(): number {
    return this.#history.answered;
  }

  get leaderChanges(): number {
    return this.#site.checks.leaders.changes;
  }

  violation(text: string): void {
    this.#trace.tell("VIOLATION", text);
    if (this.violations.length < VIOLATIONS_MAX) this.violations.push(text);
  }

  get #failed(): boolean {
    return this.violations.length > 0;
  }

  async run(): Promise<void> {
    const { members, hubMembers } = this.#scenario;
    this.#trace.tell("world", `seed ${this.#scenario.seed}: a site of ${members}, a hub of ${hubMembers}`);
    while (this.#clock.now() < TROUBLE_MS && !this.#failed) await elapse(this.#clock, 1_000);
    if (this.#failed) return;
    this.#trace.tell("world", "heals");
    this.#nemesis.end();
    await this.#eventually("one leader that everyone follows", () => this.#agreed());
    const enough = (): boolean => this.operations >= OPERATIONS_MIN && this.#clock.now() >= LASTS_MS;
    await this.#eventually(`${OPERATIONS_MIN} answers`, enough, 10 * HEALED_MS);
    this.#callers.end();
    await this.#goesOn();
    // What was asked before is over by then.
    await elapse(this.#clock, CALLS_END_MS);
    await this.#eventually("the same everywhere", () => this.#agreed() && this.#applied());
    await this.#eventually("watchers who know everything", () =>
      this.#watchers.told(this.#site.group[0]?.replica.position().revision ?? 0),
    );
    if (!this.#failed) await this.#compare();
    if (!this.#failed && this.#scenario.idle) await this.#idles();
    this.#watchers.end();
  }

  /** Each member takes a write and a read: liveness within a bound after the last fault healed. */
  async #goesOn(): Promise<void> {
    let answered = 0;
    for (const member of this.#site.group) {
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
    await this.#eventually("an answer from each member", () => answered === 2 * this.#site.group.length);
  }

  /** One leader, known to all, and nobody far behind. */
  #agreed(): boolean {
    const { group } = this.#site;
    if (group.some(({ ready, failure }) => !ready || failure !== null)) return false;
    const statuses = group.map(({ replica }) => replica.status());
    const leader = statuses.find(({ role }) => role === "leader");
    if (leader === undefined) return false;
    const { lastIndex, committedMembership } = leader.raft;
    if (committedMembership.learners.length > 0 || committedMembership.outgoing.length > 0) return false;
    return statuses.every(
      ({ term, leader: known, raft }) =>
        term === leader.term && known === leader.id && raft.recoveringTo === null && raft.commit + LAG_MAX >= lastIndex,
    );
  }

  #applied(): boolean {
    const ends = this.#site.group.map(({ replica }) => replica.status());
    return ends.every(({ applied, raft }) => applied === raft.lastIndex && applied === ends[0]?.applied);
  }

  async #eventually(what: string, holds: () => boolean, withinMs = HEALED_MS): Promise<void> {
    const until = this.#clock.now() + withinMs;
    while (!this.#failed && !holds()) {
      if (this.#clock.now() >= until) {
        const raft = this.#site.members.map(({ ready, replica }) =>
          JSON.stringify(ready ? replica.status().raft : null),
        );
        return this.violation(`healed, the site does not come to ${what} within ${withinMs} ms:\n${raft.join("\n")}`);
      }
      await elapse(this.#clock, LOOK_MS);
    }
  }

  async #compare(): Promise<void> {
    let ledger: readonly StoredRecord[] = [];
    for (const { id, state, replica } of this.#site.group) {
      const { raft } = replica.status();
      const slice = await this.#meanwhile(state.ledger(revision(1), Number.MAX_SAFE_INTEGER));
      const { hash } = await this.#meanwhile(state.read({ kind: "stateHash" }));
      // Under a name of its own: the hash while it ran was taken without core's code.
      this.#site.checks.agreement.hashed(id, -raft.applied, hash);
      ledger = slice.records;
      for (const fault of chainFaults(id, ledger)) this.violation(fault);
    }
    this.#watchers.check(ledger.length);
    const writes = writesOf(ledger);
    const faults = [
      ...lossFaults(this.#history, writes),
      ...doubleFaults(this.#history, writes),
      ...orderFaults(this.#history, writes),
    ];
    for (const fault of faults) this.violation(fault);
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
    const logs = (): readonly number[] => this.#site.group.map(({ replica }) => replica.status().raft.lastIndex);
    const terms = (): readonly number[] => this.#site.group.map(({ replica }) => replica.status().term);
    const [before, term] = [logs(), terms()];
    await elapse(this.#clock, IDLE_MS);
    if (String(before) !== String(logs()) && String(term) === String(terms())) {
      this.violation(`the idle site proposed: its logs ended at ${before}, and end at ${logs()}`);
    }
  }

  #overslept(leader: MemoryMember): void {
    for (const member of this.#site.members) {
      if (!member.ready || member.failure !== null) continue;
      this.#callers.write("oversleeper", member, 1_500).catch((error) => this.#callers.unanswered("a write", error));
    }
    this.#clock.after(110, () => {
      if (!leader.ready || leader.failure !== null) return;
      this.#callers.read("oversleeper", leader, 3_000).catch((error) => this.#callers.unanswered("a read", error));
    });
  }
}

/** What a ledger holds of its own cluster's keys, in order. */
function writesOf(ledger: readonly StoredRecord[]): readonly LedgerWrite[] {
  return ledger.flatMap(({ revision: at, record }) => {
    const { origin, events } = decodeRecord(record);
    if (origin !== null) return [];
    return events.flatMap((event) =>
      event.kind === "put"
        ? [{ key: utf8Text(event.key) ?? "", value: utf8Text(event.value) ?? "", revision: at }]
        : [],
    );
  });
}
