/**
 * `/openclaw/join/1`: one question, one answer, then the stream is over.
 *
 *   request   version, cluster, credential (by invitation), peer, addresses, http, newest apply version
 *   answer    version, code or null, details, the answering node's credential, admission or null
 *   admission epoch, members [node, peer, addresses, http], what all nodes of the cluster configure alike as JSON
 *
 * Noise proves both peers, and each credential is bound to its peer. A refusal carries the credential as well, so that
 * whoever found us by mDNS need not believe a stranger's no.
 */
import { decode, type Encodable, encode, TupleReader } from "@openclaw/core/codec.ts";
import { type ErrorCode, isErrorCode, OpenClawError } from "@openclaw/core/errors.ts";
import { type ClusterId, type Epoch, isClusterId, isNodeId, type NodeId } from "@openclaw/core/ids.ts";
import { epochTuple, readEpoch } from "@openclaw/core/ledger/epoch-codec.ts";
import { type MemberPlace, placeFields, readPlace } from "@openclaw/core/state-machine/member.ts";

export const JOIN_PROTOCOL = "/openclaw/join/1";
const JOIN_VERSION = 2;
/** Bytes of either frame. */
export const JOIN_BYTES_MAX = 65_536;
const DETAILS_MAX = 256;

export interface JoinRequest {
  readonly cluster: ClusterId;
  readonly credential: Uint8Array;
  readonly place: MemberPlace;
  /** The newest apply version that the new node supports (R9). */
  readonly supports: number;
}

export interface Admitted {
  readonly epoch: Epoch;
  readonly members: readonly (MemberPlace & { readonly node: NodeId })[];
  /** JSON of the configuration's `auth` and `parent`; whoever loads the configuration checks it. */
  readonly shared: string;
}

export type JoinAnswer = { readonly credential: Uint8Array } & (
  | { readonly admitted: Admitted }
  | { readonly code: ErrorCode; readonly details: string }
);

export const encodeRequest = ({ cluster, credential, place, supports }: JoinRequest): Uint8Array =>
  encode([JOIN_VERSION, cluster, credential, ...placeFields(place), supports]);

/** @throws OpenClawError MALFORMED_FRAME, UNKNOWN_VERSION */
export function decodeRequest(bytes: Uint8Array): JoinRequest {
  const fields = open(bytes, "join request");
  const cluster = fields.that(isClusterId, "a cluster's name");
  const credential = new Uint8Array(fields.bytes());
  const request = { cluster, credential, place: readPlace(fields), supports: fields.count() };
  fields.end();
  return request;
}

export function encodeAnswer(answer: JoinAnswer): Uint8Array {
  if ("code" in answer) {
    return encode([JOIN_VERSION, answer.code, answer.details.slice(0, DETAILS_MAX), answer.credential, null]);
  }
  const { epoch, members, shared } = answer.admitted;
  const rows = members.map((member) => [member.node, ...placeFields(member)]);
  return encode([JOIN_VERSION, null, "", answer.credential, [epochTuple(epoch), rows, shared]]);
}

/** @throws OpenClawError MALFORMED_FRAME, UNKNOWN_VERSION */
export function decodeAnswer(bytes: Uint8Array): JoinAnswer {
  const fields = open(bytes, "join answer");
  const code = fields.orNull((reader) => reader.that(isErrorCode, "an error code"));
  const details = fields.text();
  const credential = new Uint8Array(fields.bytes());
  const admitted = fields.orNull((reader) => readAdmitted(reader.any()));
  fields.end();
  if (code !== null) return { code, details, credential };
  if (admitted === null) throw new OpenClawError("MALFORMED_FRAME", "an answer that says neither yes nor no");
  return { admitted, credential };
}

function readAdmitted(value: Encodable): Admitted {
  const fields = new TupleReader(value, "admission");
  const epoch = readEpoch(fields.any());
  const members = fields.list().map((row) => {
    const reader = new TupleReader(row, "member");
    const member = { node: reader.that(isNodeId, "a node's name"), ...readPlace(reader) };
    reader.end();
    return member;
  });
  const admitted = { epoch, members, shared: fields.text() };
  fields.end();
  return admitted;
}

function open(bytes: Uint8Array, what: string): TupleReader {
  const fields = new TupleReader(decode(bytes), what);
  const version = fields.count();
  if (version !== JOIN_VERSION) throw new OpenClawError("UNKNOWN_VERSION", `${what} version ${version}`);
  return fields;
}
