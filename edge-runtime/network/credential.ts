/**
 * R10. A node is admitted because its cluster's key signed (cluster, partition, node, peer id), not because it stands on
 * a member list: a stale list must not lock out a node that slept through a change. No dates: a board without a clock
 * boots in 1970 (pitfall 39).
 */
import { readFile, writeFile } from "node:fs/promises";
import { utf8 } from "@openclaw/core/bytes.ts";
import { decode, type Encodable, encode, TupleReader } from "@openclaw/core/codec.ts";
import { OpenClawError } from "@openclaw/core/errors.ts";
import { type ClusterId, isClusterId, isNodeId, type NodeId, PARTITION, type Partition } from "@openclaw/core/ids.ts";
import type { ClusterKey, ClusterPublicKey } from "./identity.ts";

const CREDENTIAL_VERSION = 1;
/** Bytes of an encoded credential: two names, a peer id, a signature. */
const CREDENTIAL_BYTES_MAX = 512;
/** Keeps a credential's signature from being taken for one over anything else that this key may ever sign. */
const DOMAIN = utf8("openclaw credential\0");

export interface CredentialClaim {
  readonly cluster: ClusterId;
  readonly partition: Partition;
  readonly node: NodeId;
  /** The node's libp2p peer id. */
  readonly peer: string;
}

export interface Credential extends CredentialClaim {
  readonly signature: Uint8Array;
}

const claimFields = (claim: CredentialClaim): Encodable[] => [
  CREDENTIAL_VERSION,
  claim.cluster,
  claim.partition,
  claim.node,
  claim.peer,
];

function signedBytes(claim: CredentialClaim): Uint8Array {
  const fields = encode(claimFields(claim));
  const bytes = new Uint8Array(DOMAIN.length + fields.length);
  bytes.set(DOMAIN, 0);
  bytes.set(fields, DOMAIN.length);
  return bytes;
}

export function createCredential(claim: CredentialClaim, key: ClusterKey): Uint8Array {
  return encode([...claimFields(claim), key.sign(signedBytes(claim))]);
}

/** What the bytes claim; nothing is checked against a key. @throws OpenClawError NOT_ADMITTED, UNKNOWN_VERSION */
export function parseCredential(bytes: Uint8Array): Credential {
  if (bytes.length > CREDENTIAL_BYTES_MAX) throw new OpenClawError("NOT_ADMITTED", "the credential is too long");
  try {
    const fields = new TupleReader(decode(bytes), "credential");
    const version = fields.count();
    if (version !== CREDENTIAL_VERSION) throw new OpenClawError("UNKNOWN_VERSION", `credential version ${version}`);
    const cluster = fields.that(isClusterId, "a cluster's name");
    const partition = fields.that(isPartition, "a partition");
    const node = fields.that(isNodeId, "a node's name");
    const peer = fields.text();
    const signature = fields.bytes();
    fields.end();
    return { cluster, partition, node, peer, signature };
  } catch (error) {
    if (error instanceof OpenClawError && error.code === "MALFORMED_FRAME") {
      throw new OpenClawError("NOT_ADMITTED", `no credential: ${error.details}`, { cause: error });
    }
    throw error;
  }
}

export const isPartition = (value: unknown): value is Partition => value === PARTITION;

export interface Admission {
  readonly clusterKey: ClusterPublicKey;
  readonly cluster: ClusterId;
  /** Whom Noise proved to be at the other end. */
  readonly remotePeer: string;
}

/**
 * Who the peer is, if the cluster's key says so.
 * @throws OpenClawError WRONG_CLUSTER, NOT_ADMITTED, UNKNOWN_VERSION
 */
export function verifyCredential(bytes: Uint8Array, admission: Admission): { readonly node: NodeId } {
  const credential = parseCredential(bytes);
  if (credential.cluster !== admission.cluster) {
    throw new OpenClawError("WRONG_CLUSTER", `${credential.cluster}, this is ${admission.cluster}`);
  }
  if (credential.peer !== admission.remotePeer) {
    throw new OpenClawError(
      "NOT_ADMITTED",
      `the credential is of ${credential.peer}, the peer is ${admission.remotePeer}`,
    );
  }
  if (!admission.clusterKey.verify(signedBytes(credential), credential.signature)) {
    throw new OpenClawError(
      "NOT_ADMITTED",
      `the credential of ${credential.node} is not signed by the key of ${admission.cluster}`,
    );
  }
  return { node: credential.node };
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
