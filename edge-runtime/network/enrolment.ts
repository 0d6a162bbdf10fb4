/**
 * How a site comes below a hub, both keys being offline: the hub cluster's key signs a grant, whose one-time key may name,
 * once, a site by its public key. Whoever uses a token signs so, and each of the site's nodes shows it with its credential
 * (R10). That a token serves one site only, and whether the site may ship, is replicated state (core/state-machine/sites.ts).
 */
import { decode, type Encodable, encode, TupleReader } from "@openclaw/core/codec.ts";
import { OpenClawError } from "@openclaw/core/errors.ts";
import {
  type ClusterId,
  isClusterId,
  isPartition,
  isPublicKey,
  PARTITION,
  type Partition,
} from "@openclaw/core/ids.ts";
import { type ClusterKey, ClusterPublicKey, type OneTimeKey, SIGNATURE_BYTES } from "./identity.ts";
import { domainSeparated } from "./signed.ts";

const ENROLMENT_VERSION = 1;
const GRANT_DOMAIN = "openclaw site grant";
const ENROLMENT_DOMAIN = "openclaw site enrolment";
/** Bytes of an encoded enrolment: names, three keys, two signatures. */
const ENROLMENT_BYTES_MAX = 768;

interface GrantClaim {
  /** The hub. */
  readonly cluster: ClusterId;
  readonly partition: Partition;
  /** Counter of the hub's epoch. A hub that was restored has forgotten whom it revoked: there an older grant lets nobody in by itself. */
  readonly epochCounter: number;
  /** The only name that the site may have; null for any. */
  readonly site: ClusterId | null;
  /** The site is in when it comes; else it waits for an operator. */
  readonly approved: boolean;
  /** Public half of the one-time key, 64 hex digits. */
  readonly key: string;
}

export interface SiteGrant extends GrantClaim {
  readonly signature: Uint8Array;
}

/** A grant, and the site that used it. */
export interface Enrolment {
  readonly grant: SiteGrant;
  readonly site: ClusterId;
  /** The site's public key, 64 hex digits. */
  readonly clusterKey: string;
  /** By the grant's one-time key. */
  readonly signature: Uint8Array;
}

const claimFields = ({ cluster, partition, epochCounter, site, approved, key }: GrantClaim): Encodable[] => [
  ENROLMENT_VERSION,
  cluster,
  partition,
  epochCounter,
  site,
  approved,
  key,
];

export const grantFields = (grant: SiteGrant): Encodable[] => [...claimFields(grant), grant.signature];

const enrolmentFields = ({ grant, site, clusterKey }: Omit<Enrolment, "signature">): Encodable[] => [
  grantFields(grant),
  site,
  clusterKey,
];

/** @param key the hub cluster's own */
export function createGrant(claim: Omit<GrantClaim, "partition">, key: ClusterKey): SiteGrant {
  const whole = { ...claim, partition: PARTITION };
  return { ...whole, signature: key.sign(domainSeparated(GRANT_DOMAIN, claimFields(whole))) };
}

export const isGrantSigned = (grant: SiteGrant, key: ClusterPublicKey): boolean =>
  key.verify(domainSeparated(GRANT_DOMAIN, claimFields(grant)), grant.signature);

/**
 * A site uses a grant. @param key the one that the grant names
 * @throws OpenClawError WRONG_CLUSTER when the grant is for a site of another name
 */
export function createEnrolment(
  grant: SiteGrant,
  site: { readonly cluster: ClusterId; readonly clusterKey: string },
  key: OneTimeKey,
): Uint8Array {
  if (grant.site !== null && grant.site !== site.cluster)
    throw new OpenClawError("WRONG_CLUSTER", `the token is for ${grant.site}, this is ${site.cluster}`);
  const fields = enrolmentFields({ grant, site: site.cluster, clusterKey: site.clusterKey });
  return encode([...fields, key.sign(domainSeparated(ENROLMENT_DOMAIN, fields))]);
}

/**
 * What a site shows, if `clusterKey`, the hub's own, granted it.
 * @throws OpenClawError NOT_ADMITTED, WRONG_CLUSTER, UNKNOWN_VERSION
 */
export function verifyEnrolment(
  bytes: Uint8Array,
  hub: { readonly cluster: ClusterId; readonly clusterKey: ClusterPublicKey },
): Enrolment {
  const enrolment = parseEnrolment(bytes);
  const { grant, site, signature } = enrolment;
  if (grant.cluster !== hub.cluster)
    throw new OpenClawError("WRONG_CLUSTER", `the token is of ${grant.cluster}, this is ${hub.cluster}`);
  const named = new ClusterPublicKey(grant.key);
  const signed =
    isGrantSigned(grant, hub.clusterKey) &&
    named.verify(domainSeparated(ENROLMENT_DOMAIN, enrolmentFields(enrolment)), signature);
  if (!signed)
    throw new OpenClawError("NOT_ADMITTED", `the token of ${site} is not signed by the key of ${hub.cluster}`);
  if (grant.site !== null && grant.site !== site)
    throw new OpenClawError("NOT_ADMITTED", `the token is for ${grant.site}, not for ${site}`);
  return enrolment;
}

/** Nothing is checked against a key. @throws OpenClawError NOT_ADMITTED, UNKNOWN_VERSION */
function parseEnrolment(bytes: Uint8Array): Enrolment {
  if (bytes.length > ENROLMENT_BYTES_MAX) throw new OpenClawError("NOT_ADMITTED", "the enrolment is too long");
  try {
    const fields = new TupleReader(decode(bytes), "enrolment");
    const enrolment = {
      grant: readGrant(fields.any()),
      site: fields.that(isClusterId, "a cluster's name"),
      clusterKey: fields.that(isPublicKey, "a public key"),
      signature: fields.that(isSignature, "a signature"),
    };
    fields.end();
    return enrolment;
  } catch (error) {
    if (error instanceof OpenClawError && error.code === "MALFORMED_FRAME")
      throw new OpenClawError("NOT_ADMITTED", `no enrolment: ${error.details}`, { cause: error });
    throw error;
  }
}

/** @throws OpenClawError MALFORMED_FRAME, UNKNOWN_VERSION */
export function readGrant(value: Encodable): SiteGrant {
  const fields = new TupleReader(value, "site grant");
  const version = fields.count();
  if (version !== ENROLMENT_VERSION) throw new OpenClawError("UNKNOWN_VERSION", `site grant version ${version}`);
  const grant: SiteGrant = {
    cluster: fields.that(isClusterId, "a cluster's name"),
    partition: fields.that(isPartition, "a partition"),
    epochCounter: fields.count(),
    site: fields.orNull((reader) => reader.that(isClusterId, "a cluster's name")),
    approved: fields.flag(),
    key: fields.that(isPublicKey, "a public key"),
    signature: fields.that(isSignature, "a signature"),
  };
  fields.end();
  return grant;
}

const isSignature = (value: unknown): value is Uint8Array =>
  value instanceof Uint8Array && value.length === SIGNATURE_BYTES;
