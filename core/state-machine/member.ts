/** What is said of a member: where it is, and how it stands to the group. */
import type { Encodable, TupleReader } from "../codec.ts";
import { type ErrorCode, OpenClawError } from "../errors.ts";
import type { NodeId } from "../ids.ts";

/** Addresses of one node, and characters of each and of the URL. */
const ADDRESSES_MAX = 8;
const TEXT_MAX = 256;

/** What a node says of itself. */
export interface MemberPlace {
  /** Its libp2p peer id. */
  readonly peer: string;
  /** Multiaddrs without /p2p. */
  readonly addresses: readonly string[];
  /** Base URL of its HTTP API. */
  readonly http: string;
}

const STANDINGS = ["named", "member", "removed"] as const;
/** Named: it has asked to join, and was in no configuration yet. Removed: for good. */
export type Standing = (typeof STANDINGS)[number];

/** What the cluster keeps of what a node says. */
export interface MemberNote extends MemberPlace {
  /** The newest apply version that it supports (R9). */
  readonly supports: number;
}

/** A row as it is asked for. */
export interface Member extends MemberNote {
  readonly node: NodeId;
  readonly standing: Standing;
}

export interface Refused {
  readonly code: ErrorCode;
  readonly details: string;
}

export const isStanding = (value: unknown): value is Standing => STANDINGS.some((standing) => standing === value);

/** The fields of a place, in the order of its tuple. @throws OpenClawError MALFORMED_FRAME */
export function readPlace(reader: TupleReader): MemberPlace {
  const peer = reader.that(isShort, "a peer id");
  const addresses = reader.list();
  if (addresses.length > ADDRESSES_MAX || !addresses.every(isShort)) {
    throw new OpenClawError(
      "MALFORMED_FRAME",
      `a node has at most ${ADDRESSES_MAX} addresses of ${TEXT_MAX} characters`,
    );
  }
  return { peer, addresses: [...addresses], http: reader.that(isShort, "a URL") };
}

const isShort = (value: unknown): value is string => typeof value === "string" && value.length <= TEXT_MAX;

export const placeFields = ({ peer, addresses, http }: MemberPlace): readonly Encodable[] => [peer, addresses, http];
