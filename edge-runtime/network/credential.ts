/**
 * R10. A node is admitted because its cluster's key signed for it, not because it stands on a member list: a stale list
 * must not lock out a node that slept through a change. Two kinds:
 *
 *   direct    the cluster's key signed (cluster, partition, node, peer id)
 *   invited   the cluster's key signed an invitation, and the key named in it signed the peer id: so that the cluster's
 *             key may stay offline while a node makes its own identity
 *
 * No dates: a board without a clock boots in 1970 (pitfall 39). That an invitation serves one peer only is replicated
 * state (core/state-machine/members.ts), which a node asks through `peerOf`.
 */
import { readFile, writeFile } from "node:fs/promises";
import { decode, type Encodable, encode, TupleReader } from "@openclaw/core/codec.ts";
import { OpenClawError } from "@openclaw/core/errors.ts";
import { type ClusterId, isClusterId, isNodeId, isPartition, type NodeId, type Partition } from "@openclaw/core/ids.ts";
import { type ClusterKey, ClusterPublicKey } from "./identity.ts";
import { type Invitation, invitationFields, isInvitationSigned, readInvitation } from "./invitation.ts";
import { domainSeparated } from "./signed.ts";

const DIRECT_VERSION = 1;
const INVITED_VERSION = 2;
/** Bytes of an encoded credential: names, a peer id, two signatures. */
const CREDENTIAL_BYTES_MAX = 768;
/** Keep a credential's signature from being taken for one over anything else that the key may ever sign. */
const DIRECT_DOMAIN = "openclaw credential";
const INVITED_DOMAIN = "openclaw invited credential";

export interface CredentialClaim {
  readonly cluster: ClusterId;
  readonly partition: Partition;
  readonly node: NodeId;
  /** The node's libp2p peer id. */
  readonly peer: string;
}

export interface Credential extends CredentialClaim {
  /** Null for a direct one. */
  readonly invitation: Invitation | null;
  readonly signature: Uint8Array;
}

const directFields = (claim: CredentialClaim): Encodable[] => [
  DIRECT_VERSION,
  claim.cluster,
  claim.partition,
  claim.node,
  claim.peer,
];

const invitedFields = (invitation: Invitation, peer: string): Encodable[] => [
  INVITED_VERSION,
  invitationFields(invitation),
  peer,
];

export function createCredential(claim: CredentialClaim, key: ClusterKey): Uint8Array {
  const fields = directFields(claim);
  return encode([...fields, key.sign(domainSeparated(DIRECT_DOMAIN, fields))]);
}

/** @param key the one that the invitation names */
export function createInvitedCredential(invitation: Invitation, peer: string, key: ClusterKey): Uint8Array {
  const fields = invitedFields(invitation, peer);
  return encode([...fields, key.sign(domainSeparated(INVITED_DOMAIN, fields))]);
}

/** What the bytes claim; nothing is checked against a key. @throws OpenClawError NOT_ADMITTED, UNKNOWN_VERSION */
export function parseCredential(bytes: Uint8Array): Credential {
  if (bytes.length > CREDENTIAL_BYTES_MAX) throw new OpenClawError("NOT_ADMITTED", "the credential is too long");
  try {
    const fields = new TupleReader(decode(bytes), "credential");
    const version = fields.count();
    const credential = readVersion(version, fields);
    fields.end();
    return credential;
  } catch (error) {
    if (error instanceof OpenClawError && error.code === "MALFORMED_FRAME") {
      throw new OpenClawError("NOT_ADMITTED", `no credential: ${error.details}`, { cause: error });
    }
    throw error;
  }
}

function readVersion(version: number, fields: TupleReader): Credential {
  switch (version) {
    case DIRECT_VERSION: {
      const cluster = fields.that(isClusterId, "a cluster's name");
      const partition = fields.that(isPartition, "a partition");
      const node = fields.that(isNodeId, "a node's name");
      return { cluster, partition, node, peer: fields.text(), invitation: null, signature: fields.bytes() };
    }
    case INVITED_VERSION: {
      const invitation = readInvitation(fields.any());
      const { cluster, partition, node } = invitation;
      return { cluster, partition, node, peer: fields.text(), invitation, signature: fields.bytes() };
    }
    default:
      throw new OpenClawError("UNKNOWN_VERSION", `credential version ${version}`);
  }
}

export interface Admission {
  readonly clusterKey: ClusterPublicKey;
  readonly cluster: ClusterId;
  /** Whom Noise proved to be at the other end. */
  readonly remotePeer: string;
  /** The peer to which the cluster has bound a name, as far as this node knows; null if to none. */
  readonly peerOf?: (node: NodeId) => string | null;
}

/**
 * Who the peer is, if the cluster's key says so.
 * @throws OpenClawError WRONG_CLUSTER, NOT_ADMITTED, TOKEN_USED, UNKNOWN_VERSION
 */
export function verifyCredential(bytes: Uint8Array, admission: Admission): Credential {
  const { cluster, clusterKey, remotePeer, peerOf } = admission;
  const credential = parseCredential(bytes);
  const { node, peer } = credential;
  if (credential.cluster !== cluster) {
    throw new OpenClawError("WRONG_CLUSTER", `${credential.cluster}, this is ${cluster}`);
  }
  if (peer !== remotePeer) {
    throw new OpenClawError("NOT_ADMITTED", `the credential is of ${peer}, the peer is ${remotePeer}`);
  }
  if (!isSigned(credential, clusterKey)) {
    throw new OpenClawError("NOT_ADMITTED", `the credential of ${node} is not signed by the key of ${cluster}`);
  }
  const bound = peerOf?.(node) ?? null;
  if (bound !== null && bound !== peer) throw new OpenClawError("TOKEN_USED", `${node} is ${bound}`);
  return credential;
}

function isSigned(credential: Credential, clusterKey: ClusterPublicKey): boolean {
  const { invitation, peer, signature } = credential;
  if (invitation === null)
    return clusterKey.verify(domainSeparated(DIRECT_DOMAIN, directFields(credential)), signature);
  const invited = new ClusterPublicKey(invitation.key);
  return (
    isInvitationSigned(invitation, clusterKey) &&
    invited.verify(domainSeparated(INVITED_DOMAIN, invitedFields(invitation, peer)), signature)
  );
}

/** One line of base64: it can be mailed and pasted. */
export async function saveCredential(path: string, bytes: Uint8Array): Promise<void> {
  await writeFile(path, `${Buffer.from(bytes).toString("base64")}\n`);
}

/** @throws OpenClawError CONFIG_INVALID when the file is missing or no credential of this node */
export async function loadCredential(path: string, admission: Admission): Promise<Uint8Array> {
  let text: string;
  try {
    text = await readFile(path, "utf8");
  } catch (error) {
    throw new OpenClawError("CONFIG_INVALID", `cannot read the credential ${path}`, { cause: error });
  }
  const bytes = new Uint8Array(Buffer.from(text.trim(), "base64"));
  try {
    verifyCredential(bytes, admission);
  } catch (error) {
    const details = error instanceof OpenClawError ? error.message : String(error);
    throw new OpenClawError("CONFIG_INVALID", `the credential ${path} does not fit this node: ${details}`, {
      cause: error,
    });
  }
  return bytes;
}
