/** What must hold in every state of a group (paper figure 3), checked apart from how Raft comes to it. */
import { type Index, index, type NodeId, type Term } from "@openclaw/core/ids.ts";
import { founding, type Membership } from "@openclaw/core/raft/membership.ts";
import { decodeMembership } from "@openclaw/core/raft/membership-codec.ts";
import type { Entry } from "@openclaw/core/raft/message.ts";
import type { ReadState } from "@openclaw/core/raft/ready.ts";
import { text } from "./fixtures.ts";
import type { TestNode } from "./test-node.ts";

export class Checks {
  readonly #nodes: readonly TestNode[];
  readonly #leaders = new Map<Term, NodeId>();
  /** `by`: the least term in which somebody knew it to be committed. */
  readonly #committed: { readonly term: Term; readonly data: string; by: Term }[] = [];
  /** Where every commit stood when a read was asked, by node and context. */
  readonly #asked = new Map<string, Index>();
  /** As of the last committed entry. */
  #membership: Membership;

  constructor(nodes: readonly TestNode[], founders: readonly NodeId[]) {
    this.#nodes = nodes;
    this.#membership = founding(founders);
  }

  get lastCommitted(): Index {
    return index(this.#committed.length);
  }
  /** Everything ever committed, in order; no-ops left out. */
  get history(): readonly string[] {
    return this.#committed.map(({ data }) => data).filter((data) => data !== "");
  }

  /** Election safety, leader completeness, and an applied index that is committed. */
  node(node: TestNode): void {
    const { raft } = node;
    if (raft === null || raft.role !== "leader") return;
    const known = this.#leaders.get(raft.term);
    if (known === node.id) return;
    if (known !== undefined) throw new Error(`two leaders in term ${raft.term}: ${known} and ${node.id}`);
    this.#leaders.set(raft.term, node.id);
    const { firstIndex } = raft.status();
    for (let at = firstIndex; at <= this.#committed.length; at++) {
      const committed = this.#committed[at - 1];
      // A vote may arrive late, and make a leader of a term that is over: it need not know what came after (§3.6.3).
      if (committed === undefined || committed.by > raft.term) continue;
      if (raft.termAt(at) !== committed.term) {
        throw new Error(`${node.id} leads in term ${raft.term} without the committed entry ${at}`);
      }
    }
  }

  /** State machine safety, and R2: what is committed is on a majority of disks. */
  committed(node: TestNode, entry: Entry): void {
    if (entry.index !== node.applied.index + 1) {
      throw new Error(`${node.id} was given ${entry.index} after ${node.applied.index}`);
    }
    const known = this.#committed[entry.index - 1];
    const data = text(entry.data);
    const ofTerm = node.up.term;
    if (known !== undefined) {
      if (known.term === entry.term && (known.data === data || entry.kind === "configuration")) {
        if (ofTerm < known.by) known.by = ofTerm;
        return;
      }
      throw new Error(`${node.id} applies another entry ${entry.index} than was committed`);
    }
    if (entry.index !== this.#committed.length + 1)
      throw new Error(`entry ${entry.index} is committed before the one before it`);
    // Majorities are counted here and not by quorum.ts. What comes behind a committed joint configuration may be
    // committed by the new voters alone, if their leader has gone on to the new configuration (thesis §4.3).
    const joint = entry.kind === "configuration";
    if (joint) this.#membership = decodeMembership(entry.data);
    const { voters, outgoing } = this.#membership;
    for (const group of joint && outgoing.length > 0 ? [voters, outgoing] : [voters]) this.#onMajority(entry, group);
    this.#committed.push({ term: entry.term, data: entry.kind === "configuration" ? "" : data, by: ofTerm });
  }

  #onMajority(entry: Entry, group: readonly NodeId[]): void {
    const holders = this.#nodes.filter(({ id, disk }) => group.includes(id) && disk.holds(entry.index, entry.term));
    if (2 * holders.length <= group.length) {
      throw new Error(`entry ${entry.index} is committed on ${holders.length} disks of ${group.join()}`);
    }
  }

  /** Thesis §3.10: who is asked to take over has all that the leader has, on its disk or lost from it since. */
  handsOver(from: NodeId, to: NodeId): void {
    const leader = this.#nodes.find(({ id }) => id === from)?.raft?.status();
    const target = this.#nodes.find(({ id }) => id === to);
    // A leader that leaves the group asks whoever has most.
    if (leader === undefined || target === undefined || leader.transferringTo !== to) return;
    if (target.disk.highWater < leader.lastIndex) {
      throw new Error(
        `${from} hands over at ${leader.lastIndex} to ${to}, whose disk ends at ${target.disk.highWater}`,
      );
    }
  }

  /** Call before `readIndex`. */
  asksRead(node: TestNode, context: number): void {
    this.#asked.set(`${node.id}/${context}`, this.lastCommitted);
  }

  /** Linearizability of ReadIndex: a read sees whatever was committed when it was asked. */
  read(node: TestNode, state: ReadState): void {
    const least = this.#asked.get(`${node.id}/${state.context}`) ?? index(0);
    if (state.index < least)
      throw new Error(`${node.id} may read at ${state.index}, but ${least} was committed when it asked`);
  }

  /** Log matching: where two logs agree in one entry they agree in all before it. */
  logsMatch(): void {
    for (const a of this.#nodes) for (const b of this.#nodes) if (a.id < b.id) this.#match(a, b);
  }

  #match(a: TestNode, b: TestNode): void {
    if (a.raft === null || b.raft === null) return;
    const first = Math.max(a.raft.status().firstIndex, b.raft.status().firstIndex);
    let agreed = false;
    for (let at = Math.min(a.raft.status().lastIndex, b.raft.status().lastIndex); at >= first; at--) {
      const same = a.raft.termAt(index(at)) === b.raft.termAt(index(at));
      if (agreed && !same) throw new Error(`${a.id} and ${b.id} agree after entry ${at}, but not in it`);
      agreed ||= same;
    }
  }
}
