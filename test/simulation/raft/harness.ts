/**
 * Raft nodes on a hand-flushed network and disks that can be held back. Nothing moves but by `settle`, `deliver`,
 * `completeWrite` and `tick`; a crash loses what was not durable. Checks after every step what must hold always
 * (checks.ts).
 */

import { invariant } from "@openclaw/core/errors.ts";
import { type Index, index, type NodeId } from "@openclaw/core/ids.ts";
import type { MembershipChange } from "@openclaw/core/raft/membership.ts";
import { membershipAfter } from "@openclaw/core/raft/membership-codec.ts";
import type { RaftMessage, RaftMessageKind, SnapshotMeta } from "@openclaw/core/raft/message.ts";
import type { RaftOptions } from "@openclaw/core/raft/options.ts";
import { Raft } from "@openclaw/core/raft/raft.ts";
import type { Ready } from "@openclaw/core/raft/ready.ts";
import { Checks } from "./checks.ts";
import { bytes, nodeId, text } from "./fixtures.ts";
import { TestNode } from "./test-node.ts";

/** What a watcher of the whole group sees, in order. */
export type Seen =
  /** A message reached its receiver, or did not: before the receiver does anything. */
  | { readonly kind: "message"; readonly message: RaftMessage; readonly reaches: boolean }
  /** A node may have changed: before its Ready is taken. */
  | { readonly kind: "turn"; readonly node: TestNode }
  | { readonly kind: "ready"; readonly node: TestNode; readonly ready: Ready }
  /** The oldest write in flight reached the disk. */
  | { readonly kind: "written"; readonly node: TestNode; readonly ready: Ready };

export interface ClusterOptions {
  readonly watch?: (seen: Seen) => void;
  /** Of the election timeout; default: a fixed order of timeouts by position. */
  readonly random?: () => number;
  readonly raft?: Partial<RaftOptions>;
  /** Who founds the group; default: all. */
  readonly founders?: readonly string[];
  /** Snapshots are sent by hand. */
  readonly snapshotsByHand?: boolean;
  /** Every message passes through this on its way, such as encode and decode. */
  readonly wire?: (message: RaftMessage) => RaftMessage;
}

export class TestCluster {
  readonly ids: readonly NodeId[];
  readonly nodes: readonly TestNode[];
  readonly checks: Checks;
  readonly #byId = new Map<NodeId, TestNode>();
  readonly #options: ClusterOptions;
  readonly #cut = new Set<string>();
  /** On the wire, oldest first. */
  wire: RaftMessage[] = [];

  constructor(names: readonly string[], options: ClusterOptions = {}) {
    this.ids = names.map(nodeId);
    const founders = (options.founders ?? names).map(nodeId);
    this.nodes = this.ids.map((id) => new TestNode(id, founders));
    for (const node of this.nodes) this.#byId.set(node.id, node);
    this.#options = options;
    this.checks = new Checks(this.nodes, founders);
  }

  /** Starts every node that is down, from its disk. */
  start(): this {
    for (const node of this.nodes) if (node.raft === null) this.restart(node.id);
    return this;
  }

  node(name: string): TestNode {
    const node = this.#byId.get(nodeId(name));
    invariant(node !== undefined, `no node ${name}`);
    return node;
  }

  raft(name: string): Raft {
    return this.node(name).up;
  }

  restart(name: string): Raft {
    const node = this.node(name);
    invariant(node.raft === null, `${name} is up`);
    const { disk } = node;
    const recoverTo = disk.fitToState();
    node.applied = disk.state;
    const at = this.nodes.indexOf(node);
    node.raft = new Raft({
      id: node.id,
      membership: disk.state.membership,
      hardState: disk.hardState,
      base: disk.base,
      entries: disk.entries.slice(),
      applied: disk.state.index,
      recoverTo,
      random: this.#options.random ?? (() => at / this.nodes.length),
      now: () => 0,
      ...this.#options.raft,
    });
    return node.raft;
  }

  /** Loses what is not durable; `reached` writes in flight got to the disk before the power went. */
  crash(name: string, reached = 0): void {
    const node = this.node(name);
    for (const { ready } of node.writes.splice(0).slice(0, reached)) node.disk.append(ready.hardState, ready.entries);
    node.raft = null;
    node.readStates = [];
    node.readsDropped = [];
    node.snapshotsTo = [];
  }

  /** Takes every Ready of every node and does what can be done at once. */
  pump(): void {
    for (const node of this.nodes) this.#pumpNode(node);
  }

  /** The oldest write in flight reaches the disk. */
  completeWrite(name: string): void {
    const node = this.node(name);
    const write = node.writes.shift();
    invariant(write !== undefined, `${name} writes nothing`);
    const { hardState, entries, afterDurable, persisted } = write.ready;
    node.disk.append(hardState, entries);
    this.#options.watch?.({ kind: "written", node, ready: write.ready });
    for (const message of afterDurable) this.#put(message);
    invariant(persisted !== null, "a write has an end");
    node.up.durable(persisted);
    this.pump();
  }

  /** Delivers one message from the wire, and keeps it there if it is `repeated`. */
  deliverAt(position: number, repeated = false): void {
    const message = repeated ? this.wire[position] : this.wire.splice(position, 1)[0];
    if (message === undefined) return;
    this.step(message);
  }

  /** Loses one message from the wire. The transfer of a snapshot is not a message: its sender sees that it failed. */
  loseAt(position: number): void {
    const [message] = this.wire.splice(position, 1);
    if (message?.kind === "snapshot") this.#snapshotArrived(message, false);
  }

  step(message: RaftMessage): void {
    const node = this.#byId.get(message.to);
    const reaches = node !== undefined && node.raft !== null && !this.#isCut(message.from, message.to);
    this.#options.watch?.({ kind: "message", message, reaches });
    if (reaches) {
      node.raft?.step(message);
      this.pump();
    }
    if (message.kind === "snapshot") this.#snapshotArrived(message, reaches);
  }

  /** Delivers what matches, until nothing does; completes the writes of disks that are not held. */
  settle(matches: (message: RaftMessage) => boolean = () => true): void {
    this.pump();
    for (let rounds = 0; ; rounds++) {
      invariant(rounds < 100_000, "the cluster does not settle");
      const writer = this.nodes.find((node) => node.raft !== null && !node.diskHeld && node.writes.length > 0);
      if (writer !== undefined) {
        this.completeWrite(writer.id);
        continue;
      }
      const at = this.wire.findIndex(matches);
      if (at < 0) return;
      this.deliverAt(at);
    }
  }

  /** Ticks the nodes named (all that are up without), and settles after each tick. */
  tick(times = 1, names: readonly string[] = this.ids): void {
    for (let count = 0; count < times; count++) {
      for (const name of names) this.node(name).raft?.tick();
      this.settle();
    }
  }

  /** Makes this node the leader; the others are quiet long enough to vote for it. */
  elect(name: string): Raft {
    const raft = this.raft(name);
    for (const node of this.nodes) {
      if (node.id === name || node.raft === null) continue;
      // Past the lease, but not past any election timeout of their own: those are drawn from 10 to 20 ticks.
      for (let count = 0; count < 10 && node.raft.role === "follower"; count++) node.raft.tick();
    }
    this.drop();
    for (let count = 0; count < 40 && raft.role !== "leader"; count++) {
      raft.tick();
      this.settle();
    }
    invariant(raft.role === "leader", `${name} was not elected`);
    this.settle();
    return raft;
  }

  /** Asks for a change; what its leader said. */
  change(name: string, change: MembershipChange): ReturnType<Raft["changeMembership"]> {
    const answer = this.raft(name).changeMembership(change);
    this.pump();
    return answer;
  }

  propose(name: string, data: string): Index {
    const proposed = this.raft(name).propose(bytes(data));
    invariant(proposed.ok, `${name} refused ${data}`);
    this.pump();
    return proposed.index;
  }

  /** Removes messages from the wire; returns them. As in `loseAt`, the sender of a snapshot sees it. */
  drop(matches: (message: RaftMessage) => boolean = () => true): readonly RaftMessage[] {
    this.pump();
    const dropped = this.wire.filter(matches);
    this.wire = this.wire.filter((message) => !matches(message));
    for (const message of dropped) if (message.kind === "snapshot") this.#snapshotArrived(message, false);
    return dropped;
  }

  /** Cuts the link from one to the other, in that direction only. */
  cutFrom(from: string, to: string): void {
    this.#cut.add(`${from}>${to}`);
  }
  /** Cuts this node off from everybody. */
  isolate(name: string): void {
    for (const id of this.ids) {
      if (id === name) continue;
      this.cutFrom(name, id);
      this.cutFrom(id, name);
    }
  }
  heal(): void {
    this.#cut.clear();
  }

  /** Makes this node's applied state durable and cuts its log there (R7). */
  compact(name: string, keep = 0): void {
    const node = this.node(name);
    node.disk.state = node.applied;
    if (node.applied.index - keep <= node.disk.base.index) return;
    node.up.compact(index(node.applied.index - keep));
    // What is not yet on disk has stayed in the log.
    node.disk.compact(index(node.up.status().firstIndex - 1));
  }

  /** Sends the snapshot that this node would make now. */
  sendSnapshot(from: string, to: string): void {
    const node = this.node(from);
    const meta: SnapshotMeta = node.applied;
    this.#put({ kind: "snapshot", from: node.id, to: nodeId(to), term: node.up.term, meta });
  }

  leaders(): readonly NodeId[] {
    return this.nodes.filter((node) => node.raft?.role === "leader").map((node) => node.id);
  }

  /** Messages of one kind on the wire. */
  on<Kind extends RaftMessageKind>(kind: Kind): readonly Extract<RaftMessage, { kind: Kind }>[] {
    this.pump();
    return this.wire.filter((message): message is Extract<RaftMessage, { kind: Kind }> => message.kind === kind);
  }

  #pumpNode(node: TestNode): void {
    const { raft } = node;
    if (raft === null) return;
    this.#options.watch?.({ kind: "turn", node });
    for (let rounds = 0; raft.hasReady(); rounds++) {
      invariant(rounds < 10_000, `${node.id} is never done`);
      this.#handle(node, raft, raft.ready());
      this.#options.watch?.({ kind: "turn", node });
    }
    this.checks.node(node);
  }

  #handle(node: TestNode, raft: Raft, ready: Ready): void {
    this.#options.watch?.({ kind: "ready", node, ready });
    for (const message of ready.messages) this.#put(message);
    if (ready.snapshot !== null) this.#install(node, raft, ready.snapshot, ready.logStays);
    if (ready.persisted !== null) node.writes.push({ ready });
    else
      invariant(
        ready.afterDurable.length + ready.entries.length === 0 && ready.hardState === null,
        "no write, no answer",
      );
    for (const committed of ready.committed) {
      this.checks.committed(node, committed);
      const membership = membershipAfter(node.applied.membership, [committed]);
      node.applied = { index: committed.index, term: committed.term, membership };
    }
    if (!node.applyHeld) raft.applied(node.applied.index);
    for (const state of ready.readStates) {
      this.checks.read(node, state);
      node.readStates.push(state);
    }
    node.readsDropped.push(...ready.readsDropped);
    node.forwarded.push(...ready.forwarded.map(text));
    for (const { to } of ready.statesTo) this.sendSnapshot(node.id, to);
    for (const to of ready.snapshotsTo) {
      node.snapshotsTo.push(to);
      if (this.#options.snapshotsByHand !== true) this.sendSnapshot(node.id, to);
    }
  }

  /** R8. The log store works in order: what was in flight is on disk before the reset. */
  #install(node: TestNode, raft: Raft, meta: SnapshotMeta, logStays: boolean): void {
    for (const { ready } of node.writes.splice(0)) {
      node.disk.append(ready.hardState, ready.entries);
      for (const message of ready.afterDurable) this.#put(message);
      invariant(ready.persisted !== null, "a write has an end");
      raft.durable(ready.persisted);
    }
    node.disk.state = meta;
    if (!logStays) node.disk.reset(node.disk.state);
    node.applied = node.disk.state;
    node.installs.push(meta);
    raft.snapshotInstalled(meta);
  }

  #snapshotArrived(message: RaftMessage, reached: boolean): void {
    const sender = this.#byId.get(message.from)?.raft ?? null;
    if (reached) sender?.snapshotSent(message.to);
    else sender?.snapshotFailed(message.to);
  }

  #put(message: RaftMessage): void {
    invariant(message.to !== message.from, "nobody writes to itself");
    if (message.kind === "timeoutNow") this.checks.handsOver(message.from, message.to);
    this.wire.push(this.#options.wire?.(message) ?? message);
  }

  #isCut(from: NodeId, to: NodeId): boolean {
    return this.#cut.has(`${from}>${to}`);
  }
}
