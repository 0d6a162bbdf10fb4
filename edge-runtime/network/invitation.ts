/**
 * The cluster's key lets somebody else name a peer: whoever holds the private half of `key` may say, once, which peer is
 * `node`. It is made where the cluster's key is, and spent where the node is (R10).
 */
import { type Encodable, TupleReader } from "@openclaw/core/codec.ts";
import {
  type ClusterId,
  isClusterId,
  isNodeId,
  isPartition,
  isPublicKey,
  type NodeId,
  PARTITION,
  type Partition,
} from "@openclaw/core/ids.ts";
import { type ClusterKey, type ClusterPublicKey, SIGNATURE_BYTES } from "./identity.ts";
import { domainSeparated } from "./signed.ts";

const INVITATION_VERSION = 1;
const DOMAIN = "openclaw invitation";

interface InvitationClaim {
  readonly cluster: ClusterId;
  readonly partition: Partition;
  /** The new node's name. */
  readonly node: NodeId;
  /** The voter whose place it takes; null for a further member. */
  readonly replaces: NodeId | null;
  /** Public half of the one-time key, 64 hex digits. */
  readonly key: string;
}

export interface Invitation extends InvitationClaim {
  readonly signature: Uint8Array;
}

const claimFields = ({ cluster, partition, node, replaces, key }: InvitationClaim): Encodable[] => [
  INVITATION_VERSION,
  cluster,
  partition,
  node,
  replaces,
  key,
];

export const invitationFields = (invitation: Invitation): Encodable[] => [
  ...claimFields(invitation),
  invitation.signature,
];

export function createInvitation(claim: Omit<InvitationClaim, "partition">, key: ClusterKey): Invitation {
  const whole = { ...claim, partition: PARTITION };
  return { ...whole, signature: key.sign(domainSeparated(DOMAIN, claimFields(whole))) };
}

export const isInvitationSigned = (invitation: Invitation, key: ClusterPublicKey): boolean =>
  key.verify(domainSeparated(DOMAIN, claimFields(invitation)), invitation.signature);

/** Nothing is checked against a key. @throws OpenClawError MALFORMED_FRAME */
export function readInvitation(value: Encodable): Invitation {
  const fields = new TupleReader(value, "invitation");
  fields.that(isVersion, `version ${INVITATION_VERSION}`);
  const invitation: Invitation = {
    cluster: fields.that(isClusterId, "a cluster's name"),
    partition: fields.that(isPartition, "a partition"),
    node: fields.that(isNodeId, "a node's name"),
    replaces: fields.orNull((reader) => reader.that(isNodeId, "a node's name")),
    key: fields.that(isPublicKey, "a public key"),
    signature: fields.that(isSignature, "a signature"),
  };
  fields.end();
  return invitation;
}

const isVersion = (value: unknown): value is number => value === INVITATION_VERSION;
const isSignature = (value: unknown): value is Uint8Array =>
  value instanceof Uint8Array && value.length === SIGNATURE_BYTES;
