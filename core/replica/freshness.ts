/**
 * How stale a local read may be: the time since this node last knew that its state was the newest. A follower knows it
 * when it has applied the commit that its leader told; a leader, when it has applied what was committed while a majority
 * still answered it. By the monotonic clock, and as heard here: a message's way is not in it, and a leader that is cut
 * off tells its followers of nothing newer until it steps down (CheckQuorum).
 */
import type { Index, NodeId } from "../ids.ts";
import type { Clock } from "../ports.ts";
import type { RaftMessage } from "../raft/message.ts";
import type { Raft } from "../raft/raft.ts";

/** At `at`, nothing above `commit` was committed that this node could know of. */
interface Sight {
  readonly commit: Index;
  readonly at: number;
}

export class Freshness {
  readonly #clock: Clock;
  /** When the state was last known to be the newest. */
  #fresh: number | null = null;
  /** The oldest sight that is not applied yet, and the newest one: under a steady load the newest alone would never be. */
  #next: Sight | null = null;
  #newest: Sight | null = null;
  /** A leader's: when each voter was last heard in `#term`. */
  readonly #heard = new Map<NodeId, number>();
  #term = 0;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** A message was stepped. */
  received(raft: Raft, message: RaftMessage, applied: Index): void {
    if (message.term !== raft.term) return;
    if (raft.role === "leader") {
      this.#inTerm(raft).set(message.from, this.#clock.now());
    } else if ((message.kind === "append" || message.kind === "heartbeat") && raft.leader === message.from) {
      this.#saw({ commit: message.commit, at: this.#clock.now() }, applied);
    }
  }

  /** Once a tick, and before an age is told. */
  tick(raft: Raft, applied: Index): void {
    this.#applied(applied);
    // Pitfall 2: before an entry of its own term is committed a leader may know less than was acknowledged.
    if (raft.role !== "leader" || raft.termAt(raft.commit) !== raft.term) return;
    const at = this.#majorityHeard(raft);
    if (at !== null) this.#saw({ commit: raft.commit, at }, applied);
  }

  #applied(applied: Index): void {
    if (this.#next === null || this.#next.commit > applied) return;
    this.#fresh = Math.max(this.#fresh ?? this.#next.at, this.#next.at);
    this.#next = null;
    const newest = this.#newest;
    this.#newest = null;
    if (newest !== null) this.#saw(newest, applied);
  }

  /** Ms; null when the state was never known to be the newest. */
  get age(): number | null {
    return this.#fresh === null ? null : Math.max(0, this.#clock.now() - this.#fresh);
  }

  #saw(sight: Sight, applied: Index): void {
    if (this.#next !== null && this.#next.commit < sight.commit) {
      this.#newest = sight;
      return;
    }
    this.#next = sight;
    this.#applied(applied);
  }

  #inTerm(raft: Raft): Map<NodeId, number> {
    if (this.#term !== raft.term) this.#heard.clear();
    this.#term = raft.term;
    return this.#heard;
  }

  /** The last time at which a quorum, this node among it, had been heard since. */
  #majorityHeard(raft: Raft): number | null {
    const heard = this.#inTerm(raft);
    if (raft.reachesQuorum((voter) => voter === raft.id)) return this.#clock.now();
    const times = [...heard.values()].sort((a, b) => b - a);
    return (
      times.find((at) => raft.reachesQuorum((voter) => voter === raft.id || (heard.get(voter) ?? -1) >= at)) ?? null
    );
  }
}
