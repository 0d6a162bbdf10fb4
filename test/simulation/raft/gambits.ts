/**
 * Short plots that a blind walk hardly ever finds: each brings a group into a state in which a known mistake shows. They
 * begin wherever the group is, and leave it as it comes; a plot that cannot go on ends.
 */
import type { NodeId } from "@openclaw/core/ids.ts";
import type { RaftMessage } from "@openclaw/core/raft/message.ts";
import type { SeededRandom } from "../seeded-random.ts";
import { bytes } from "./fixtures.ts";
import type { TestCluster } from "./harness.ts";
import type { TestNode } from "./test-node.ts";

/** Ticks after which somebody campaigns, twice the longest election timeout of a schedule's group. */
const TICKS_MAX = 16;
const DELIVERIES_MAX = 40;

export class Gambits {
  readonly #cluster: TestCluster;
  readonly #random: SeededRandom;
  readonly #read: (node: TestNode) => void;
  #written = 0;

  constructor(cluster: TestCluster, random: SeededRandom, read: (node: TestNode) => void) {
    this.#cluster = cluster;
    this.#random = random;
    this.#read = read;
  }

  /** Paper, figure 8: a node leads just long enough to bring what it has to a few others, and is gone. */
  shortReign(node: TestNode): void {
    if (!this.#lead(node)) return;
    this.#propose(node);
    const reached = this.#cluster.nodes.filter(() => this.#random.unit() < 0.4).map(({ id }) => id);
    const between = ({ from, to, kind }: RaftMessage): boolean =>
      (reached.includes(from) || reached.includes(to)) && kind.startsWith("append");
    this.#deliver(between, Math.floor(this.#random.unit() * DELIVERIES_MAX));
    this.#cluster.crash(node.id, Math.floor(this.#random.unit() * (node.writes.length + 1)));
  }

  /** Pitfall 3: a leader sleeps, another one writes, and the first is read from; old answers reach it late. */
  staleRead(node: TestNode): void {
    if (!this.#lead(node)) return;
    const cluster = this.#cluster;
    node.raft?.tick();
    cluster.pump();
    this.#deliver(({ kind, to }) => kind === "heartbeat" && to !== node.id, DELIVERIES_MAX);
    const late = cluster.drop(({ kind, to }) => kind === "heartbeatResponse" && to === node.id);
    cluster.isolate(node.id);
    const next = cluster.nodes.find((other) => other !== node && this.#lead(other));
    if (next === undefined) return;
    this.#propose(next);
    this.#deliver(({ kind }) => kind.startsWith("append"), 4 * DELIVERIES_MAX);
    this.#read(node);
    for (const message of late) node.raft?.step(message);
    cluster.pump();
  }

  /** Pitfall 11: a write is in flight while its entries are replaced, and its node leads before the next one is done. */
  slowWrite(node: TestNode): void {
    if (!this.#lead(node)) return;
    const cluster = this.#cluster;
    node.diskHeld = true;
    for (let count = 0; count < 6; count++) node.raft?.propose(bytes(`slow${++this.#written}`));
    cluster.pump();
    cluster.isolate(node.id);
    const next = cluster.nodes.find((other) => other !== node && this.#lead(other));
    cluster.heal();
    if (next === undefined) return;
    next.raft?.tick();
    this.#deliver(() => true, 2 * DELIVERIES_MAX);
    if (node.writes.length > 0) cluster.completeWrite(node.id);
    cluster.isolate(next.id);
    if (this.#lead(node)) {
      node.diskHeld = true;
      this.#propose(node);
      this.#deliver(({ kind }) => kind.startsWith("append"), 2 * DELIVERIES_MAX);
    }
    cluster.heal();
  }

  /** Pitfall 12: a snapshot is overtaken by entries that follow it, and these are counted on when it comes. */
  lateSnapshot(node: TestNode): void {
    if (!this.#lead(node)) return;
    const cluster = this.#cluster;
    const other = cluster.nodes.find((one) => one !== node && one.raft !== null);
    if (other === undefined) return;
    // That it is committed does not reach the follower: an append without entries says so.
    const between = (message: RaftMessage): boolean =>
      (message.from === other.id || message.to === other.id) &&
      (message.kind === "appendAccepted" || (message.kind === "append" && message.entries.length > 0));
    this.#deliver(between, 2 * DELIVERIES_MAX);
    if (node.applied.index === 0) return;
    cluster.sendSnapshot(node.id, other.id);
    for (let count = 0; count < 2; count++) this.#propose(node);
    this.#deliver(between, 2 * DELIVERIES_MAX);
    this.#deliver(({ kind, to }) => kind === "snapshot" && to === other.id, DELIVERIES_MAX);
    cluster.crash(node.id);
    this.#lead(this.#random.pick(cluster.nodes));
  }

  /** Thesis §4.2.2: a leader takes itself out, and is gone before everybody knows. */
  leave(node: TestNode): void {
    if (!this.#lead(node)) return;
    const cluster = this.#cluster;
    this.#deliver(({ kind }) => kind.startsWith("append"), 2 * DELIVERIES_MAX);
    cluster.change(node.id, { kind: "remove", node: node.id });
    this.#deliver(({ kind }) => kind.startsWith("append"), Math.floor(this.#random.unit() * DELIVERIES_MAX));
    cluster.drop();
    cluster.crash(node.id, Math.floor(this.#random.unit() * (node.writes.length + 1)));
  }

  /**
   * Paper, figure 8: an entry of an earlier term reaches a majority, one of a later term is on a disk that nobody heard
   * of, and that one's node leads next.
   */
  olderTerm(node: TestNode): void {
    const cluster = this.#cluster;
    const rival = cluster.nodes.find((other) => other !== node && other.raft !== null);
    if (rival === undefined || !this.#lead(node)) return;
    this.#deliver(({ kind }) => kind.startsWith("append"), 4 * DELIVERIES_MAX);
    this.#leave(node, () => this.#propose(node));
    const at = node.disk.lastIndex;
    if (!this.#lead(rival)) return;
    this.#leave(rival);
    cluster.restart(node.id);
    if (!this.#lead(node)) return;
    const between = ({ from, to, kind }: RaftMessage): boolean =>
      kind.startsWith("append") && (from === node.id || to === node.id);
    const witnesses = cluster.nodes.filter((other) => other !== node && other.raft !== null);
    const told = (): boolean => (node.raft?.status().commit ?? at) >= at;
    const held = (): boolean => witnesses.every(({ disk }) => disk.lastIndex >= at);
    for (let count = 0; count < 2 * DELIVERIES_MAX && !held(); count++) this.#deliver(between, 1);
    for (let count = 0; count < witnesses.length && !told(); count++)
      this.#deliver(({ kind, to }) => kind === "appendAccepted" && to === node.id, 1);
    cluster.drop();
    cluster.crash(node.id);
    cluster.restart(rival.id);
    if (this.#lead(rival)) this.#deliver(({ kind }) => kind.startsWith("append"), 2 * DELIVERIES_MAX);
    cluster.restart(node.id);
  }

  /**
   * Pitfalls 6 and 18: a learner becomes a voter, beside the leader or in its place, and the leader is gone before anybody
   * hears of that.
   */
  growth(node: TestNode): void {
    if (!this.#lead(node)) return;
    const cluster = this.#cluster;
    const voters = (): readonly NodeId[] => node.raft?.status().membership.voters ?? [];
    const other = cluster.nodes.find(({ id, raft }) => raft !== null && !voters().includes(id));
    if (other === undefined) return;
    this.#deliver(({ kind }) => kind.startsWith("append"), 2 * DELIVERIES_MAX);
    const replaces = this.#random.pick([null, node.id]);
    cluster.change(node.id, { kind: "add", node: other.id, replaces });
    const done = (): boolean =>
      voters().includes(other.id) && (replaces === null || node.raft?.status().membership.outgoing.length === 0);
    for (let count = 0; count < 2 * DELIVERIES_MAX && !done(); count++)
      this.#deliver(({ kind }) => kind.startsWith("append"), 1);
    this.#leave(node);
  }

  /** What it has written, and does meanwhile, is on its disk, and nobody hears of it. */
  #leave(node: TestNode, meanwhile: () => void = () => {}): void {
    const cluster = this.#cluster;
    meanwhile();
    cluster.pump();
    cluster.crash(node.id, node.writes.length);
    cluster.drop(({ from }) => from === node.id);
  }

  /** Lets everybody's lease run out, and this node campaign. False: it does not come to lead. */
  #lead(node: TestNode): boolean {
    const { nodes } = this.#cluster;
    const votes = ({ kind, from, to }: RaftMessage): boolean =>
      (from === node.id || to === node.id) && (kind.startsWith("vote") || kind.startsWith("preVote"));
    for (const { raft } of nodes) {
      if (raft === null || raft === node.raft) continue;
      for (let ticks = 0; ticks < TICKS_MAX && raft.role === "follower" && raft.leader !== null; ticks++) raft.tick();
    }
    this.#cluster.pump();
    for (let ticks = 0; ticks < TICKS_MAX && node.raft !== null && node.raft.role !== "leader"; ticks++) {
      node.raft.tick();
      this.#deliver(votes, DELIVERIES_MAX);
    }
    return node.raft?.role === "leader";
  }

  #propose(node: TestNode): void {
    node.raft?.propose(bytes(`gambit${++this.#written}`));
    this.#cluster.pump();
  }

  /** Delivers what matches, one after the other, and completes the writes of whoever is not held. */
  #deliver(matches: (message: RaftMessage) => boolean, max: number): void {
    const cluster = this.#cluster;
    const held = new Set<NodeId>(cluster.nodes.filter(({ diskHeld }) => diskHeld).map(({ id }) => id));
    cluster.pump();
    for (let count = 0; count < max; count++) {
      const writer = cluster.nodes.find(({ id, raft, writes }) => raft !== null && writes.length > 0 && !held.has(id));
      if (writer !== undefined) {
        cluster.completeWrite(writer.id);
        continue;
      }
      const at = cluster.wire.findIndex(matches);
      if (at < 0) return;
      cluster.deliverAt(at);
    }
  }
}
