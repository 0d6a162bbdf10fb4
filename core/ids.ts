/** Branded identities. A brand keeps a term from being passed as an index; it costs nothing at run time. */

declare const brand: unique symbol;
type Brand<Base, Name extends string> = Base & { readonly [brand]: Name };

/** A cluster's name, unique below its parent: `[a-z0-9][a-z0-9-]{0,62}`. What tells two clusters of one name apart is the epoch. */
export type ClusterId = Brand<string, "ClusterId">;
/** A node's name, unique in its cluster; same alphabet as a cluster's. */
export type NodeId = Brand<string, "NodeId">;
/** A child stream: a cluster's id for a site, 32 hex digits drawn at page load for a client (rule D4). */
export type LinkId = Brand<string, "LinkId">;
/** A session of a gateway or client that proposes out of order (rule Q1): 32 hex digits. */
export type SessionId = Brand<string, "SessionId">;
/** Raft term, from 1; 0 before the first election. */
export type Term = Brand<number, "Term">;
/** Raft log index, from 1; 0 is before the first entry. */
export type Index = Brand<number, "Index">;
/** Ledger revision, from 1 (etcd's sense); 0 is the empty ledger. */
export type Revision = Brand<number, "Revision">;
/** Position of an item in a child stream, from 1. For a site it is the site's revision. */
export type Seq = Brand<number, "Seq">;
/** A lease, drawn by who asks for it; from 1. */
export type LeaseId = Brand<number, "LeaseId">;
/** SHA-256 of an Automerge change, 64 lower-case hex digits. */
export type ChangeHash = Brand<string, "ChangeHash">;
/** Automerge actor id: lower-case hex. */
export type ActorId = Brand<string, "ActorId">;

/** Partition of a cluster. Today always 0, but in every identity, hash, cursor and frame (DESIGN §1). */
export type Partition = 0;
export const PARTITION: Partition = 0;

/** L3. Who wrote a ledger: a restore or rebuild starts a new epoch with a higher counter and a fresh nonce. */
export interface Epoch {
  readonly counter: number;
  /** 128 random bits, 32 lower-case hex digits. */
  readonly nonce: string;
  /** The nonce of the epoch this one departed from; null for a first epoch. */
  readonly parent: string | null;
  /** The parent's revision at the departure. */
  readonly departure: Revision;
}

/** An epoch before the present one. */
export interface Ancestor {
  readonly epoch: Epoch;
  /** The ledger's hash where the next epoch departed from it. */
  readonly hash: Uint8Array;
}

/** Which epochs a ledger is of. */
export interface Lineage {
  /** The present one. */
  readonly epoch: Epoch;
  /** Oldest first; each departed from the one before. */
  readonly ancestors: readonly Ancestor[];
}

/** L4. Where an imported revision was first written. */
export interface Origin {
  readonly cluster: ClusterId;
  /** Nonce of the origin's epoch. */
  readonly epoch: string;
  readonly revision: Revision;
}

const NAME = /^[a-z0-9][a-z0-9-]{0,62}$/;
const HEX_32 = /^[0-9a-f]{32}$/;
const HEX_64 = /^[0-9a-f]{64}$/;
const HEX_ACTOR = /^(?:[0-9a-f]{2}){1,128}$/;

export const isName = (text: unknown): text is string => typeof text === "string" && NAME.test(text);
export const isClusterId = (text: unknown): text is ClusterId => isName(text);
export const isNodeId = (text: unknown): text is NodeId => isName(text);
export const isNonce = (text: unknown): text is string => typeof text === "string" && HEX_32.test(text);
export const isLinkId = (text: unknown): text is LinkId => isName(text) || isNonce(text);
export const isSessionId = (text: unknown): text is SessionId => isNonce(text);
export const isChangeHash = (text: unknown): text is ChangeHash => typeof text === "string" && HEX_64.test(text);
/** An Ed25519 public key, as text. */
export const isPublicKey = (text: unknown): text is string => typeof text === "string" && HEX_64.test(text);
export const isActorId = (text: unknown): text is ActorId => typeof text === "string" && HEX_ACTOR.test(text);
export const isPartition = (value: unknown): value is Partition => value === PARTITION;
/** True for a whole number from 0 to 2^53 − 1: what a term, an index, a revision and a sequence number are. */
export const isCount = (value: unknown): value is number => Number.isSafeInteger(value) && (value as number) >= 0;
export const isLeaseId = (value: unknown): value is LeaseId => isCount(value) && value > 0;

/** A site's stream has its cluster's name. */
export const linkOfCluster = (cluster: ClusterId): LinkId => String(cluster) as LinkId;

export const term = (value: number): Term => value as Term;
export const index = (value: number): Index => value as Index;
export const revision = (value: number): Revision => value as Revision;
export const seq = (value: number): Seq => value as Seq;
