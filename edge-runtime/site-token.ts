/**
 * What a site is given to come below a hub, as one line: a grant with the private half of its one-time key, whom to trust
 * (the hub cluster's public key) and where to go. It is a secret until it is used.
 */
import { fromHex, toHex } from "@openclaw/core/bytes.ts";
import { decode, encode, TupleReader } from "@openclaw/core/codec.ts";
import { OpenClawError } from "@openclaw/core/errors.ts";
import { grantFields, isGrantSigned, readGrant, type SiteGrant } from "./network/enrolment.ts";
import { ClusterPublicKey, OneTimeKey } from "./network/identity.ts";

const TOKEN_VERSION = 1;
/** So that a person, or a scanner for leaked secrets, sees what it is. */
const PREFIX = "ocs_";
const TOKEN_CHARACTERS_MAX = 4_096;
/** Addresses of the hub's nodes in one token. */
export const TOKEN_ADDRESSES_MAX = 7;

export interface SiteToken {
  readonly grant: SiteGrant;
  readonly oneTimeKey: OneTimeKey;
  /** The hub's. */
  readonly clusterKey: ClusterPublicKey;
  /** Of the hub's nodes, with /p2p. */
  readonly addresses: readonly string[];
}

export function encodeSiteToken({ grant, oneTimeKey, clusterKey, addresses }: SiteToken): string {
  const fields = [
    TOKEN_VERSION,
    grantFields(grant),
    oneTimeKey.seed,
    fromHex(clusterKey.hex) ?? null,
    addresses.slice(0, TOKEN_ADDRESSES_MAX),
  ];
  return PREFIX + Buffer.from(encode(fields)).toString("base64url");
}

/** @throws OpenClawError BAD_REQUEST when it is no token or was altered, UNKNOWN_VERSION */
export async function parseSiteToken(text: string): Promise<SiteToken> {
  const encoded = text.trim();
  if (!encoded.startsWith(PREFIX) || encoded.length > TOKEN_CHARACTERS_MAX)
    throw new OpenClawError("BAD_REQUEST", `a site's token starts with ${PREFIX}`);
  try {
    return await readToken(new Uint8Array(Buffer.from(encoded.slice(PREFIX.length), "base64url")));
  } catch (error) {
    if (!(error instanceof OpenClawError) || error.code === "UNKNOWN_VERSION") throw error;
    throw new OpenClawError("BAD_REQUEST", `the token is not whole: ${error.details}`, { cause: error });
  }
}

async function readToken(bytes: Uint8Array): Promise<SiteToken> {
  const fields = new TupleReader(decode(bytes), "token");
  const version = fields.count();
  if (version !== TOKEN_VERSION) throw new OpenClawError("UNKNOWN_VERSION", `token version ${version}`);
  const grant = readGrant(fields.any());
  const oneTimeKey = await OneTimeKey.fromSeed(fields.bytes());
  const clusterKey = new ClusterPublicKey(toHex(fields.bytes()));
  const addresses = fields.list().map((address) => {
    if (typeof address !== "string") throw new OpenClawError("MALFORMED_FRAME", "an address is a text");
    return address;
  });
  fields.end();
  if (!isGrantSigned(grant, clusterKey) || grant.key !== oneTimeKey.publicKey.hex)
    throw new OpenClawError("BAD_REQUEST", "its signature is wrong");
  return { grant, oneTimeKey, clusterKey, addresses };
}
