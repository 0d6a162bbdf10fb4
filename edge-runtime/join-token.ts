/**
 * What a new node is given, as one line: an invitation with the private half of its one-time key, whom to trust (the
 * cluster's public key) and where to ask. It is a secret until it is used; then its name is bound to one peer for good.
 */
import { fromHex, toHex } from "@openclaw/core/bytes.ts";
import { decode, encode, TupleReader } from "@openclaw/core/codec.ts";
import { OpenClawError } from "@openclaw/core/errors.ts";
import { isClusterId, isNodeId, PARTITION } from "@openclaw/core/ids.ts";
import { ClusterPublicKey, OneTimeKey } from "./network/identity.ts";
import { type Invitation, isInvitationSigned } from "./network/invitation.ts";

const TOKEN_VERSION = 1;
/** So that a person, or a scanner for leaked secrets, sees what it is. */
const PREFIX = "ocj_";
const TOKEN_CHARACTERS_MAX = 4_096;
/** Addresses of members in one token. */
export const TOKEN_ADDRESSES_MAX = 6;

export interface JoinToken {
  readonly invitation: Invitation;
  readonly oneTimeKey: OneTimeKey;
  readonly clusterKey: ClusterPublicKey;
  /** Counter of the epoch in which it was made: a member of an older one is not to be joined (L3). */
  readonly epochCounter: number;
  /** Of members, with /p2p; may be empty, and then they are to be found. */
  readonly addresses: readonly string[];
}

export function encodeToken({ invitation, oneTimeKey, clusterKey, epochCounter, addresses }: JoinToken): string {
  const { cluster, node, replaces, signature } = invitation;
  const fields = [
    TOKEN_VERSION,
    cluster,
    node,
    replaces,
    signature,
    oneTimeKey.seed,
    fromHex(clusterKey.hex) ?? null,
    epochCounter,
    addresses.slice(0, TOKEN_ADDRESSES_MAX),
  ];
  return PREFIX + Buffer.from(encode(fields)).toString("base64url");
}

/** @throws OpenClawError BAD_REQUEST when it is no token or was altered, UNKNOWN_VERSION */
export async function parseToken(text: string): Promise<JoinToken> {
  const encoded = text.trim();
  if (!encoded.startsWith(PREFIX) || encoded.length > TOKEN_CHARACTERS_MAX) {
    throw new OpenClawError("BAD_REQUEST", `a token to join with starts with ${PREFIX}`);
  }
  try {
    return await readToken(new Uint8Array(Buffer.from(encoded.slice(PREFIX.length), "base64url")));
  } catch (error) {
    if (!(error instanceof OpenClawError) || error.code === "UNKNOWN_VERSION") throw error;
    throw new OpenClawError("BAD_REQUEST", `the token is not whole: ${error.details}`, { cause: error });
  }
}

async function readToken(bytes: Uint8Array): Promise<JoinToken> {
  const fields = new TupleReader(decode(bytes), "token");
  const version = fields.count();
  if (version !== TOKEN_VERSION) throw new OpenClawError("UNKNOWN_VERSION", `token version ${version}`);
  const cluster = fields.that(isClusterId, "a cluster's name");
  const node = fields.that(isNodeId, "a node's name");
  const replaces = fields.orNull((reader) => reader.that(isNodeId, "a node's name"));
  const signature = new Uint8Array(fields.bytes());
  const oneTimeKey = await OneTimeKey.fromSeed(fields.bytes());
  const clusterKey = new ClusterPublicKey(toHex(fields.bytes()));
  const epochCounter = fields.count();
  const addresses = fields.list().map((address) => {
    if (typeof address !== "string") throw new OpenClawError("MALFORMED_FRAME", "an address is a text");
    return address;
  });
  fields.end();
  const key = oneTimeKey.publicKey.hex;
  const invitation: Invitation = { cluster, partition: PARTITION, node, replaces, key, signature };
  if (!isInvitationSigned(invitation, clusterKey)) throw new OpenClawError("BAD_REQUEST", "its signature is wrong");
  return { invitation, oneTimeKey, clusterKey, epochCounter, addresses };
}
