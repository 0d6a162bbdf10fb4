/**
 * R11. Where clients are, passed on between the gateways of one cluster: what a gateway hears of its own clients, the others
 * hear by gossip. A message is taken from a member only (StrictSign: its author signed it), at a pace, and what is wrong with
 * it is counted and harms nobody.
 */
import { type GossipSub, type Message, TopicValidatorResult } from "@chainsafe/libp2p-gossipsub";
import { invariant, OpenClawError } from "@openclaw/core/errors.ts";
import type { ClusterId } from "@openclaw/core/ids.ts";
import type { Clock } from "@openclaw/core/ports.ts";
import { type PresenceCounts, PresenceGateway } from "@openclaw/core/presence/gateway.ts";
import { decodeGossip } from "@openclaw/core/presence/presence.ts";
import { Pace } from "@openclaw/core/provisional/pace.ts";
import { asError } from "./frame.ts";
import type { Host } from "./host.ts";
import * as limits from "./limits.ts";
import type { MemberGossip } from "./member-gossip.ts";
import type { NetworkLog } from "./network-log.ts";

export const clientPresenceTopic = (cluster: ClusterId): string => `openclaw/clients/1/${cluster}`;

export interface ClientPresenceOptions {
  /** With gossip among members. */
  readonly host: Host;
  readonly members: Pick<MemberGossip, "isMember">;
  readonly cluster: ClusterId;
  readonly clock: Clock;
  readonly log: NetworkLog;
}

/** Counted since the start. */
export interface ClientPresenceCounts extends PresenceCounts {
  readonly published: number;
  readonly taken: number;
  /** Messages that were thrown away: of no member, of one that sends too many, and those that cannot be read. */
  readonly strange: number;
  readonly flooded: number;
  readonly malformed: number;
}

export class ClientPresence {
  readonly gateway: PresenceGateway;
  readonly #options: ClientPresenceOptions;
  readonly #gossip: GossipSub;
  readonly #topic: string;
  /** Of members only, and so as few as they are. */
  readonly #paces = new Map<string, Pace>();
  readonly #publishing = new Set<Promise<void>>();
  readonly #counts = { published: 0, taken: 0, strange: 0, flooded: 0, malformed: 0 };

  private constructor(options: ClientPresenceOptions) {
    const { memberGossip } = options.host.services;
    invariant(memberGossip !== undefined, "a node's host gossips among members");
    this.#options = options;
    this.#gossip = memberGossip;
    this.#topic = clientPresenceTopic(options.cluster);
    this.gateway = new PresenceGateway({ clock: options.clock, publish: (message) => this.#publish(message) });
  }

  static open(options: ClientPresenceOptions): ClientPresence {
    const presence = new ClientPresence(options);
    presence.#gossip.topicValidators.set(presence.#topic, (_peer, message) => presence.#validate(message));
    presence.#gossip.subscribe(presence.#topic);
    return presence;
  }

  /** Tells that the clients of this gateway left, as far as that can be told. */
  async stop(): Promise<void> {
    this.gateway.stop();
    await Promise.all(this.#publishing);
    this.#gossip.unsubscribe(this.#topic);
    this.#gossip.topicValidators.delete(this.#topic);
  }

  counts(): ClientPresenceCounts {
    return { ...this.gateway.counts(), ...this.#counts };
  }

  #publish(message: Uint8Array): void {
    const { log } = this.#options;
    // A signature for nobody.
    if (this.#gossip.getSubscribers(this.#topic).length === 0) return;
    this.#counts.published++;
    const publishing = this.#gossip
      .publish(this.#topic, message)
      .then(
        () => undefined,
        // Clients say it again in some seconds.
        (error: unknown) => log.info({ reason: asError(error).message }, "presence of clients was not passed on"),
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
      this.gateway.heard(decodeGossip(message.data));
    } catch (error) {
      if (!(error instanceof OpenClawError)) throw error;
      this.#counts.malformed++;
      return TopicValidatorResult.Reject;
    }
    this.#counts.taken++;
    return TopicValidatorResult.Accept;
  }

  #inPace(author: string): boolean {
    const pace = this.#paces.get(author) ?? new Pace(this.#options.clock, limits.PRESENCE_MESSAGES_PER_SECOND_MAX);
    this.#paces.set(author, pace);
    return pace.take();
  }
}
