/** A leader's work: its entries, what each follower has of them, and what is committed (paper §5.3, §5.4.2). */
import { invariant } from "../errors.ts";
import { type Index, index, type NodeId, term } from "../ids.ts";
import { BATCH_ITEMS_MAX } from "../limits.ts";
import { entryBytes } from "./log.ts";
import type { EntryKind, RaftMessage } from "./message.ts";
import type { NodeState } from "./node-state.ts";
import { Progress } from "./progress.ts";
import type { RaftStatus } from "./ready.ts";
import { Stamps } from "./stamps.ts";

type Of<Kind extends RaftMessage["kind"]> = Extract<RaftMessage, { kind: Kind }>;

export interface ReplicationOptions {
  readonly now: () => number;
  readonly heartbeatTicks: number;
  readonly maxBatchBytes: number;
  readonly maxInflight: number;
  readonly maxUncommittedBytes: number;
}

/** Bytes on their way to one follower, in full batches. */
const INFLIGHT_BATCHES = 8;
const NO_DATA = new Uint8Array(0);

export class Replication {
  readonly #node: NodeState;
  readonly #options: ReplicationOptions;
  /** Of the other members; empty while this node does not lead. */
  #progress: ReadonlyMap<NodeId, Progress> = new Map();
  readonly #committed: () => void;
  readonly #stamps: Stamps;
  #heartbeatElapsed = 0;
  /** Something may have to be sent: looked at once a Ready, so that one append carries all that came before it. */
  #due = false;
  #snapshotsTo: NodeId[] = [];

  /** @param committed called when a leader's commit index moved */
  constructor(node: NodeState, options: ReplicationOptions, committed: () => void) {
    this.#node = node;
    this.#options = options;
    this.#committed = committed;
    this.#stamps = new Stamps(options.now);
  }

  get hasWork(): boolean {
    return this.#due;
  }

  /** This node was elected: its no-op commits what earlier terms left (paper §5.4.2, pitfall 20). */
  start(): void {
    this.#progress = new Map();
    this.#followMembers();
    this.#heartbeatElapsed = 0;
    this.#stamps.restart();
    this.append("noop", NO_DATA);
  }

  stop(): void {
    this.#progress = new Map();
    this.#due = false;
  }

  /** Null when too much is waiting already. What waits alone may be of any size. */
  propose(data: Uint8Array): Index | null {
    const { log, durability } = this.#node;
    const waiting = log.bytesAfter(index(Math.min(log.commit, durability.durable)));
    if (waiting > 0 && waiting + data.length > this.#options.maxUncommittedBytes) return null;
    return this.append("commands", data);
  }

  /** True when a heartbeat is due. */
  tick(): boolean {
    if (++this.#heartbeatElapsed < this.#options.heartbeatTicks) return false;
    this.#heartbeatElapsed = 0;
    for (const progress of this.#progress.values()) progress.heartbeat();
    return true;
  }

  /** `context`: the ReadIndex round to confirm, 0 for none. */
  sendHeartbeats(context: number): void {
    const { log, mark } = this.#node;
    for (const [to, progress] of this.#progress) {
      const match = index(Math.max(progress.match, progress.acknowledged));
      // Of an entry that is compacted here the term is not known.
      const matchTerm = log.termAt(match) ?? term(0);
      const { commit } = log;
      this.#node.send({ kind: "heartbeat", ...this.#node.envelope(to), match, matchTerm, commit, context, mark });
    }
  }

  /** CheckQuorum: whether a majority was heard since the last call. */
  takeQuorumActive(): boolean {
    const { quorum, id } = this.#node;
    const reached = quorum.reached((voter) => voter === id || this.#progress.get(voter)?.active === true);
    for (const progress of this.#progress.values()) progress.checked();
    return reached;
  }

  /** How far the slowest follower is that is there; null when this node does not lead, or leads nobody. */
  slowestMatch(): Index | null {
    let slowest: Index | null = null;
    for (const { present, match } of this.#progress.values()) {
      if (present && (slowest === null || match < slowest)) slowest = match;
    }
    return slowest;
  }

  isActive(id: NodeId): boolean {
    return this.#progress.get(id)?.present === true;
  }

  /** Whether this member answers, and lost nothing that it acknowledged: a commit may rest on it (R5). */
  counts(id: NodeId): boolean {
    const progress = this.#progress.get(id);
    return progress?.present === true && progress.counted;
  }

  /** Whether this member answers and has the log up to `upTo` on its disk. */
  holds(id: NodeId, upTo: Index): boolean {
    const progress = this.#progress.get(id);
    return progress?.present === true && progress.countedMatch >= upTo;
  }

  /** The voter that is there and holds most of the log, ourselves left out. */
  mostUpToDate(): NodeId | null {
    let best: { readonly id: NodeId; readonly match: Index } | null = null;
    for (const [id, { present, countedMatch: match }] of this.#progress) {
      if (present && this.#node.quorum.has(id) && (best === null || match > best.match)) best = { id, match };
    }
    return best?.id ?? null;
  }

  heard(from: NodeId): void {
    const progress = this.#progress.get(from);
    if (progress !== undefined) progress.active = true;
  }

  onAccepted(message: Of<"appendAccepted">): void {
    const progress = this.#progress.get(message.from);
    if (progress === undefined) return;
    const { log } = this.#node;
    invariant(
      message.match <= log.lastIndex,
      `${message.from} acknowledged ${message.match}, which its leader never sent`,
    );
    if (progress.accepted(message.match, log.base.index)) this.commit();
    this.#due = true;
  }

  onRejected(message: Of<"appendRejected">): void {
    const progress = this.#progress.get(message.from);
    if (progress === undefined) return;
    const hint = this.#node.log.lastWithTermAtMost(message.hintTerm, message.hintIndex);
    // Below our base the terms are not known: the follower's own hint decides between probing on and a snapshot.
    const meet = message.hintIndex < this.#node.log.base.index ? message.hintIndex : hint;
    if (progress.rejected(message.prevIndex, meet)) this.#due = true;
  }

  onUncounted(message: Of<"appendUncounted">): void {
    const progress = this.#progress.get(message.from);
    if (progress === undefined) return;
    const { log } = this.#node;
    progress.uncounted(message.match, log.base.index, message.match < log.lastIndex);
    this.#due = true;
  }

  onHeartbeatResponse(message: Of<"heartbeatResponse">): void {
    const progress = this.#progress.get(message.from);
    if (progress === undefined) return;
    const ask = progress.alive();
    if (ask && progress.next > this.#node.log.base.index) this.#sendAppend(message.from, progress, true);
    else if (ask || progress.state === "probe") this.#due = true;
  }

  snapshotEnded(to: NodeId): void {
    this.#progress.get(to)?.snapshotEnded(this.#node.log.base.index);
  }

  /**
   * Counts what is on disks. Only an entry of our own term is committed by counting, the earlier ones with it (pitfall
   * 20).
   */
  commit(): void {
    const { log, quorum, id, durability } = this.#node;
    const held = quorum.held((voter) =>
      voter === id ? durability.durable : (this.#progress.get(voter)?.countedMatch ?? index(0)),
    );
    if (held > log.commit && log.termAt(held) === this.#node.term) {
      log.commitTo(held);
      this.#due = true;
      this.#committed();
    }
  }

  /** Makes the appends that are due. */
  flush(): void {
    if (!this.#due) return;
    this.#due = false;
    for (const [to, progress] of this.#progress) this.#sendTo(to, progress);
  }

  /** Who came to need a snapshot in the last `flush`: taken with it. */
  takeSnapshotsTo(): readonly NodeId[] {
    const snapshotsTo = this.#snapshotsTo;
    this.#snapshotsTo = [];
    return snapshotsTo;
  }

  status(): RaftStatus["progress"] {
    const { id, durability, quorum } = this.#node;
    return quorum.members.map((member) => {
      if (member === id) return { id: member, match: durability.durable, active: true };
      const progress = this.#progress.get(member);
      return { id: member, match: progress?.match ?? index(0), active: progress?.present ?? false };
    });
  }

  /** A leader's own entry; a configuration counts from here on (thesis §4.1). */
  append(kind: EntryKind, data: Uint8Array): Index {
    const { log, term } = this.#node;
    const entry = { term, index: index(log.lastIndex + 1), kind, stamp: this.#stamps.next(), data };
    log.append(entry);
    this.#due = true;
    if (kind === "configuration") this.#followMembers();
    return entry.index;
  }

  /** Newcomers are probed from the end; who left is forgotten. */
  #followMembers(): void {
    const { log, quorum, id } = this.#node;
    const { maxInflight, maxBatchBytes } = this.#options;
    const progress = new Map<NodeId, Progress>();
    for (const member of quorum.members) {
      if (member === id) continue;
      const known = this.#progress.get(member);
      const next = index(log.lastIndex + 1);
      progress.set(member, known ?? new Progress(next, maxInflight, maxBatchBytes * INFLIGHT_BATCHES));
    }
    this.#progress = progress;
  }

  #sendTo(to: NodeId, progress: Progress): void {
    const { log } = this.#node;
    // A full window does not matter here: what is in flight may be lost, and cannot be sent again.
    if (progress.next <= log.base.index && (progress.state === "replicate" || !progress.paused)) {
      // A follower that is not there gets no snapshot; its first answer brings us back here. A wrong state is no snapshot.
      if (!progress.active || this.#node.stateNeeded !== null) return;
      progress.awaitSnapshot();
      this.#snapshotsTo.push(to);
      return;
    }
    while (!progress.paused) {
      if (progress.state === "replicate" && progress.next > log.lastIndex) return this.#sendCommit(to, progress);
      this.#sendAppend(to, progress, progress.probesEmpty);
    }
  }

  /** The news of a commit, when there is no append for it to ride on. */
  #sendCommit(to: NodeId, progress: Progress): void {
    const { log } = this.#node;
    const { match } = progress;
    const commit = index(Math.min(log.commit, match));
    const matchTerm = log.termAt(match);
    // Of an entry that is compacted here the term is not known: the next heartbeat does it.
    if (commit <= progress.commitSent || matchTerm === null) return;
    progress.commitSent = commit;
    this.#node.send({ kind: "commit", ...this.#node.envelope(to), match, matchTerm, commit });
  }

  #sendAppend(to: NodeId, progress: Progress, empty: boolean): void {
    const { log } = this.#node;
    const prevIndex = index(progress.next - 1);
    const prevTerm = log.termAt(prevIndex);
    invariant(prevTerm !== null, "an append follows an entry whose term is known");
    const entries = empty ? [] : log.slice(progress.next, log.lastIndex, this.#options.maxBatchBytes, BATCH_ITEMS_MAX);
    let bytes = 0;
    for (const entry of entries) bytes += entryBytes(entry);
    const commit = log.commit;
    this.#node.send({ kind: "append", ...this.#node.envelope(to), prevIndex, prevTerm, entries, commit });
    progress.sent(entries.length, bytes, commit);
  }
}
