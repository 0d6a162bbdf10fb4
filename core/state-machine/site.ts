/** What a cluster keeps of the sites below it: who each is, by its key, and whether it may ship its ledger here. */
import type { Encodable, TupleReader } from "../codec.ts";
import { type ClusterId, isClusterId, isPublicKey } from "../ids.ts";

const SITE_STATES = ["pending", "approved", "revoked"] as const;
/** Pending: it came with a token, and an operator is to decide. Revoked: it ships nothing; what it shipped stays. */
export type SiteState = (typeof SITE_STATES)[number];
export const isSiteState = (value: unknown): value is SiteState => SITE_STATES.some((state) => state === value);

/** What an operator says of a site. */
const SITE_DECISIONS = ["approved", "revoked"] as const;
export type SiteDecision = (typeof SITE_DECISIONS)[number];
export const isSiteDecision = (value: unknown): value is SiteDecision =>
  SITE_DECISIONS.some((decision) => decision === value);

/** A site that shows a token which this cluster's key signed: the token is checked before this is proposed. */
export interface SiteEnrolment {
  readonly cluster: ClusterId;
  /** The site's public key, 64 hex digits: what its nodes' credentials are signed with (R10). */
  readonly clusterKey: string;
  /** Public half of the token's one-time key, 64 hex digits: what tells tokens apart. */
  readonly token: string;
  /** What the token lets it be. */
  readonly state: Exclude<SiteState, "revoked">;
}

/** A row as it is asked for. */
export interface Site {
  readonly cluster: ClusterId;
  readonly clusterKey: string;
  readonly token: string;
  readonly state: SiteState;
  /** Who brought it to this state; of one that came with its token, the node that took it. */
  readonly decidedBy: string;
  /** The wall clock of the node that proposed it, ms since 1970; an annotation (T1). */
  readonly decidedAt: number;
}

export const enrolmentFields = ({ cluster, clusterKey, token, state }: SiteEnrolment): readonly Encodable[] => [
  cluster,
  clusterKey,
  token,
  state,
];

/** @throws OpenClawError MALFORMED_FRAME */
export const readEnrolment = (reader: TupleReader): SiteEnrolment => ({
  cluster: reader.that(isClusterId, "a cluster"),
  clusterKey: reader.that(isPublicKey, "a public key"),
  token: reader.that(isPublicKey, "a public key"),
  state: reader.that(isGranted, "what a token grants"),
});

const isGranted = (value: unknown): value is SiteEnrolment["state"] => isSiteState(value) && value !== "revoked";
