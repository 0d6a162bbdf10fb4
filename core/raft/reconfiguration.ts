/**
 * A leader's part in membership changes (thesis §4.3): one at a time, and none before an entry of its own term is
 * committed (Ongaro's correction of 2015, pitfall 1). It leads out of joint configurations, whoever began them, makes
 * voters of learners that have caught up, and steps down when it is no voter any more (§4.2.2).
 */
import { type Index, index, type NodeId } from "../ids.ts";
import {
  isJoint,
  type Membership,
  type MembershipStep,
  type Refused,
  type Stepped,
  settled,
  stepped,
} from "./membership.ts";
import { encodeMembership } from "./membership-codec.ts";
import type { NodeState } from "./node-state.ts";
import { Quorum } from "./quorum.ts";
import type { Replication } from "./replication.ts";

export class Reconfiguration {
  readonly #node: NodeState;
  readonly #replication: Replication;
  readonly #stepDown: () => void;
  readonly #refusal: (node: NodeId) => Refused | null;
  /** The commit index one heartbeat ago: who holds the log up to there has caught up (thesis §4.2.1). */
  #commitBefore: Index = index(0);

  /** @param refusal why a node must not be taken in; null when it may */
  constructor(
    node: NodeState,
    replication: Replication,
    stepDown: () => void,
    refusal: (node: NodeId) => Refused | null,
  ) {
    this.#node = node;
    this.#replication = replication;
    this.#stepDown = stepDown;
    this.#refusal = refusal;
  }

  /** Appends the next configuration; nothing if the change is made already. */
  propose(step: MembershipStep): Stepped {
    const { latest } = this.#node.configurations;
    if (!this.#mayChange()) {
      return { ok: false, code: "MEMBERSHIP_PENDING", details: "the change before it is not committed yet" };
    }
    const next = stepped(latest.membership, step);
    if (!next.ok || next.membership === latest.membership) return next;
    const refused = step.kind === "add" ? this.#refusal(step.node) : null;
    if (refused !== null) return refused;
    if (!this.#carries(next.membership)) {
      const details = "too few of its voters answer and hold all that they acknowledged";
      return { ok: false, code: "MEMBERSHIP_UNHEALTHY", details };
    }
    this.#append(next.membership);
    return next;
  }

  /** The commit index moved. */
  committed(): void {
    const { configurations, log, quorum, id } = this.#node;
    const { latest } = configurations;
    if (latest.index > log.commit) return;
    if (isJoint(latest.membership)) this.#append(settled(latest.membership));
    else if (!quorum.has(id)) this.#stepDown();
  }

  /** Once a heartbeat. */
  heartbeat(): void {
    const caughtUp = this.#commitBefore;
    this.#commitBefore = this.#node.log.commit;
    if (caughtUp === 0 || !this.#mayChange()) return;
    const { learners } = this.#node.configurations.latest.membership;
    const next = learners.find(({ id }) => this.#replication.holds(id, caughtUp));
    if (next !== undefined) this.propose({ kind: "promote", node: next.id });
  }

  /** A new leader begins with what it sees itself. */
  start(): void {
    this.#commitBefore = index(0);
  }

  #mayChange(): boolean {
    const { configurations, log, term } = this.#node;
    return configurations.latest.index <= log.commit && log.termAt(log.commit) === term;
  }

  /**
   * Whether the voters that are there and whole are enough to commit in this membership. Otherwise the change would make
   * the group depend on one that is gone, or that recovers and counts for no commit (etcd's strict reconfiguration check).
   */
  #carries(membership: Membership): boolean {
    if (!isJoint(membership)) return true;
    return new Quorum(membership).reached((voter) => voter === this.#node.id || this.#replication.counts(voter));
  }

  #append(membership: Membership): void {
    this.#replication.append("configuration", encodeMembership(membership));
  }
}
