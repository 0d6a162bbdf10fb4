/** Memberships and their changes as bytes: what configuration entries and snapshots hold. */
import { decode, type Encodable, encode, TupleReader } from "../codec.ts";
import { OpenClawError } from "../errors.ts";
import { isNodeId, type NodeId } from "../ids.ts";
import { type Learner, type Membership, type MembershipChange, VOTERS_MAX } from "./membership.ts";
import type { Entry } from "./message.ts";

export const encodeMembership = (membership: Membership): Uint8Array => encode(membershipTuple(membership));

/** @throws OpenClawError MALFORMED_FRAME */
export const decodeMembership = (bytes: Uint8Array): Membership => readMembership(decode(bytes));

export const membershipTuple = ({ voters, outgoing, learners }: Membership): Encodable => [
  voters,
  outgoing,
  learners.map(({ id, replaces }) => [id, replaces]),
];

/** @throws OpenClawError MALFORMED_FRAME */
export function readMembership(value: Encodable): Membership {
  const reader = new TupleReader(value, "membership");
  const voters = readVoters(reader.list());
  const outgoing = readVoters(reader.list());
  const learners = reader.list().map(readLearner);
  reader.end();
  const ids = [...voters, ...learners.map(({ id }) => id)];
  if (new Set(ids).size !== ids.length) throw new OpenClawError("MALFORMED_FRAME", "a member named twice");
  if (learners.length > VOTERS_MAX) throw new OpenClawError("MALFORMED_FRAME", "more learners than a group may have");
  return { voters, outgoing, learners };
}

/** The membership once these committed entries are applied. */
export function membershipAfter(membership: Membership, entries: readonly Entry[]): Membership {
  const last = entries.findLast(({ kind }) => kind === "configuration");
  return last === undefined ? membership : decodeMembership(last.data);
}

export function changeTuple(change: MembershipChange): Encodable {
  return change.kind === "add" ? ["add", change.node, change.replaces] : ["remove", change.node];
}

/** @throws OpenClawError MALFORMED_FRAME */
export function readChange(value: Encodable): MembershipChange {
  const reader = new TupleReader(value, "membership change");
  const kind = reader.text();
  const node = reader.that(isNodeId, "a node id");
  if (kind !== "add" && kind !== "remove") throw new OpenClawError("MALFORMED_FRAME", "an unknown membership change");
  const change: MembershipChange =
    kind === "add"
      ? { kind, node, replaces: reader.orNull((field) => field.that(isNodeId, "a node id")) }
      : { kind, node };
  reader.end();
  return change;
}

function readVoters(list: readonly Encodable[]): readonly NodeId[] {
  if (list.length > VOTERS_MAX) throw new OpenClawError("MALFORMED_FRAME", "more voters than a group may have");
  const voters: NodeId[] = [];
  const ids = new TupleReader(list, "voters");
  while (voters.length < list.length) voters.push(ids.that(isNodeId, "a node id"));
  if (new Set(voters).size !== voters.length) throw new OpenClawError("MALFORMED_FRAME", "a voter named twice");
  return voters;
}

function readLearner(value: Encodable): Learner {
  const reader = new TupleReader(value, "learner");
  const learner = {
    id: reader.that(isNodeId, "a node id"),
    replaces: reader.orNull((field) => field.that(isNodeId, "a node id")),
  };
  reader.end();
  return learner;
}
