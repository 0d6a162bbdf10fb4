/**
 * Who belongs to a group, and how that changes (thesis §4.3, joint consensus). Pure: from one membership to the next.
 *
 *   add      a learner: it gets the log and counts for nothing, so that a change never waits for its catching up
 *   promote  the leader's own step, once a learner has caught up (thesis §4.2.1): voter, in place of whom it replaces
 *   remove   a learner goes at once, a voter through a joint configuration
 *
 * Whatever changes the voters passes a joint configuration, in which both the old and the new voters have to agree.
 */
import { unreachable } from "../errors.ts";
import type { NodeId } from "../ids.ts";

/** Voters of one group (DESIGN §1), learners that are to become voters included. */
export const VOTERS_MAX = 7;

export interface Learner {
  readonly id: NodeId;
  /** The voter that leaves when this one becomes a voter: how a dead node is replaced in one command. */
  readonly replaces: NodeId | null;
}

export interface Membership {
  readonly voters: readonly NodeId[];
  /** The voters before the change that is under way; empty outside of a joint configuration. */
  readonly outgoing: readonly NodeId[];
  readonly learners: readonly Learner[];
}

export type MembershipChange =
  | { readonly kind: "add"; readonly node: NodeId; readonly replaces: NodeId | null }
  | { readonly kind: "remove"; readonly node: NodeId };

type Addition = Extract<MembershipChange, { kind: "add" }>;

/** What a leader appends: also the steps that it takes by itself. */
export type MembershipStep = MembershipChange | { readonly kind: "promote"; readonly node: NodeId };

export interface Refused {
  readonly ok: false;
  readonly code: "MEMBERSHIP_PENDING" | "MEMBERSHIP_UNHEALTHY" | "MEMBERSHIP_INVALID" | "NODE_TOO_OLD";
  readonly details: string;
}

export type Stepped = { readonly ok: true; readonly membership: Membership } | Refused;

export const founding = (voters: readonly NodeId[]): Membership => ({ voters, outgoing: [], learners: [] });

export const isJoint = ({ outgoing }: Membership): boolean => outgoing.length > 0;

export const isMember = (membership: Membership, node: NodeId): boolean =>
  membership.voters.includes(node) || membership.outgoing.includes(node) || isLearner(membership, node);

/** Whether this member came without taking the place that is asked for: whom it should replace would stay. */
function leavesOut({ voters, learners }: Membership, { node, replaces }: Addition): boolean {
  if (replaces === null || !voters.includes(replaces)) return false;
  return !learners.some((learner) => learner.id === node && learner.replaces === replaces);
}

const isLearner = ({ learners }: Membership, node: NodeId): boolean => learners.some(({ id }) => id === node);

/** Whether nothing is left to do for this change. */
export function isMade(membership: Membership, change: MembershipChange): boolean {
  if (isJoint(membership)) return false;
  switch (change.kind) {
    case "add":
      return isMember(membership, change.node) && !leavesOut(membership, change);
    case "remove":
      return !isMember(membership, change.node);
    default:
      return unreachable(change);
  }
}

/** The next membership. A change that is made already gives the same one. */
export function stepped(membership: Membership, step: MembershipStep): Stepped {
  if (isJoint(membership)) return pending("another change of the voters is under way");
  switch (step.kind) {
    case "add":
      return added(membership, step);
    case "promote":
      return promoted(membership, step.node);
    case "remove":
      return removed(membership, step.node);
    default:
      return unreachable(step);
  }
}

/** Out of a joint configuration: the new voters alone. */
export const settled = (membership: Membership): Membership => ({ ...membership, outgoing: [] });

function added(membership: Membership, addition: Addition): Stepped {
  const { voters, learners } = membership;
  const { node, replaces } = addition;
  if (isMember(membership, node)) {
    if (leavesOut(membership, addition)) return invalid(`${node} is a member already, and ${replaces} would stay`);
    return { ok: true, membership };
  }
  if (replaces !== null && !voters.includes(replaces)) return invalid(`${replaces} is no voter`);
  if (replaces !== null && learners.some((learner) => learner.replaces === replaces))
    return invalid(`${replaces} is being replaced already`);
  const growth = [...learners, { replaces }].filter((learner) => learner.replaces === null).length;
  if (voters.length + growth > VOTERS_MAX) return invalid(`a group has at most ${VOTERS_MAX} voters`);
  return { ok: true, membership: { ...membership, learners: [...learners, { id: node, replaces }] } };
}

function promoted(membership: Membership, node: NodeId): Stepped {
  const { voters } = membership;
  const learner = membership.learners.find(({ id }) => id === node);
  if (learner === undefined) return invalid(`${node} is no learner`);
  const stay = voters.filter((voter) => voter !== learner.replaces);
  const learners = membership.learners.filter(({ id }) => id !== node);
  return { ok: true, membership: { voters: [...stay, node], outgoing: voters, learners } };
}

function removed(membership: Membership, node: NodeId): Stepped {
  const { voters } = membership;
  // Whoever was to take its place is still wanted, in a place of its own.
  const learners = membership.learners
    .filter(({ id }) => id !== node)
    .map((learner) => (learner.replaces === node ? { ...learner, replaces: null } : learner));
  if (!voters.includes(node)) return { ok: true, membership: { ...membership, learners } };
  if (voters.length === 1) return invalid(`${node} is the last voter`);
  return {
    ok: true,
    membership: { voters: voters.filter((voter) => voter !== node), outgoing: voters, learners },
  };
}

const pending = (details: string): Stepped => ({ ok: false, code: "MEMBERSHIP_PENDING", details });
const invalid = (details: string): Stepped => ({ ok: false, code: "MEMBERSHIP_INVALID", details });
