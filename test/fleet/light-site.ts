/**
 * A site of one node that takes little memory: the real replica, the real uplink, gossip and libp2p host, over stores in
 * memory, without workers and without an API of its own. To its hub it is a site like any other.
 */
import { utf8 } from "@openclaw/core/bytes.ts";
import { founding } from "@openclaw/core/raft/membership.ts";
import { Replica } from "@openclaw/core/replica.ts";
import { APPLY_VERSIONS } from "@openclaw/core/state-machine/apply.ts";
import { loadConfig } from "@openclaw/edge-runtime/config.ts";
import { loadCredential } from "@openclaw/edge-runtime/network/credential.ts";
import { createHost } from "@openclaw/edge-runtime/network/host.ts";
import { ClusterPublicKey, loadIdentity } from "@openclaw/edge-runtime/network/identity.ts";
import { PRESENCE_TOPIC, PresenceGossip } from "@openclaw/edge-runtime/network/presence.ts";
import { encodeSiteCredential } from "@openclaw/edge-runtime/network/site-credential.ts";
import { LinkRefusals } from "@openclaw/edge-runtime/sync/link-refusals.ts";
import { Uplink } from "@openclaw/edge-runtime/sync/uplink.ts";
import { systemClock, systemRandom } from "@openclaw/edge-runtime/system-ports.ts";
import { MemoryNetwork } from "../simulation/memory-network.ts";
import { MemoryStateStore } from "../simulation/memory-state-store.ts";
import { SimulatedLogStore } from "../simulation/simulated-log-store.ts";

/** As a node's (edge-runtime/node.ts). */
const TICK_MS = 50;
const PUT_MS_MAX = 10_000;

export class LightSite {
  readonly #replica: Replica;
  readonly #uplink: Uplink;
  readonly #stop: () => Promise<void>;

  private constructor(replica: Replica, uplink: Uplink, stop: () => Promise<void>) {
    this.#replica = replica;
    this.#uplink = uplink;
    this.#stop = stop;
  }

  /** @param file a configuration that `initCluster` wrote */
  static async start(file: string, onFatal: (error: Error) => void): Promise<LightSite> {
    const config = await loadConfig(file);
    const { cluster, node, epoch, parent } = config;
    if (parent === null) throw new Error(`${cluster} has no parent`);
    const identity = await loadIdentity(config.identity);
    const clusterKey = new ClusterPublicKey(config.clusterKey);
    const credential = await loadCredential(config.credential, { cluster, clusterKey, remotePeer: identity.peer });
    const host = await createHost({ identity, listen: [], topics: [PRESENCE_TOPIC] });
    const membership = founding([node]);
    const replica = new Replica({
      cluster,
      id: node,
      membership,
      epoch,
      log: new SimulatedLogStore({ cluster, node }),
      state: new MemoryStateStore({ cluster, epoch, membership }),
      transport: new MemoryNetwork(systemClock).transport(node),
      clock: systemClock,
      random: systemRandom,
      applyVersions: APPLY_VERSIONS,
      tickMs: TICK_MS,
      onFatal,
    });
    await replica.start();
    const silent = { info: () => {}, warn: () => {} };
    const presence = new PresenceGossip({
      host,
      clock: systemClock,
      log: silent,
      credential,
      clusterKey: (of) => (of === cluster ? clusterKey : null),
      peerOf: () => null,
      self: () => {
        const { role, leader, term, revision, applied } = replica.status();
        const http = "http://127.0.0.1:1";
        return { cluster, node, role, leader, term, revision, applied, http, full: false, at: systemClock.wall() };
      },
    });
    presence.start();
    const enrolment = Buffer.from(parent.enrolment, "base64url");
    const uplink = new Uplink({
      host,
      replica,
      parent,
      limits: { bytesPerSecond: null, bytesPerDay: null },
      cluster,
      credential: encodeSiteCredential({ credential, enrolment }),
      clock: systemClock,
      random: systemRandom,
      refusals: new LinkRefusals(systemClock),
      log: silent,
    });
    uplink.start();
    return new LightSite(replica, uplink, async () => {
      await uplink.stop();
      presence.stop();
      await replica.stop();
      await host.stop();
    });
  }

  get connected(): boolean {
    return this.#uplink.status().connected;
  }

  /** Why it is not, in words; null where there was nothing. */
  get failure(): string | null {
    return this.#uplink.status().failure;
  }

  /** Resolves when the site has it, which is long before its hub does. */
  async put(key: string, value: string): Promise<void> {
    const command = { kind: "put", key: utf8(key), value: utf8(value) } as const;
    const outcome = await this.#replica.execute(command, { principal: "load", timeoutMs: PUT_MS_MAX });
    if (!outcome.ok) throw new Error(`${outcome.code}: ${outcome.details}`);
  }

  stop(): Promise<void> {
    return this.#stop();
  }
}
