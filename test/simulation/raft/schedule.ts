/**
 * One random schedule from one seed: loss, repetition, reordering, cut links, slow disks, crashes that lose what was
 * not durable, compaction and snapshots, members that come and go, leaders that hand over. checks.ts watches every step; at the end everything heals, and the group must
 * agree and go on.
 */

import { isJoint, isMember } from "@openclaw/core/raft/membership.ts";
import type { RaftMessage } from "@openclaw/core/raft/message.ts";
import { decodeMessages, encodeMessages } from "@openclaw/core/raft/message-codec.ts";
import { SeededRandom } from "../seeded-random.ts";
import { bytes } from "./fixtures.ts";
import { Gambits } from "./gambits.ts";
import { TestCluster } from "./harness.ts";
import type { TestNode } from "./test-node.ts";

const STEPS = 2_000;

/** Weights of what may happen next; drawn anew for each seed, so that seeds differ in kind. */
type Step =
  | "tick"
  | "deliver"
  | "write"
  | "propose"
  | "read"
  | "shortReign"
  | "staleRead"
  | "slowWrite"
  | "lateSnapshot"
  | "leave"
  | "olderTerm"
  | "growth"
  | "crash"
  | "crashLeader"
  | "restart"
  | "cut"
  | "isolate"
  | "heal"
  | "compact"
  | "add"
  | "remove"
  | "transfer";

export class Schedule {
  readonly #random: SeededRandom;
  readonly #cluster: TestCluster;
  readonly #gambits: Gambits;
  readonly #loss: number;
  readonly #repeat: number;
  readonly #weights: readonly (readonly [Step, number])[];
  /** R5: the disk of this node, of three or more, loses entries at a crash. */
  readonly #rotting: TestNode | null;
  /** Their clocks stand still until the network heals. */
  readonly #asleep = new Set<TestNode>();
  #proposals = 0;
  #reads = 0;

  constructor(seed: number) {
    this.#random = new SeededRandom(seed);
    const size = this.#pick([1, 2, 3, 3, 3, 5, 5]);
    const names = ["a", "b", "c", "d", "e"];
    const movable = this.#pick([false, true]);
    this.#cluster = new TestCluster(names.slice(0, movable ? 5 : size), {
      founders: names.slice(0, size),
      random: () => this.#random.unit(),
      raft: { electionTicks: 4, maxInflight: this.#pick([1, 3, 64]), maxBatchBytes: this.#pick([1, 60, 1_000_000]) },
      // One group in four pays for the codec.
      ...(this.#pick([true, false, false, false]) ? { wire: (message: RaftMessage) => rewired(message) } : {}),
    }).start();
    for (const node of this.#cluster.nodes) node.diskHeld = true;
    this.#gambits = new Gambits(this.#cluster, this.#random, (node) => this.#read(node));
    this.#loss = this.#pick([0, 0, 0.05, 0.2]);
    this.#repeat = this.#pick([0, 0.05, 0.2]);
    // Who is down or rots might be a majority of a group that shrinks: one or the other.
    this.#rotting = size > 2 && !movable ? this.#pick([null, null, ...this.#cluster.nodes.slice(0, 1)]) : null;
    const trouble = this.#pick([0, 1, 3, 6]);
    this.#weights = [
      ["tick", this.#pick([6, 12, 24])],
      ["deliver", 60],
      // A slow disk has several writes in flight.
      ["write", this.#pick([6, 30, 60])],
      ["propose", this.#pick([3, 8])],
      ["read", this.#pick([1, 6])],
      ["shortReign", trouble / 4],
      ["staleRead", trouble / 8],
      ["slowWrite", trouble / 8],
      ["lateSnapshot", trouble / 8],
      ["leave", movable ? trouble / 8 : 0],
      ["olderTerm", trouble / 8],
      ["growth", movable ? trouble : 0],
      ["crash", trouble],
      ["crashLeader", this.#pick([0, trouble, 2 * trouble])],
      ["restart", 2 * trouble],
      ["cut", trouble],
      ["isolate", this.#pick([0, trouble])],
      ["heal", 1.5 * trouble],
      ["compact", this.#pick([0, 4])],
      ["add", movable ? 1 : 0],
      ["remove", movable ? 0.7 : 0],
      ["transfer", this.#pick([0, 0.5])],
    ];
  }

  run(): void {
    for (let step = 0; step < STEPS; step++) {
      this.#step(this.#draw());
      if (step % 50 === 0) this.#cluster.checks.logsMatch();
    }
    this.#healed();
  }

  #step(step: Step): void {
    const cluster = this.#cluster;
    const node = this.#pick(cluster.nodes);
    switch (step) {
      case "tick":
        if (this.#asleep.has(node)) return;
        node.raft?.tick();
        cluster.pump();
        return;
      case "deliver":
        this.#deliver();
        return;
      case "write":
        if (node.raft !== null && node.writes.length > 0) cluster.completeWrite(node.id);
        return;
      case "propose":
        this.#propose(node);
        return;
      case "read":
        this.#read(this.#random.unit() < 0.5 ? node : (this.#leader() ?? node));
        return;
      case "shortReign":
      case "staleRead":
      case "slowWrite":
      case "lateSnapshot":
      case "leave":
      case "olderTerm":
      case "growth":
        for (const each of cluster.nodes) each.diskHeld = false;
        this.#gambits[step](node);
        for (const each of cluster.nodes) each.diskHeld = true;
        return;
      case "crash":
        this.#crash(node);
        return;
      case "crashLeader": {
        // Again and again: what was half replicated by one is found by the next (paper figure 8).
        const leader = this.#leader();
        if (leader !== null) this.#crash(leader);
        return;
      }
      case "restart":
        if (node.raft === null) cluster.restart(node.id);
        return;
      case "cut":
        cluster.cutFrom(node.id, this.#pick(cluster.nodes).id);
        return;
      case "isolate": {
        // A leader that is cut off and sleeps learns last that it is none any more (pitfall 3).
        const victim = this.#leader() ?? node;
        cluster.isolate(victim.id);
        if (this.#random.unit() < 0.5) this.#asleep.add(victim);
        return;
      }
      case "heal":
        cluster.heal();
        this.#asleep.clear();
        return;
      case "compact":
        if (node.raft !== null) cluster.compact(node.id, Math.floor(this.#random.unit() * 4));
        return;
      case "add": {
        const replaces = this.#pick([null, this.#pick(cluster.nodes).id]);
        if (node.raft !== null) cluster.change(node.id, { kind: "add", node: this.#pick(cluster.nodes).id, replaces });
        return;
      }
      case "remove":
        if (node.raft !== null) cluster.change(node.id, { kind: "remove", node: this.#pick(cluster.nodes).id });
        return;
      case "transfer":
        node.raft?.transferLeadership(this.#pick(cluster.nodes).id);
        cluster.pump();
        return;
    }
  }

  /** One of those who believe to lead. */
  #leader(): TestNode | null {
    const leaders = this.#cluster.nodes.filter(({ raft }) => raft?.role === "leader");
    return leaders.length === 0 ? null : this.#pick(leaders);
  }

  #crash(node: TestNode): void {
    if (node.raft === null) return;
    this.#cluster.crash(node.id, Math.floor(this.#random.unit() * (node.writes.length + 1)));
    if (node === this.#rotting) node.disk.rot(Math.floor(this.#random.unit() * 4));
  }

  #deliver(): void {
    const { wire } = this.#cluster;
    if (wire.length === 0) return;
    // Mostly in order, at times from anywhere.
    const at = this.#random.unit() < 0.7 ? 0 : Math.floor(this.#random.unit() * wire.length);
    if (this.#random.unit() < this.#loss) this.#cluster.loseAt(at);
    else this.#cluster.deliverAt(at, this.#random.unit() < this.#repeat);
    // A wire holds only so much: the oldest is lost.
    while (wire.length > 500) this.#cluster.loseAt(0);
  }

  #propose(node: TestNode): void {
    if (node.raft === null) return;
    node.raft.propose(bytes(`p${++this.#proposals}`));
    this.#cluster.pump();
  }

  #read(node: TestNode): void {
    if (node.raft === null) return;
    const context = ++this.#reads;
    this.#cluster.checks.asksRead(node, context);
    node.raft.readIndex(context);
    this.#cluster.pump();
  }

  /** Everything works again: one leader, one history, and new writes and reads get through. */
  #healed(): void {
    const cluster = this.#cluster;
    cluster.heal();
    for (const node of cluster.nodes) node.diskHeld = false;
    cluster.start();
    for (let ticks = 0; ticks < 400 && !this.#agreed(); ticks++) cluster.tick();
    must(this.#agreed(), "healed, the group does not agree");
    const [leader] = cluster.leaders();
    if (leader === undefined) throw new Error("no leader");
    // A node may have lost what nobody else has. It is whole when the log is that long again.
    for (const node of this.#members()) {
      for (const due = node.up.status().recoveringTo ?? 0; cluster.raft(leader).status().lastIndex < due; ) {
        cluster.propose(leader, "filler");
        cluster.settle();
      }
    }
    // What a leader took is lost if another one follows at once: whoever proposes asks again.
    for (let tries = 0; tries < 3 && cluster.checks.history.at(-1) !== "last"; tries++) {
      const [now = leader] = cluster.leaders();
      cluster.propose(now, "last");
      cluster.settle();
      cluster.tick(30);
    }
    for (const node of this.#members()) {
      node.readStates = [];
      this.#read(node);
    }
    cluster.tick(3);
    for (const node of this.#members()) {
      must(node.applied.index === cluster.checks.lastCommitted, `${node.id} has not applied everything`);
      must(node.readStates.length === 1, `${node.id} read ${node.readStates.length} times`);
      must(node.up.status().recoveringTo === null, `${node.id} believes that it lost entries`);
    }
    must(cluster.checks.history.at(-1) === "last", "the last proposal is not committed");
    cluster.checks.logsMatch();
  }

  /** Whom the leader counts in. A node that was removed need not know, and may believe what it likes. */
  #members(): readonly TestNode[] {
    const leaders = this.#cluster.nodes.filter(({ raft }) => raft?.role === "leader");
    const membership = leaders.at(-1)?.raft?.status().membership;
    return membership === undefined ? [] : this.#cluster.nodes.filter(({ id }) => isMember(membership, id));
  }

  #agreed(): boolean {
    const [leader, ...others] = this.#cluster.leaders();
    const members = this.#members();
    // A leader that is no member is about to step down.
    if (others.length > 0 || !members.some(({ id }) => id === leader)) return false;
    const [first] = members;
    const settled = first?.raft?.status().membership;
    if (members.some(({ raft }) => raft?.transferring)) return false;
    if (settled === undefined || isJoint(settled) || settled.learners.length > 0) return false;
    return members.every(({ raft, applied }) => {
      const { lastIndex } = raft?.status() ?? {};
      return lastIndex === first?.raft?.status().lastIndex && applied.index === lastIndex && raft?.leader !== null;
    });
  }

  #draw(): Step {
    const total = this.#weights.reduce((sum, [, weight]) => sum + weight, 0);
    let at = this.#random.unit() * total;
    for (const [step, weight] of this.#weights) {
      at -= weight;
      if (at < 0) return step;
    }
    return "tick";
  }

  #pick<T>(choices: readonly T[]): T {
    const choice = choices[Math.floor(this.#random.unit() * choices.length)];
    if (choice === undefined) throw new Error("nothing to pick from");
    return choice;
  }
}

function rewired(message: RaftMessage): RaftMessage {
  const [copy] = decodeMessages(encodeMessages([message]));
  if (copy === undefined) throw new Error("a message was lost in the codec");
  return copy;
}

function must(condition: boolean, otherwise: string): void {
  if (!condition) throw new Error(otherwise);
}
