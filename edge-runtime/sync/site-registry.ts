/**
 * The sites of this cluster as this node knows them: the replicated rows, read anew whenever they may have changed. Whoever
 * comes with a token that our cluster's key signed is enrolled here; nothing else makes a row.
 */
import { asOpenClawError, OpenClawError } from "@openclaw/core/errors.ts";
import type { ClusterId, Epoch, NodeId } from "@openclaw/core/ids.ts";
import type { Clock } from "@openclaw/core/ports.ts";
import type { Replica } from "@openclaw/core/replica.ts";
import type { Site, SiteDecision } from "@openclaw/core/state-machine/site.ts";
import { siteRefusal } from "@openclaw/core/state-machine/sites.ts";
import type { SiteClaim } from "@openclaw/core/sync/backend.ts";
import { verifyCredential } from "../network/credential.ts";
import { type Enrolment, verifyEnrolment } from "../network/enrolment.ts";
import { ClusterPublicKey } from "../network/identity.ts";
import type { NetworkLog } from "../network/network-log.ts";
import { parseSiteCredential, type SiteCredential } from "../network/site-credential.ts";

/** For a row to be on a majority's disks. */
const PROPOSE_MS_MAX = 5_000;
/** A store that was busy is read again after this: a site that is revoked is out within 5 s. */
const READ_AGAIN_MS = 1_000;

export type RegistryReplica = Pick<Replica, "read" | "onRows" | "propose">;

export interface RegistryOptions {
  readonly replica: RegistryReplica;
  readonly cluster: ClusterId;
  readonly node: NodeId;
  readonly epoch: Epoch;
  readonly clusterKey: ClusterPublicKey;
  readonly clock: Clock;
  readonly log: NetworkLog;
}

export class SiteRegistry {
  readonly #options: RegistryOptions;
  readonly #listeners = new Set<() => void>();
  #sites: ReadonlyMap<ClusterId, Site> = new Map();
  /** Tokens of the rows, and who came with them. */
  #tokens: ReadonlyMap<string, ClusterId> = new Map();
  #keys = new Map<ClusterId, ClusterPublicKey>();
  #reading: Promise<void> | null = null;
  #stale = false;
  #stopped = false;
  #failing = false;
  #cancelAgain: () => void = () => {};
  #unfollow: () => void = () => {};

  private constructor(options: RegistryOptions) {
    this.#options = options;
  }

  /** Resolves when the rows are read. */
  static async open(options: RegistryOptions): Promise<SiteRegistry> {
    const registry = new SiteRegistry(options);
    registry.#unfollow = options.replica.onRows("sites", () => void registry.refresh());
    await registry.refresh();
    return registry;
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    this.#unfollow();
    this.#cancelAgain();
    await this.#reading;
  }

  /** Every site, by name. */
  list(): readonly Site[] {
    return [...this.#sites.values()];
  }

  find(cluster: ClusterId): Site | null {
    return this.#sites.get(cluster) ?? null;
  }

  /** Of a site that is let in; null for any other cluster. */
  keyOf(cluster: ClusterId): ClusterPublicKey | null {
    return this.#sites.get(cluster)?.state === "approved" ? (this.#keys.get(cluster) ?? null) : null;
  }

  /** Calls back after the rows changed here; the returned function ends it. */
  follow(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Why this site's stream may not be open; null when it may. */
  refusal(cluster: ClusterId): OpenClawError | null {
    const site = this.find(cluster);
    if (site === null) return new OpenClawError("UNKNOWN_CHILD", cluster);
    const refused = siteRefusal(cluster, site);
    return refused === null ? null : new OpenClawError(refused.code, refused.details);
  }

  /**
   * The node that speaks for a site, if the site may ship. One that is not known yet is enrolled, if its token is good.
   * @throws OpenClawError NOT_ADMITTED, TOKEN_USED, SITE_PENDING, SITE_REVOKED, WRONG_CLUSTER,
   * UNKNOWN_VERSION, OVERLOADED, UNAVAILABLE
   */
  async admit({ cluster, credential, remotePeer }: SiteClaim): Promise<NodeId> {
    const shown = parseSiteCredential(credential);
    const enrolment = this.#news(cluster, shown);
    if (enrolment !== null) {
      const clusterKey = new ClusterPublicKey(enrolment.clusterKey);
      // Only a node of that very site may bring its token.
      verifyCredential(shown.credential, { cluster, clusterKey, remotePeer });
      await this.#enrol(enrolment);
    }
    const clusterKey = this.#keys.get(cluster);
    if (clusterKey === undefined) throw new OpenClawError("UNAVAILABLE", "the rows of sites could not be read");
    const { node } = verifyCredential(shown.credential, { cluster, clusterKey, remotePeer });
    const refused = this.refusal(cluster);
    if (refused !== null) throw refused;
    return node;
  }

  /** An operator's word. @throws OpenClawError UNKNOWN_CHILD, OVERLOADED, UNAVAILABLE, STOPPED */
  async decide(cluster: ClusterId, decision: SiteDecision, principal: string): Promise<void> {
    const how = { principal, timeoutMs: PROPOSE_MS_MAX };
    const result = await this.#options.replica.propose({ kind: "decideSite", cluster, decision }, how);
    if (result.kind === "siteNoted" && result.refused !== null)
      throw new OpenClawError(result.refused.code, result.refused.details);
    await this.refresh();
    this.#options.log.info({ site: cluster, decision, principal }, "an operator decided on a site");
  }

  /** Reads the rows anew; a call during a reading is answered by the next one. */
  refresh(): Promise<void> {
    this.#stale = true;
    this.#reading ??= this.#read().finally(() => {
      this.#reading = null;
      if (this.#stale && !this.#stopped) void this.refresh();
    });
    return this.#reading;
  }

  /** The token that a site shows, where it says more than the rows here do; null where there is nothing to be enrolled. */
  #news(cluster: ClusterId, { enrolment: bytes }: SiteCredential): Enrolment | null {
    const known = this.find(cluster);
    if (known?.state === "approved") return null;
    const { cluster: hub, clusterKey } = this.#options;
    const enrolment = verifyEnrolment(bytes, { cluster: hub, clusterKey });
    if (enrolment.site !== cluster) throw new OpenClawError("NOT_ADMITTED", `the token was used by ${enrolment.site}`);
    if (known?.clusterKey === enrolment.clusterKey) {
      const raises = known.state === "pending" && this.#grants(enrolment) && known.token !== enrolment.grant.key;
      return raises ? enrolment : null;
    }
    if (known?.state === "pending") throw new OpenClawError("NOT_ADMITTED", `${cluster} is enrolled with another key`);
    const usedBy = this.#tokens.get(enrolment.grant.key);
    // Known here, so that whoever shows it again and again costs no proposal.
    if (usedBy !== undefined && usedBy !== cluster) throw new OpenClawError("TOKEN_USED", `by ${usedBy}`);
    return enrolment;
  }

  /** A hub that was restored has forgotten whom it revoked: there, what was granted before waits for an operator. */
  #grants({ grant }: Enrolment): boolean {
    return grant.approved && grant.epochCounter >= this.#options.epoch.counter;
  }

  async #enrol(enrolment: Enrolment): Promise<void> {
    const { replica, node, log } = this.#options;
    const { site: cluster, clusterKey, grant } = enrolment;
    const state = this.#grants(enrolment) ? "approved" : "pending";
    const site = { cluster, clusterKey, token: grant.key, state } as const;
    const how = { principal: `node:${node}`, timeoutMs: PROPOSE_MS_MAX };
    const result = await replica.propose({ kind: "enrolSite", site }, how);
    if (result.kind === "siteNoted" && result.refused !== null)
      throw new OpenClawError(result.refused.code, result.refused.details);
    await this.refresh();
    log.info({ site: cluster, state: this.find(cluster)?.state }, "a site came with its token");
  }

  async #read(): Promise<void> {
    while (this.#stale && !this.#stopped) {
      this.#stale = false;
      try {
        const { sites } = await this.#options.replica.read({ kind: "sites" });
        this.#failing = false;
        this.#take(sites);
      } catch (error) {
        // Said once: it is tried every second, for as long as it takes.
        if (!this.#failing)
          this.#options.log.info({ reason: asOpenClawError(error).message }, "the rows of sites could not be read");
        this.#failing = true;
        this.#cancelAgain();
        if (!this.#stopped) this.#cancelAgain = this.#options.clock.after(READ_AGAIN_MS, () => void this.refresh());
        return;
      }
    }
  }

  #take(sites: readonly Site[]): void {
    const keys = new Map<ClusterId, ClusterPublicKey>();
    for (const { cluster, clusterKey } of sites) {
      const known = this.#keys.get(cluster);
      keys.set(cluster, known?.hex === clusterKey ? known : new ClusterPublicKey(clusterKey));
    }
    this.#sites = new Map(sites.map((site) => [site.cluster, site]));
    this.#tokens = new Map(sites.map(({ token, cluster }) => [token, cluster]));
    this.#keys = keys;
    for (const listener of this.#listeners) listener();
  }
}
