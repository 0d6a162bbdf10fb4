/** Nodes of one cluster on real libp2p hosts, each on a free loopback port, all in this process. */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import {
  type ClusterId,
  type Epoch,
  isClusterId,
  isNodeId,
  type NodeId,
  PARTITION,
  revision,
} from "@openclaw/core/ids.ts";
import type { Clock, Random } from "@openclaw/core/ports.ts";
import type { PeerLocation } from "@openclaw/edge-runtime/network/address.ts";
import { createCredential } from "@openclaw/edge-runtime/network/credential.ts";
import { createHost, type Host } from "@openclaw/edge-runtime/network/host.ts";
import { ClusterKey, createIdentity, type NodeIdentity } from "@openclaw/edge-runtime/network/identity.ts";
import type { NetworkLog } from "@openclaw/edge-runtime/network/network-log.ts";
import { PRESENCE_TOPIC } from "@openclaw/edge-runtime/network/presence.ts";
import { RaftTransport, type RaftTransportOptions } from "@openclaw/edge-runtime/network/raft-transport.ts";

export const systemClock: Clock = {
  now: () => performance.now(),
  wall: () => Date.now(),
  after: (ms, callback) => {
    const timer = setTimeout(callback, ms);
    return () => clearTimeout(timer);
  },
};

const systemRandom: Random = {
  unit: () => Math.random(),
  bytes: (length) => crypto.getRandomValues(new Uint8Array(length)),
};

export class MemoryLog implements NetworkLog {
  readonly lines: { readonly text: string; readonly fields: object }[] = [];
  info(fields: object, text: string): void {
    this.lines.push({ text, fields });
  }
  warn(fields: object, text: string): void {
    this.lines.push({ text, fields });
  }
}

export function nodeId(text: string): NodeId {
  if (!isNodeId(text)) throw new Error(text);
  return text;
}

export function clusterId(text: string): ClusterId {
  if (!isClusterId(text)) throw new Error(text);
  return text;
}

export const EPOCH: Epoch = { counter: 3, nonce: "ab".repeat(16), parent: null, departure: revision(0) };

export interface Member {
  readonly node: NodeId;
  readonly identity: NodeIdentity;
  readonly credential: Uint8Array;
}

export class Libp2pCluster {
  readonly cluster = clusterId("california");
  readonly epoch = EPOCH;
  readonly absent = nodeId("california-9");
  readonly nodes: readonly NodeId[];
  readonly log = new MemoryLog();
  readonly higherEpochs: { readonly at: NodeId; readonly counter: number; readonly from: NodeId }[] = [];
  readonly folder: string;
  readonly key: ClusterKey;
  readonly members = new Map<NodeId, Member>();
  readonly hosts = new Map<NodeId, Host>();
  readonly transports = new Map<NodeId, RaftTransport>();

  private constructor(folder: string, key: ClusterKey, nodes: readonly NodeId[]) {
    this.folder = folder;
    this.key = key;
    this.nodes = nodes;
  }

  static async create(size: number): Promise<Libp2pCluster> {
    const folder = await mkdtemp(join(tmpdir(), "openclaw-network-"));
    const nodes = Array.from({ length: size }, (_, i) => nodeId(`california-${i + 1}`));
    const cluster = new Libp2pCluster(folder, await ClusterKey.create(join(folder, "cluster.key")), nodes);
    for (const node of nodes) cluster.members.set(node, await cluster.member(node));
    return cluster;
  }

  /** An identity with a credential for `node`, signed by `key`. */
  async member(node: NodeId, key: ClusterKey = this.key, cluster: ClusterId = this.cluster): Promise<Member> {
    const identity = await createIdentity(join(this.folder, `${node}-${crypto.randomUUID()}.key`));
    const credential = createCredential({ cluster, partition: PARTITION, node, peer: identity.peer }, key);
    return { node, identity, credential };
  }

  locate(node: NodeId): PeerLocation | null {
    const member = this.members.get(node);
    if (member === undefined) return null;
    const host = this.hosts.get(node);
    // A stopped node's old port: nobody listens there.
    const addresses = host?.getMultiaddrs().map(String) ?? ["/ip4/127.0.0.1/tcp/1"];
    return { peer: member.identity.peer, addresses };
  }

  async host(member: Member): Promise<Host> {
    return createHost({ identity: member.identity, listen: ["/ip4/127.0.0.1/tcp/0"], topics: [PRESENCE_TOPIC] });
  }

  /** A transport of `member` on `host`, with what `changes` says instead of the usual. */
  transportOf(member: Member, host: Host, changes: Partial<RaftTransportOptions> = {}): Promise<RaftTransport> {
    return RaftTransport.open({
      host,
      cluster: this.cluster,
      node: member.node,
      epoch: this.epoch,
      credential: member.credential,
      clusterKey: this.key.publicKey,
      onHigherEpoch: ({ counter }, from) => this.higherEpochs.push({ at: member.node, counter, from }),
      peerOf: () => null,
      locate: (node) => this.locate(node),
      clock: systemClock,
      random: systemRandom,
      log: this.log,
      ...changes,
    });
  }

  async start(node: NodeId): Promise<RaftTransport> {
    const member = this.members.get(node);
    if (member === undefined) throw new Error(node);
    const host = await this.host(member);
    this.hosts.set(node, host);
    const transport = await this.transportOf(member, host);
    this.transports.set(node, transport);
    return transport;
  }

  async stop(node: NodeId): Promise<void> {
    await this.transports.get(node)?.stop();
    await this.hosts.get(node)?.stop();
    this.transports.delete(node);
    this.hosts.delete(node);
  }

  async destroy(): Promise<void> {
    for (const node of [...this.hosts.keys()]) await this.stop(node);
    await rm(this.folder, { recursive: true, force: true });
  }
}
