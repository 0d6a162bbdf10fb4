/**
 * D5, R11. Provisional changes, passed on between the gateways of one cluster, over the gossip of its members: losing it costs
 * the time until they are committed.
 */
import type { ClusterId } from "@openclaw/core/ids.ts";
import { type ProvisionalCounts, ProvisionalGateway } from "@openclaw/core/provisional/gateway.ts";
import { decodeProvisional } from "@openclaw/core/provisional/message.ts";
import * as limits from "./limits.ts";
import { MemberTopic, type MemberTopicCounts, type MemberTopicOptions } from "./member-gossip.ts";

export const provisionalTopic = (cluster: ClusterId): string => `openclaw/provisional/1/${cluster}`;

export interface ProvisionalGossipOptions extends Pick<MemberTopicOptions, "host" | "members" | "clock" | "log"> {
  readonly cluster: ClusterId;
}

/** Counted since the start; what was taken, the gateway counts as heard. */
export interface ProvisionalGossipCounts extends ProvisionalCounts, Omit<MemberTopicCounts, "taken"> {}

export class ProvisionalGossip {
  readonly gateway: ProvisionalGateway;
  readonly #topic: MemberTopic;

  private constructor(options: ProvisionalGossipOptions) {
    this.gateway = new ProvisionalGateway({
      clock: options.clock,
      publish: (message) => this.#topic.publish(message),
    });
    this.#topic = MemberTopic.open({
      ...options,
      topic: provisionalTopic(options.cluster),
      perSecond: limits.PROVISIONAL_MESSAGES_PER_SECOND_MAX,
      notPassedOn: "provisional changes were not passed on",
      heard: (message) => this.gateway.heard(decodeProvisional(message)),
    });
  }

  static open(options: ProvisionalGossipOptions): ProvisionalGossip {
    return new ProvisionalGossip(options);
  }

  stop(): Promise<void> {
    return this.#topic.stop();
  }

  counts(): ProvisionalGossipCounts {
    const { taken: _taken, ...messages } = this.#topic.counts();
    return { ...this.gateway.counts(), ...messages };
  }
}
