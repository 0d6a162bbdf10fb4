/** A follower's work: takes what the leader sends, and learns what is committed (paper §5.3). */
import { invariant } from "../errors.ts";
import { type Index, index, type NodeId } from "../ids.ts";
import type { Election } from "./election.ts";
import type { Entry, RaftMessage } from "./message.ts";
import type { NodeState } from "./node-state.ts";

type Of<Kind extends RaftMessage["kind"]> = Extract<RaftMessage, { kind: Kind }>;

export class Follower {
  readonly #node: NodeState;
  readonly #election: Election;
  readonly #maxUnappliedBytes: number;

  constructor(node: NodeState, election: Election, maxUnappliedBytes: number) {
    this.#node = node;
    this.#election = election;
    this.#maxUnappliedBytes = maxUnappliedBytes;
  }

  onAppend(message: Of<"append">): void {
    const node = this.#node;
    const { log } = node;
    this.#heard(message);
    // The log on disk is being replaced: the answer to the snapshot says where to go on.
    if (node.installing) return;
    const entries = this.#withinMemory(message);
    const end = index(message.prevIndex + entries.length);
    if (end <= log.commit) {
      // Old news. Nothing may be appended again, not where prevIndex is compacted here, nor where it is 0 (pitfall 13).
      node.acknowledge(message.from, log.commit);
      return;
    }
    const committed = log.commit - message.prevIndex;
    if (committed <= 0 && log.termAt(message.prevIndex) !== message.prevTerm) {
      this.#reject(message);
      return;
    }
    this.#merge(committed > 0 ? entries.slice(committed) : entries);
    log.commitTo(index(Math.min(message.commit, end)));
    node.acknowledge(message.from, end);
  }

  onCommit(message: Of<"commit">): void {
    const { log, installing } = this.#node;
    this.#heard(message);
    if (installing || message.match <= log.commit || log.termAt(message.match) !== message.matchTerm) return;
    log.commitTo(index(Math.min(message.commit, message.match)));
  }

  onHeartbeat(message: Of<"heartbeat">): void {
    const node = this.#node;
    const { log } = node;
    this.#heard(message);
    if (!node.installing && message.match > log.commit) {
      // The leader counts on our having this entry. If we do, all before it is the leader's, too, and may be committed.
      const ours = log.termAt(message.match);
      if (ours === message.matchTerm) log.commitTo(index(Math.min(message.commit, message.match)));
      else if (ours === null || message.matchTerm > 0) this.#lost(message.from, message.match);
    }
    // Who recovers may have forgotten a newer term: it vouches for no read (R5).
    const context = node.recovery.active ? 0 : message.context;
    node.answer({ kind: "heartbeatResponse", ...node.envelope(message.from), context });
  }

  /**
   * X1: memory must not grow with a state that is slow. What would make the log longer is as if it were lost: the leader's
   * window fills, and it asks again. What stands in the log already tells what of it is committed, and so may be applied.
   */
  #withinMemory({ prevIndex, entries }: Of<"append">): readonly Entry[] {
    const { log, applied } = this.#node;
    if (log.bytesAfter(applied) <= this.#maxUnappliedBytes) return entries;
    return entries.slice(0, Math.max(0, log.lastIndex - prevIndex));
  }

  #heard(message: Of<"append"> | Of<"heartbeat"> | Of<"commit">): void {
    invariant(this.#node.role !== "leader", `${message.from} leads in term ${message.term}, and so do we`);
    this.#election.heardLeader(message.from);
  }

  #merge(entries: Of<"append">["entries"]): void {
    const cut = this.#node.log.merge(entries);
    if (cut !== null) this.#node.durability.truncated(cut);
  }

  #reject(message: Of<"append">): void {
    const node = this.#node;
    const { log, recovery } = node;
    if (recovery.active) {
      // What is committed is the same everywhere, so the leader can go on from there without a search.
      node.acknowledge(message.from, log.commit);
      return;
    }
    const hintIndex = log.lastWithTermAtMost(message.prevTerm, message.prevIndex);
    const hintTerm = log.termAt(hintIndex);
    invariant(hintTerm !== null, "a hint is an entry of the log");
    const { prevIndex } = message;
    node.answer({ kind: "appendRejected", ...node.envelope(message.from), prevIndex, hintIndex, hintTerm });
  }

  /** R5: this node acknowledged the entry `match` to this very leader, and has it no longer. */
  #lost(leader: NodeId, match: Index): void {
    const { log, recovery, durability, term } = this.#node;
    recovery.lost(match, term);
    if (log.lastIndex >= match) {
      // Another entry stands in its place: a truncation was lost as well.
      log.truncate(match);
      durability.truncated(match);
    }
    // The leader believes us to be up to date, and has no reason to send anything.
    this.#node.acknowledge(leader, log.commit);
  }
}
