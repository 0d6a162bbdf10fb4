/** Election safety (paper, figure 3): at most one leader in a term. Whoever speaks as a leader is one. */
import type { NodeId, Term } from "@openclaw/core/ids.ts";
import type { Entry, RaftMessage } from "@openclaw/core/raft/message.ts";

export class OneLeaderPerTerm {
  readonly #leaders = new Map<Term, NodeId>();
  /** Terms in which there was a leader. A group of one sends nothing; its leader's first entry tells. */
  readonly #led = new Set<Term>();
  readonly #violation: (text: string) => void;

  constructor(violation: (text: string) => void) {
    this.#violation = violation;
  }

  /** How often another leadership began. */
  get changes(): number {
    return Math.max(0, this.#led.size - 1);
  }

  /** @returns true when `message` is the first of its sender's leadership */
  sent(from: NodeId, message: RaftMessage): boolean {
    if (message.kind !== "append" && message.kind !== "heartbeat" && message.kind !== "snapshot") return false;
    const known = this.#leaders.get(message.term);
    if (known === from) return false;
    if (known !== undefined) {
      this.#violation(`${known} and ${from} both lead in term ${message.term}`);
      return false;
    }
    this.#leaders.set(message.term, from);
    this.#led.add(message.term);
    return true;
  }

  logged(entries: readonly Entry[]): void {
    for (const { kind, term } of entries) if (kind === "noop") this.#led.add(term);
  }
}
