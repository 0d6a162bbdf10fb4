/**
 * Where the members are: a row for each node that ever asked to belong, because nobody's configuration names those that
 * came later. A row binds a name to a peer id for good: Raft needs fresh names (thesis §4.1), and a token that was used
 * must not let a second node in. Rows are upkeep and take no revision (L1).
 */
import { utf8Text } from "../bytes.ts";
import { decode, encode, TupleReader } from "../codec.ts";
import { invariant } from "../errors.ts";
import { type Index, isNodeId, type NodeId } from "../ids.ts";
import { isMember } from "../raft/membership.ts";
import { decodeMembership } from "../raft/membership-codec.ts";
import { MEMBERS, memberKey, nodeOfRow } from "./keyspace.ts";
import {
  isStanding,
  type Member,
  type MemberNote,
  placeFields,
  type Refused,
  readPlace,
  type Standing,
} from "./member.ts";
import type { RowCodec, Transaction } from "./transaction.ts";
import type { StateView } from "./view.ts";

/** Rows kept, those of removed members included. The oldest one of a node that is no member is forgotten first. */
export const MEMBER_ROWS_MAX = 1_000;

interface MemberRow extends MemberNote {
  readonly standing: Standing;
  /** Log index at which the name was taken. */
  readonly since: number;
}

const memberRow: RowCodec<MemberRow> = {
  encode: (row) => encode([...placeFields(row), row.supports, row.standing, row.since]),
  decode(bytes) {
    const reader = new TupleReader(decode(bytes), "member row");
    return {
      ...readPlace(reader),
      supports: reader.count(),
      standing: reader.that(isStanding, "a standing"),
      since: reader.count(),
    };
  },
};

/** Takes what a node says of itself; null, or why not: another peer has the name, or its bearer was removed. */
export function noteMember(tx: Transaction, node: NodeId, note: MemberNote, at: Index): Refused | null {
  const key = memberKey(node);
  const known = tx.read(key, memberRow);
  if (known === undefined) {
    forgetOldest(tx);
    tx.write(key, memberRow, { ...note, standing: "named", since: at });
    return null;
  }
  if (known.peer !== note.peer) return { code: "TOKEN_USED", details: `${node} is ${known.peer}` };
  if (known.standing === "removed") return { code: "REMOVED", details: node };
  tx.write(key, memberRow, { ...known, ...note });
  return null;
}

/** A configuration is applied: who is in it is a member, and who was one is removed. */
export function noteConfiguration(tx: Transaction, data: Uint8Array): void {
  const membership = decodeMembership(data);
  for (const { key, value: row } of tx.scan(MEMBERS.from, MEMBERS.to, memberRow, MEMBER_ROWS_MAX)) {
    const standing = standingIn(row.standing, isMember(membership, nodeOf(key)));
    if (standing !== row.standing) tx.write(key, memberRow, { ...row, standing });
  }
}

/** Whether a node has said that it supports this apply version. */
export const memberSupports = (tx: Transaction, node: NodeId, version: number): boolean =>
  (tx.read(memberKey(node), memberRow)?.supports ?? 0) >= version;

/** Whether all that are members by a configuration entry have. */
export const membersSupport = (tx: Transaction, version: number): boolean =>
  tx
    .scan(MEMBERS.from, MEMBERS.to, memberRow, MEMBER_ROWS_MAX)
    .every(({ value: { standing, supports } }) => standing !== "member" || supports >= version);

function standingIn(standing: Standing, isIn: boolean): Standing {
  if (isIn) return "member";
  return standing === "member" ? "removed" : standing;
}

/** Members stay: a group has few. */
function forgetOldest(tx: Transaction): void {
  const rows = tx.scan(MEMBERS.from, MEMBERS.to, memberRow, MEMBER_ROWS_MAX);
  if (rows.length < MEMBER_ROWS_MAX) return;
  let oldest: (typeof rows)[number] | undefined;
  for (const row of rows) {
    if (row.value.standing !== "member" && (oldest === undefined || row.value.since < oldest.value.since)) oldest = row;
  }
  invariant(oldest !== undefined, "a group has fewer members than there are rows");
  tx.remove(oldest.key);
}

/** Every row, by name. */
export function membersOf(view: StateView): Member[] {
  return view.scan(MEMBERS.from, MEMBERS.to, MEMBER_ROWS_MAX).map(({ key, value }) => {
    const { since: _, ...row } = memberRow.decode(value);
    return { node: nodeOf(key), ...row };
  });
}

function nodeOf(key: Uint8Array): NodeId {
  const node = utf8Text(nodeOfRow(key));
  invariant(isNodeId(node), "a member's row carries its name");
  return node;
}
