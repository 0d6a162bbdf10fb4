/**
 * R11. Where clients are, passed on between the gateways of one cluster: what a gateway hears of its own clients, the others
 * hear by gossip among the members.
 */
import type { ClusterId } from "@openclaw/core/ids.ts";
import { type PresenceCounts, PresenceGateway } from "@openclaw/core/presence/gateway.ts";
import { decodeGossip } from "@openclaw/core/presence/presence.ts";
import * as limits from "./limits.ts";
import { MemberTopic, type MemberTopicCounts, type MemberTopicOptions } from "./member-gossip.ts";

export const clientPresenceTopic = (cluster: ClusterId): string => `openclaw/clients/1/${cluster}`;

export interface ClientPresenceOptions extends Pick<MemberTopicOptions, "host" | "members" | "clock" | "log"> {
  readonly cluster: ClusterId;
}

/** Counted since the start. */
export interface ClientPresenceCounts extends PresenceCounts, MemberTopicCounts {}

export class ClientPresence {
  readonly gateway: PresenceGateway;
  readonly #topic: MemberTopic;

  private constructor(options: ClientPresenceOptions) {
    this.gateway = new PresenceGateway({
      clock: options.clock,
      publish: (message) => this.#topic.publish(message),
    });
    this.#topic = MemberTopic.open({
      ...options,
      topic: clientPresenceTopic(options.cluster),
      perSecond: limits.PRESENCE_MESSAGES_PER_SECOND_MAX,
      // Clients say it again in some seconds.
      notPassedOn: "presence of clients was not passed on",
      heard: (message) => this.gateway.heard(decodeGossip(message)),
    });
  }

  static open(options: ClientPresenceOptions): ClientPresence {
    return new ClientPresence(options);
  }

  /** Tells that the clients of this gateway left, as far as that can be told. */
  async stop(): Promise<void> {
    this.gateway.stop();
    await this.#topic.stop();
  }

  counts(): ClientPresenceCounts {
    return { ...this.gateway.counts(), ...this.#topic.counts() };
  }
}
