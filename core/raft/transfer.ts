/**
 * A leader hands over (thesis §3.10): it takes no more proposals, brings the target up to date, and asks it to campaign
 * at once. If the target has not taken over within an election timeout, the leader goes on as if nothing had been asked.
 */
import type { NodeId } from "../ids.ts";
import type { NodeState } from "./node-state.ts";
import type { Replication } from "./replication.ts";

export type Transferred =
  | { readonly ok: true }
  | { readonly ok: false; readonly code: "NOT_LEADER" | "TRANSFER_REFUSED"; readonly details: string };

export class Transfer {
  readonly #node: NodeState;
  readonly #replication: Replication;
  readonly #electionTicks: number;
  #target: NodeId | null = null;
  #elapsed = 0;
  #asked = false;

  constructor(node: NodeState, replication: Replication, electionTicks: number) {
    this.#node = node;
    this.#replication = replication;
    this.#electionTicks = electionTicks;
  }

  /** Who is to take over; null outside of a transfer. */
  get target(): NodeId | null {
    return this.#target;
  }

  /** Pitfall 19: not to ourselves, not to somebody who may not lead, not to somebody who is not there. */
  begin(to: NodeId): Transferred {
    const { id, quorum } = this.#node;
    if (to === id) return { ok: true };
    if (!quorum.has(to)) return refused(`${to} is no voter`);
    if (this.#target !== null && this.#target !== to) return refused(`leadership is on its way to ${this.#target}`);
    if (!this.#replication.isActive(to)) return refused(`${to} does not answer`);
    if (this.#target === to) return { ok: true };
    this.#target = to;
    this.#elapsed = 0;
    this.#asked = false;
    this.proceed();
    return { ok: true };
  }

  /** The target may have caught up. */
  proceed(): void {
    if (this.#target === null || this.#asked) return;
    if (!this.#replication.holds(this.#target, this.#node.log.lastIndex)) return;
    this.#asked = true;
    this.#node.send({ kind: "timeoutNow", ...this.#node.envelope(this.#target) });
  }

  tick(): void {
    if (this.#target === null) return;
    // A change of the membership may have made it one that cannot lead.
    if (++this.#elapsed >= this.#electionTicks || !this.#node.quorum.has(this.#target)) this.end();
  }

  end(): void {
    this.#target = null;
  }

  /** The leader leaves: whoever holds most of the log need not wait for an election timeout. */
  leave(): void {
    const heir = this.#replication.mostUpToDate();
    if (heir !== null) this.#node.send({ kind: "timeoutNow", ...this.#node.envelope(heir) });
    this.end();
  }
}

const refused = (details: string): Transferred => ({ ok: false, code: "TRANSFER_REFUSED", details });
