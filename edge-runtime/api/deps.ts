/** What the HTTP API needs of a running node: declared here, provided by node.ts and by tests. */
import type { ErrorCode } from "@openclaw/core/errors.ts";
import type { ClusterId, NodeId, Revision } from "@openclaw/core/ids.ts";
import type { DiskBudget } from "@openclaw/core/replica/disk-budget.ts";
import type { Replica } from "@openclaw/core/replica.ts";
import type { Member, MemberPlace } from "@openclaw/core/state-machine/member.ts";
import type { Authority, Principal } from "@openclaw/core/sync/authority.ts";
import type { Adoption } from "@openclaw/core/sync/parent-epochs.ts";
import type { UplinkState } from "@openclaw/core/sync/uplink-state.ts";
import type { FastifyBaseLogger } from "fastify";
import type { Pem } from "../certificate.ts";
import type { Materialiser } from "../documents/materialise.ts";
import type { Metrics } from "../metrics.ts";
import type { LinkRefusals } from "../sync/link-refusals.ts";

export type ReplicaDoor = Pick<
  Replica,
  | "execute"
  | "propose"
  | "executeIdempotent"
  | "barrier"
  | "read"
  | "history"
  | "ledger"
  | "base"
  | "follow"
  | "onAgreement"
  | "position"
  | "staleMs"
  | "status"
  | "changeMembership"
  | "transferLeadership"
  | "checkLedger"
  | "compareStates"
>;

export interface ApiPrincipal extends Principal {
  /** May pause the uplink and the like. */
  readonly mayAdminister: boolean;
}

export interface ApiAuthority extends Authority {
  /** True when a token is asked for. */
  readonly secured: boolean;
  /** @throws OpenClawError UNAUTHENTICATED */
  authenticate(token: string | null): Promise<ApiPrincipal>;
}

/** A member as its peers know it. */
export interface SiteMember extends MemberPlace {
  readonly node: NodeId;
}

/** What gossip last said of a member; never decides anything (R11). */
export interface MemberPresence {
  readonly node: string;
  /** Ms since it was last heard. */
  readonly ageMs: number;
  readonly revision: Revision;
}

/** Where the cluster's nodes are, and whether this one is still among them. */
export interface MembersDoor {
  /** The members; the same array until it changes. */
  list(): readonly SiteMember[];
  /** What is replicated of nodes, those that were removed included. */
  rows(): readonly Member[];
  readonly removed: boolean;
}

export interface UplinkStatus extends Omit<UplinkState, "lastError"> {
  /** The last failure in words, and its code; null when there was none since the link last came up. */
  readonly failure: string | null;
  readonly failureCode: ErrorCode | null;
}

export interface UplinkDoor {
  /** What following the parent that was refused last would do, and doing it (L3). @throws as `ParentEpochs.plan` */
  planAdoption(): Promise<Adoption>;
  adopt(): Promise<Adoption>;
  status(): UplinkStatus;
  setEnabled(enabled: boolean): void;
  /** Ms since this node knew that its mirror of that cluster was level with it; null when it does not. */
  mirrorAgeMs(origin: ClusterId): number | null;
  /** What today may use beyond the budget, in bytes. @throws OpenClawError OVERLOADED, UNAVAILABLE, STOPPED */
  allow(bytes: number): Promise<void>;
}

export interface ApiDeps {
  readonly replica: ReplicaDoor;
  readonly authority: ApiAuthority;
  readonly documents: Pick<Materialiser, "materialise" | "materialiseAt">;
  readonly presence: () => readonly MemberPresence[];
  readonly members: MembersDoor;
  /** Null without a parent. */
  readonly uplink: UplinkDoor | null;
  readonly disk: Pick<DiskBudget, "status">;
  readonly refusals: Pick<LinkRefusals, "list">;
  readonly metrics: Metrics;
  /** For https; null for http. */
  readonly certificate: Pem | null;
  /** Origins, besides the members' own, whose pages may call this node: `https://shop.example`. */
  readonly origins: readonly string[];
  /** A folder served at /; null for none. */
  readonly page: string | null;
  readonly log: FastifyBaseLogger;
  /** An invariant broke: the node stops. */
  readonly onFatal: (error: Error) => void;
}
