/**
 * Gossip between the members of one cluster, and nobody else: it carries what clients show of themselves to those who may
 * see it, and gossipsub tells every topic to whoever subscribes. So it has a protocol of its own, of which a peer that is no
 * member learns nothing: gossipsub never hears of it. A node that slept through a change of the members takes a new one in
 * when it has heard of it, and until then holds its stream.
 */
import {
  type GossipSub,
  type GossipSubComponents,
  gossipsub,
  type Message,
  StrictSign,
  TopicValidatorResult,
} from "@chainsafe/libp2p-gossipsub";
import type { Connection, PeerId, Stream, StreamHandler, Topology } from "@libp2p/interface";
import { invariant, OpenClawError } from "@openclaw/core/errors.ts";
import type { Clock } from "@openclaw/core/ports.ts";
import { Pace } from "@openclaw/core/provisional/pace.ts";
import { asError } from "./frame.ts";
import * as limits from "./limits.ts";
import type { NetworkLog } from "./network-log.ts";

const PROTOCOL = "/openclaw/presence/1";
const HEARTBEAT_MS = 2_000;

type Registrar = GossipSubComponents["registrar"];

interface Held {
  readonly peer: PeerId;
  readonly connection: Connection;
  /** Null where we are the one who dials. */
  readonly stream: Stream | null;
}

export interface MemberGossipOptions {
  /** The only topics there are (pitfall 48). */
  readonly topics: readonly string[];
  readonly isMember: (peer: string) => boolean;
}

export class MemberGossip {
  readonly #options: MemberGossipOptions;
  /** Not members, as far as this node knows: one stream, and one connection, of a peer. */
  readonly #held = new Map<string, Held>();
  readonly #taken = new Map<string, PeerId>();
  #topology: Topology | null = null;
  #handler: StreamHandler | null = null;

  constructor(options: MemberGossipOptions) {
    this.#options = options;
  }

  /** libp2p makes it a service of the host. */
  service(components: GossipSubComponents): GossipSub {
    const gossip = gossipsub({
      globalSignaturePolicy: StrictSign,
      allowedTopics: [...this.#options.topics],
      fallbackToFloodsub: false,
      allowPublishToZeroTopicPeers: true,
      heartbeatInterval: HEARTBEAT_MS,
      // What was lost is said again by its client: nobody asks for an old message.
      mcacheLength: 2,
      mcacheGossip: 1,
      seenTTL: 30_000,
      scoreParams: { decayInterval: 60_000 },
      maxInboundDataLength: 4 * limits.PRESENCE_GOSSIP_MESSAGE_BYTES_MAX,
      maxOutboundBufferSize: 64 * limits.PRESENCE_GOSSIP_MESSAGE_BYTES_MAX,
      maxTopicBytesPerPeer: 16_384,
      decodeRpcLimits: {
        maxSubscriptions: 16,
        maxMessages: 64,
        maxIhaveMessageIDs: 256,
        maxIwantMessageIDs: 256,
        maxIdontwantMessageIDs: 256,
        maxControlMessages: 64,
        maxPeerInfos: 16,
      },
    })({
      privateKey: components.privateKey,
      peerId: components.peerId,
      peerStore: components.peerStore,
      registrar: this.#registrar(components.registrar),
      connectionManager: components.connectionManager,
      logger: components.logger,
    });
    gossip.protocols = [PROTOCOL];
    return gossip;
  }

  isMember(peer: string): boolean {
    return this.#options.isMember(peer);
  }

  /** Who is a member has changed. */
  review(): void {
    for (const [name, held] of [...this.#held]) {
      if (!this.isMember(held.peer.toString())) continue;
      this.#held.delete(name);
      this.#take(held);
    }
    for (const [name, peer] of [...this.#taken]) {
      if (this.isMember(name)) continue;
      this.#taken.delete(name);
      void this.#topology?.onDisconnect?.(peer);
    }
  }

  #registrar(inner: Registrar): Registrar {
    return {
      getProtocols: () => inner.getProtocols(),
      handle: (protocol, handler, options) => {
        this.#handler = handler;
        const admitted: StreamHandler = (stream, connection) =>
          this.#meet({ peer: connection.remotePeer, connection, stream });
        return inner.handle(protocol, admitted, options);
      },
      unhandle: (protocol, options) => inner.unhandle(protocol, options),
      getHandler: (protocol) => inner.getHandler(protocol),
      use: (protocol, middleware) => inner.use(protocol, middleware),
      unuse: (protocol) => inner.unuse(protocol),
      getMiddleware: (protocol) => inner.getMiddleware(protocol),
      register: (protocol, topology, options) => {
        this.#topology = topology;
        const admitted: Topology = {
          ...topology,
          onConnect: (peer, connection) => this.#meet({ peer, connection, stream: null }),
          onDisconnect: (peer) => this.#parted(peer),
        };
        return inner.register(protocol, admitted, options);
      },
      unregister: (id) => inner.unregister(id),
      getTopologies: (protocol) => inner.getTopologies(protocol),
    };
  }

  #meet(held: Held): void {
    const { peer, stream } = held;
    if (this.isMember(peer.toString())) return this.#take(held);
    const name = `${stream === null ? "to" : "from"} ${peer}`;
    this.#drop(name);
    if (this.#held.size >= limits.PRESENCE_STRANGERS_MAX) {
      const [oldest] = this.#held.keys();
      if (oldest !== undefined) this.#drop(oldest);
    }
    this.#held.set(name, held);
  }

  #take({ peer, connection, stream }: Held): void {
    this.#taken.set(peer.toString(), peer);
    if (stream === null) void this.#topology?.onConnect?.(peer, connection);
    else if (stream.status === "open") void this.#handler?.(stream, connection);
  }

  #drop(name: string): void {
    const held = this.#held.get(name);
    this.#held.delete(name);
    held?.stream?.abort(new OpenClawError("NOT_ADMITTED", "no member of this cluster"));
  }

  #parted(peer: PeerId): void {
    for (const way of ["to", "from"]) this.#drop(`${way} ${peer}`);
    if (this.#taken.delete(peer.toString())) void this.#topology?.onDisconnect?.(peer);
  }
}

export interface MemberTopicOptions {
  /** With gossip among members. */
  readonly host: { readonly services: { readonly memberGossip?: GossipSub } };
  readonly members: Pick<MemberGossip, "isMember">;
  /** One of those that the gossip allows. */
  readonly topic: string;
  /** Messages of one member a second. */
  readonly perSecond: number;
  readonly clock: Clock;
  readonly log: NetworkLog;
  /** What the log says of a message that could not be passed on: whoever lost something says it again. */
  readonly notPassedOn: string;
  /** A member's message. @throws OpenClawError it cannot be read */
  heard(message: Uint8Array): void;
}

/** Messages between gateways, counted since the start. */
export interface MemberTopicCounts {
  readonly published: number;
  readonly taken: number;
  /** Messages that were thrown away: of no member, of one that sends too many, and those that cannot be read. */
  readonly strange: number;
  readonly flooded: number;
  readonly malformed: number;
}

/**
 * R11. One topic among the members. A message is taken from a member only (StrictSign: its author signed it), at a pace, and
 * what is wrong with it is counted and harms nobody.
 */
export class MemberTopic {
  readonly #options: MemberTopicOptions;
  readonly #gossip: GossipSub;
  /** Of members only, and so as few as they are. */
  readonly #paces = new Map<string, Pace>();
  readonly #publishing = new Set<Promise<void>>();
  readonly #counts = { published: 0, taken: 0, strange: 0, flooded: 0, malformed: 0 };

  private constructor(options: MemberTopicOptions) {
    const { memberGossip } = options.host.services;
    invariant(memberGossip !== undefined, "a node's host gossips among members");
    this.#options = options;
    this.#gossip = memberGossip;
  }

  static open(options: MemberTopicOptions): MemberTopic {
    const topic = new MemberTopic(options);
    topic.#gossip.topicValidators.set(options.topic, (_peer, message) => topic.#validate(message));
    topic.#gossip.subscribe(options.topic);
    return topic;
  }

  /** Resolves when what was published is on its way, as far as that can be told. */
  async stop(): Promise<void> {
    const { topic } = this.#options;
    await Promise.all(this.#publishing);
    this.#gossip.unsubscribe(topic);
    this.#gossip.topicValidators.delete(topic);
  }

  counts(): MemberTopicCounts {
    return { ...this.#counts };
  }

  publish(message: Uint8Array): void {
    const { topic, log, notPassedOn } = this.#options;
    // A signature for nobody.
    if (this.#gossip.getSubscribers(topic).length === 0) return;
    this.#counts.published++;
    const publishing = this.#gossip
      .publish(topic, message)
      .then(
        () => undefined,
        (error: unknown) => log.info({ reason: asError(error).message }, notPassedOn),
      )
      .finally(() => this.#publishing.delete(publishing));
    this.#publishing.add(publishing);
  }

  /** Sees each message once, after its signature was checked and before it is passed on. */
  #validate(message: Message): TopicValidatorResult {
    if (message.type !== "signed" || message.data.length > limits.PRESENCE_GOSSIP_MESSAGE_BYTES_MAX) {
      this.#counts.malformed++;
      return TopicValidatorResult.Reject;
    }
    const author = message.from.toString();
    if (!this.#options.members.isMember(author)) {
      this.#counts.strange++;
      return TopicValidatorResult.Ignore;
    }
    if (!this.#inPace(author)) {
      this.#counts.flooded++;
      return TopicValidatorResult.Ignore;
    }
    try {
      this.#options.heard(message.data);
    } catch (error) {
      if (!(error instanceof OpenClawError)) throw error;
      this.#counts.malformed++;
      return TopicValidatorResult.Reject;
    }
    this.#counts.taken++;
    return TopicValidatorResult.Accept;
  }

  #inPace(author: string): boolean {
    const pace = this.#paces.get(author) ?? new Pace(this.#options.clock, this.#options.perSecond);
    this.#paces.set(author, pace);
    return pace.take();
  }
}
