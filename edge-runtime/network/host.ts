/**
 * The libp2p host of a node: TCP for nodes, WebSocket for browsers, Noise, Yamux, identify, ping, gossip. It admits
 * nobody by itself: each protocol checks who speaks (R10).
 */
import { type GossipSub, type GossipSubComponents, gossipsub, StrictSign } from "@chainsafe/libp2p-gossipsub";
import { bootstrap } from "@libp2p/bootstrap";
import { type Identify, identify } from "@libp2p/identify";
import type { Libp2p, Libp2pEvents, TypedEventTarget } from "@libp2p/interface";
import { mdns } from "@libp2p/mdns";
import { noise } from "@libp2p/noise";
import { type Ping, ping } from "@libp2p/ping";
import { tcp } from "@libp2p/tcp";
import { webSockets } from "@libp2p/websockets";
import { yamux } from "@libp2p/yamux";
import { OpenClawError } from "@openclaw/core/errors.ts";
import { createLibp2p, type Libp2pOptions } from "libp2p";
import type { Pem } from "../certificate.ts";
import { parseMultiaddr } from "./address.ts";
import type { NodeIdentity } from "./identity.ts";
import * as limits from "./limits.ts";
import type { MemberGossip } from "./member-gossip.ts";
import { gatheringEncrypter, gatheringMuxer } from "./write-gathering.ts";

export interface HostServices extends Record<string, unknown> {
  readonly identify: Identify;
  readonly ping: Ping;
  readonly gossip: GossipSub;
  /** Of a node only. */
  readonly memberGossip?: GossipSub;
  readonly certificate: CertificateRenewal;
}

/** How the listeners hear of a certificate that was renewed: libp2p's own event, which only its parts can send. */
export interface CertificateRenewal {
  renew(pem: Pem): void;
}

export type Host = Libp2p<HostServices>;

export interface HostOptions {
  readonly identity: NodeIdentity;
  /** Multiaddrs; `/tcp/…` for nodes, `/tcp/…/ws` for browsers. Port 0 takes a free one. */
  readonly listen: readonly string[];
  /** Addresses with `/p2p/…` that are dialled once at start, so that gossip finds somebody. */
  readonly bootstrap?: readonly string[];
  /** For addresses that end in `/tls/ws`; absent or null: there are none. */
  readonly certificate?: Pem | null;
  /** Announce and find peers on the local network. */
  readonly mdns?: boolean;
  /** Gossip topics; all others are refused (pitfall 48). */
  readonly topics: readonly string[];
  /** Gossip among the members of the node's own cluster. */
  readonly members?: MemberGossip;
}

/** Starts a host. @throws OpenClawError PORT_IN_USE naming the address, CONFIG_INVALID for an address that cannot be bound */
export async function createHost(options: HostOptions): Promise<Host> {
  for (const address of options.listen) parseMultiaddr(address);
  try {
    return await createLibp2p(libp2pOptions(options));
  } catch (error) {
    throw bindError(error, options.listen);
  }
}

function libp2pOptions(options: HostOptions): Libp2pOptions<HostServices> {
  const discovery: NonNullable<Libp2pOptions["peerDiscovery"]> = [];
  if (options.bootstrap !== undefined && options.bootstrap.length > 0) {
    // No `tagTTL`: without one the tag never expires. Infinity, as its documentation has it, makes the discovery fail.
    discovery.push(bootstrap({ list: [...options.bootstrap], timeout: 100 }));
  }
  if (options.mdns === true) discovery.push(mdns());
  const { members } = options;
  return {
    privateKey: options.identity.privateKey,
    nodeInfo: { name: "openclaw", userAgent: "openclaw" },
    addresses: { listen: [...options.listen] },
    transports: [
      tcp({
        inboundSocketInactivityTimeout: limits.SOCKET_IDLE_MS,
        outboundSocketInactivityTimeout: limits.SOCKET_IDLE_MS,
        maxConnections: limits.CONNECTIONS_MAX,
      }),
      webSockets({
        maxBufferedAmount: limits.STREAM_WINDOW_BYTES_MAX,
        ...(options.certificate ? { https: { ...options.certificate } } : {}),
      }),
    ],
    connectionEncrypters: [gatheringEncrypter(noise())],
    streamMuxers: [
      gatheringMuxer(
        yamux({
          keepAliveInterval: limits.KEEP_ALIVE_MS,
          maxInboundStreams: limits.STREAMS_MAX,
          maxOutboundStreams: limits.STREAMS_MAX,
          maxEarlyStreams: limits.EARLY_STREAMS_MAX,
          streamOptions: {
            maxStreamWindowSize: limits.STREAM_WINDOW_BYTES_MAX,
            maxReadBufferLength: limits.STREAM_READ_BYTES_MAX,
            maxWriteBufferLength: limits.YAMUX_WRITE_BYTES_MAX,
            inactivityTimeout: limits.STREAM_IDLE_MS,
          },
        }),
      ),
    ],
    connectionManager: {
      maxConnections: limits.CONNECTIONS_MAX,
      inboundConnectionThreshold: limits.CONNECTIONS_PER_SECOND_MAX,
      maxIncomingPendingConnections: limits.PENDING_CONNECTIONS_MAX,
      maxParallelDials: limits.DIALS_MAX,
      maxDialQueueLength: limits.DIALS_WAITING_MAX,
      maxPeerAddrsToDial: limits.ADDRESSES_MAX,
      dialTimeout: limits.DIAL_TIMEOUT_MS,
    },
    connectionMonitor: {
      pingInterval: limits.KEEP_ALIVE_MS,
      pingTimeout: { minTimeout: limits.PING_TIMEOUT_MS, maxTimeout: 2 * limits.PING_TIMEOUT_MS },
    },
    peerDiscovery: discovery,
    services: {
      ...(members === undefined
        ? {}
        : { memberGossip: (components: GossipSubComponents) => members.service(components) }),
      certificate: ({ events }: { readonly events: TypedEventTarget<Libp2pEvents> }): CertificateRenewal => ({
        renew: (detail) => void events.safeDispatchEvent("certificate:renew", { detail }),
      }),
      identify: identify(),
      ping: ping(),
      gossip: gossipsub({
        globalSignaturePolicy: StrictSign,
        allowedTopics: [...options.topics],
        fallbackToFloodsub: false,
        // A node that is alone still publishes: the one that comes next hears the next one.
        allowPublishToZeroTopicPeers: true,
        maxInboundDataLength: 4 * limits.GOSSIP_BYTES_MAX,
        maxOutboundBufferSize: 256 * limits.GOSSIP_BYTES_MAX,
        maxTopicBytesPerPeer: 16_384,
        // A plant's nodes, and all sites behind one router, have one address: above ten the default would not listen to any.
        scoreParams: { IPColocationFactorWeight: 0 },
        decodeRpcLimits: {
          maxSubscriptions: 16,
          maxMessages: 256,
          maxIhaveMessageIDs: 1_024,
          maxIwantMessageIDs: 1_024,
          maxIdontwantMessageIDs: 256,
          maxControlMessages: 256,
          maxPeerInfos: 16,
        },
      }),
    },
  };
}

/** libp2p tells which addresses failed only in the text of its error. */
function bindError(error: unknown, listen: readonly string[]): unknown {
  if (!(error instanceof Error) || error.name !== "UnsupportedListenAddressesError") return error;
  const failed = listen.filter((address) => error.message.includes(`\n  ${address}: `));
  const named = failed.length === 0 ? listen.join(", ") : failed.join(", ");
  if (error.message.includes("EADDRINUSE")) return new OpenClawError("PORT_IN_USE", named, { cause: error });
  const why = /\b(EACCES|EADDRNOTAVAIL|ENOTFOUND|EINVAL)\b/.exec(error.message)?.[1] ?? "no transport can listen there";
  return new OpenClawError("CONFIG_INVALID", `cannot listen on ${named}: ${why}`, { cause: error });
}
