/**
 * The configurations in a node's log. A node uses the latest one it holds, committed or not (thesis §4.1), and goes
 * back to the one before when that entry is cut off.
 */
import { invariant } from "../errors.ts";
import { type Index, index, type NodeId } from "../ids.ts";
import { isMember, type Membership } from "./membership.ts";
import { decodeMembership } from "./membership-codec.ts";
import type { Entry } from "./message.ts";
import { Quorum } from "./quorum.ts";

export interface Configuration {
  /** Of its entry; of the one below which nothing is known, the index it was known to hold at. */
  readonly index: Index;
  readonly membership: Membership;
}

export class Configurations {
  /** Ascending; the first one is committed. */
  #known: Configuration[];
  #quorum: Quorum;
  readonly #self: NodeId;
  #belonged: boolean;

  /** @param membership as of `applied` */
  constructor(self: NodeId, membership: Membership, applied: Index) {
    this.#self = self;
    this.#known = [{ index: applied, membership }];
    this.#quorum = new Quorum(membership);
    this.#belonged = isMember(membership, self);
  }

  get latest(): Configuration {
    const latest = this.#known.at(-1);
    invariant(latest !== undefined, "a node knows a configuration");
    return latest;
  }
  /** The last committed one, as far as this node knows. */
  get lastCommitted(): Membership {
    return (this.#known[0] ?? this.latest).membership;
  }
  /** This node was a member, and the configuration without it is committed. */
  get left(): boolean {
    return this.#belonged && this.#known.length === 1 && !isMember(this.latest.membership, this.#self);
  }
  get quorum(): Quorum {
    return this.#quorum;
  }

  /**
   * Whether this node may have to lead: it votes in the latest configuration, or in one that may still hold. A leader
   * that left with an entry which nobody else has got is the only one who can bring it to the others (thesis §4.2.2).
   */
  get mayLead(): boolean {
    const self = this.#self;
    return this.#known.some(({ membership }) => membership.voters.includes(self) || membership.outgoing.includes(self));
  }

  /** Entries were added to the log. */
  appended(entries: readonly Entry[]): void {
    const before = this.latest;
    for (const entry of entries) {
      // What the state has applied already is in the configuration that we started from.
      if (entry.kind !== "configuration" || entry.index <= this.latest.index) continue;
      this.#known.push({ index: entry.index, membership: decodeMembership(entry.data) });
    }
    this.#changed(before);
  }

  /** Entries at and above `from` are no longer the log's. */
  truncated(from: Index): void {
    const before = this.latest;
    while (this.#known.length > 1 && this.latest.index >= from) this.#known.pop();
    this.#changed(before);
  }

  /** Everything up to `upTo` is committed: there is no way back behind the last configuration up to there. */
  committed(upTo: Index): void {
    while (this.#known.length > 1 && (this.#known[1]?.index ?? upTo + 1) <= upTo) this.#known.shift();
  }

  /** A snapshot replaced the log (paper §7). */
  reset(membership: Membership, at: Index): void {
    const before = this.latest;
    this.#known = [{ index: index(at), membership }];
    this.#changed(before);
  }

  #changed(before: Configuration): void {
    if (this.latest === before) return;
    this.#quorum = new Quorum(this.latest.membership);
    this.#belonged ||= isMember(this.latest.membership, this.#self);
  }
}
