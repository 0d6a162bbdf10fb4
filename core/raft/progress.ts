/**
 * A leader's view of one follower (etcd's tracker). `match` < `next` always.
 *
 *   probe      where the logs meet is not known: one append at a time, the next when it is answered
 *   replicate  they meet: appends follow each other, `next` runs ahead of `match` by what is in flight
 *   snapshot   the follower needs entries that are compacted: no appends until it holds a snapshot
 */
import { invariant, unreachable } from "../errors.ts";
import { type Index, index } from "../ids.ts";
import { Inflights } from "./inflights.ts";

export type ProgressState = "probe" | "replicate" | "snapshot";

export class Progress {
  readonly inflights: Inflights;
  /**
   * The last entry the follower has said to hold on disk, in this term. Goes back only when it says that it lost
   * entries (R5, pitfall 20).
   */
  match: Index = index(0);
  /**
   * The last entry that a whole follower has acknowledged in this term. It outlives a loss, for the follower may forget
   * again that it lost anything: it is told in every heartbeat (R5).
   */
  acknowledged: Index = index(0);
  /** The next entry to send. */
  next: Index;
  state: ProgressState = "probe";
  /** False while the follower recovers: its `match` is no vote for a commit (R5). */
  counted = true;
  /** Heard from since the last CheckQuorum. */
  active = false;
  /** Heard from between the last CheckQuorum and the one before. */
  #wasActive = false;
  /** The commit index that the follower was last told, as far as it holds the log. */
  commitSent: Index = index(0);
  /** In `probe`: an append is out and unanswered. */
  #paused = false;
  /** In `probe`: the last append was not answered; the next one goes without entries. */
  #unanswered = false;
  #matchAtTick: Index = index(0);
  #stalled = false;

  constructor(next: Index, inflightMax: number, inflightBytesMax: number) {
    this.next = next;
    this.inflights = new Inflights(inflightMax, inflightBytesMax);
  }

  /** Whether appends have to wait for the follower. */
  get paused(): boolean {
    switch (this.state) {
      case "probe":
        return this.#paused;
      case "replicate":
        return this.inflights.full;
      case "snapshot":
        return true;
      default:
        return unreachable(this.state);
    }
  }
  /** Whether the next append should only ask where the logs meet. */
  get probesEmpty(): boolean {
    return this.#unanswered;
  }
  /** What the follower holds for the purpose of a commit. */
  get countedMatch(): Index {
    return this.counted ? this.match : index(0);
  }

  /** An append with `count` entries of `bytes` in all was sent from `next` on. */
  sent(count: number, bytes: number, commit: Index): void {
    this.commitSent = index(Math.min(commit, this.next - 1 + count));
    if (this.state === "probe") this.#paused = true;
    if (this.state !== "replicate" || count === 0) return;
    this.next = index(this.next + count);
    this.inflights.add(index(this.next - 1), bytes);
  }

  /** The follower holds the log up to `match`. False when that was known. */
  accepted(match: Index, base: Index): boolean {
    const news = match > this.match || !this.counted;
    this.counted = true;
    if (match > this.match) this.match = match;
    if (match > this.acknowledged) this.acknowledged = match;
    if (this.next <= this.match) this.next = index(this.match + 1);
    switch (this.state) {
      case "probe":
        this.#replicate();
        break;
      case "replicate":
        this.inflights.freeUpTo(match);
        break;
      case "snapshot":
        // Any snapshot at or past the base does, also one that another leader sent.
        if (this.match >= base) this.#replicate();
        break;
    }
    return news;
  }

  /** The follower recovers and holds the log up to `match`, uncounted. `more`: there is something to send after it. */
  uncounted(match: Index, base: Index, more: boolean): void {
    // It says so at every heartbeat. An append with what follows is out already, and the next answer tells what came of it.
    if (!this.counted && match === this.match && this.state === "probe" && this.#paused && !this.#unanswered) return;
    this.counted = false;
    this.match = match;
    if (this.state === "snapshot" && match < base) return;
    this.probeFrom(index(match + 1));
    // With nothing to send, the next heartbeat asks again: two answers would chase each other otherwise.
    this.#paused = !more;
  }

  /** The follower has no entry `rejected` of ours; `hint` may be where the logs meet. False for an old answer. */
  rejected(rejected: Index, hint: Index): boolean {
    switch (this.state) {
      case "snapshot":
        return false;
      case "replicate":
        if (rejected <= this.match) return false;
        break;
      case "probe":
        if (rejected !== this.next - 1) return false;
        break;
    }
    this.probeFrom(index(Math.max(Math.min(rejected, hint + 1), this.match + 1)));
    return true;
  }

  probeFrom(next: Index): void {
    invariant(next > this.match, "a follower is never sent what it holds");
    this.state = "probe";
    this.next = next;
    this.inflights.clear();
    this.#paused = false;
    this.#unanswered = false;
  }

  awaitSnapshot(): void {
    this.state = "snapshot";
    this.inflights.clear();
  }

  /** The snapshot was handed over, or was not: see after the next sign of life where the follower stands. */
  snapshotEnded(base: Index): void {
    if (this.state !== "snapshot") return;
    this.probeFrom(index(Math.max(this.match, base) + 1));
    this.#paused = true;
    this.#unanswered = true;
  }

  /** Heard from lately: there, as far as anybody can tell. */
  get present(): boolean {
    return this.active || this.#wasActive;
  }

  /** CheckQuorum looked. */
  checked(): void {
    this.#wasActive = this.active;
    this.active = false;
  }

  /** Once a heartbeat: notes whether anything in flight was acknowledged since the last one. */
  heartbeat(): void {
    this.#stalled = this.state === "replicate" && this.match < this.next - 1 && this.match === this.#matchAtTick;
    this.#matchAtTick = this.match;
  }

  /**
   * The follower answers, so an append that it did not answer may be lost. True when it should be asked by an empty
   * one.
   */
  alive(): boolean {
    this.active = true;
    if (this.state === "probe" && this.#paused) {
      this.#paused = false;
      this.#unanswered = true;
      return false;
    }
    const ask = this.#stalled;
    this.#stalled = false;
    return ask;
  }

  #replicate(): void {
    this.state = "replicate";
    this.next = index(this.match + 1);
    this.inflights.clear();
    this.#paused = false;
    this.#unanswered = false;
    this.#stalled = false;
  }
}
