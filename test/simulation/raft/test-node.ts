/** One node of a test group: its disk, which survives a crash, and what it has been told. */
import { invariant } from "@openclaw/core/errors.ts";
import { type Index, index, type NodeId, type Term, term } from "@openclaw/core/ids.ts";
import type { LogBase } from "@openclaw/core/ports.ts";
import { founding, type Membership } from "@openclaw/core/raft/membership.ts";
import type { Entry, HardState, SnapshotMeta } from "@openclaw/core/raft/message.ts";
import type { Raft } from "@openclaw/core/raft/raft.ts";
import type { ReadState, Ready } from "@openclaw/core/raft/ready.ts";

/** How far a state has come, and the membership that it holds. */
export type AppliedPoint = LogBase & { readonly membership: Membership };

/** What survives a crash. */
class Disk {
  hardState: HardState = { term: term(0), vote: null, commit: index(0) };
  base: LogBase = { index: index(0), term: term(0) };
  entries: Entry[] = [];
  highWater: Index = index(0);
  /** Entries that `rot` took, by index: they were on this disk when they were acknowledged. */
  readonly rotten = new Map<Index, Term>();
  /** Applied state, as of the last checkpoint or installed snapshot. */
  state: AppliedPoint;

  constructor(membership: Membership) {
    this.state = { index: index(0), term: term(0), membership };
  }

  get lastIndex(): Index {
    return index(this.base.index + this.entries.length);
  }

  append(hardState: HardState | null, entries: readonly Entry[]): void {
    if (hardState !== null) this.hardState = hardState;
    const first = entries[0];
    if (first === undefined) return;
    invariant(first.index <= this.lastIndex + 1, "a gap on disk");
    const rotten = this.highWater > this.lastIndex;
    this.entries.length = first.index - this.base.index - 1;
    this.entries.push(...entries);
    this.#mark(rotten);
  }

  reset(base: LogBase): void {
    const rotten = this.highWater > this.lastIndex;
    this.base = { index: base.index, term: base.term };
    this.entries = [];
    this.#mark(rotten);
  }

  /**
   * As core/replica/stored.ts does at a start: a log without the entry that the state applied last, or with another one
   * there, is reset (R8). Returns how far the node has to recover (R5): what was dropped here is not missed.
   */
  fitToState(): Index {
    const { highWater, lastIndex, state } = this;
    if (this.termAt(state.index) === state.term) return highWater;
    this.reset(state);
    return lastIndex < highWater ? highWater : state.index;
  }

  /** A leader may shorten the log; but a mark above a log that lost entries stands until the log is back there (R5). */
  #mark(rotten: boolean): void {
    this.highWater = rotten ? index(Math.max(this.highWater, this.lastIndex)) : this.lastIndex;
  }

  /** The last entries are unreadable after a start. */
  rot(count: number): void {
    for (let left = count; left > 0; left--) {
      const entry = this.entries.pop();
      if (entry !== undefined) this.rotten.set(entry.index, entry.term);
    }
  }

  compact(upTo: Index): void {
    const ofTerm = this.termAt(upTo);
    invariant(ofTerm !== null, "compacts what it holds");
    this.entries = this.entries.slice(upTo - this.base.index);
    this.base = { index: upTo, term: ofTerm };
  }

  termAt(at: Index): Term | null {
    if (at === this.base.index) return this.base.term;
    return this.entries[at - this.base.index - 1]?.term ?? null;
  }

  /**
   * Whether this entry, or a state that has it applied, would be found after a power cut; rot came later than its
   * acknowledgement.
   */
  holds(at: Index, ofTerm: Term): boolean {
    if (at <= this.state.index || at < this.base.index || this.termAt(at) === ofTerm) return true;
    return this.rotten.get(at) === ofTerm;
  }
}

interface Write {
  readonly ready: Ready;
}

export class TestNode {
  readonly id: NodeId;
  readonly disk: Disk;
  /** Null while it is down. */
  raft: Raft | null = null;
  writes: Write[] = [];
  /** Held: writes stay in flight until `completeWrite`. */
  diskHeld = false;
  applied: AppliedPoint;
  /** Held: what is committed waits, and Raft is not told that it is applied. */
  applyHeld = false;
  readStates: ReadState[] = [];
  readsDropped: number[] = [];
  forwarded: string[] = [];
  snapshotsTo: NodeId[] = [];
  installs: SnapshotMeta[] = [];

  /** @param founders those of the group, if this node is one of them; who joins later knows nobody */
  constructor(id: NodeId, founders: readonly NodeId[]) {
    this.id = id;
    this.disk = new Disk(founding(founders.includes(id) ? founders : []));
    this.applied = this.disk.state;
  }

  get up(): Raft {
    invariant(this.raft !== null, `${this.id} is down`);
    return this.raft;
  }
}
