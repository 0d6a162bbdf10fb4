/**
 * D5, R11. Provisional changes, passed on between the gateways of one cluster, over the gossip of its members: losing it costs
 * the time until they are committed. A message is taken from a member only (StrictSign: its author signed it), at a pace, and
 * what is wrong with it is counted and harms nobody.
 */
import { type GossipSub, type Message, TopicValidatorResult } from "@chainsafe/libp2p-gossipsub";
import { invariant, OpenClawError } from "@openclaw/core/errors.ts";
import type { ClusterId } from "@openclaw/core/ids.ts";
import type { Clock } from "@openclaw/core/ports.ts";
import { type ProvisionalCounts, ProvisionalGateway } from "@openclaw/core/provisional/gateway.ts";
import { decodeProvisional } from "@openclaw/core/provisional/message.ts";
import { Pace } from "@openclaw/core/provisional/pace.ts";
import { asError } from "./frame.ts";
import type { Host } from "./host.ts";
import * as limits from "./limits.ts";
import type { MemberGossip } from "./member-gossip.ts";
import type { NetworkLog } from "./network-log.ts";

export const provisionalTopic = (cluster: ClusterId): string => `openclaw/provisional/1/${cluster}`;

export interface ProvisionalGossipOptions {
  /** With gossip among members. */
  readonly host: Host;
  readonly members: Pick<MemberGossip, "isMember">;
  readonly cluster: ClusterId;
  readonly clock: Clock;
  readonly log: NetworkLog;
}

/** Counted since the start. */
export interface ProvisionalGossipCounts extends ProvisionalCounts {
  readonly published: number;
  /** Messages that were thrown away: of no member, of one that sends too many, and those that cannot be read. */
  readonly strange: number;
  readonly flooded: number;
  readonly malformed: number;
}

export class ProvisionalGossip {
  readonly gateway: ProvisionalGateway;
  readonly #options: ProvisionalGossipOptions;
  readonly #gossip: GossipSub;
  readonly #topic: string;
  /** Of members only, and so as few as they are. */
  readonly #paces = new Map<string, Pace>();
  readonly #counts = { published: 0, strange: 0, flooded: 0, malformed: 0 };

  private constructor(options: ProvisionalGossipOptions) {
    const { memberGossip } = options.host.services;
    invariant(memberGossip !== undefined, "a node's host gossips among members");
    this.#options = options;
    this.#gossip = memberGossip;
    this.#topic = provisionalTopic(options.cluster);
    this.gateway = new ProvisionalGateway({ clock: options.clock, publish: (message) => this.#publish(message) });
  }

  static open(options: ProvisionalGossipOptions): ProvisionalGossip {
    const provisional = new ProvisionalGossip(options);
    provisional.#gossip.topicValidators.set(provisional.#topic, (_peer, message) => provisional.#validate(message));
    provisional.#gossip.subscribe(provisional.#topic);
    return provisional;
  }

  stop(): void {
    this.#gossip.unsubscribe(this.#topic);
    this.#gossip.topicValidators.delete(this.#topic);
  }

  counts(): ProvisionalGossipCounts {
    return { ...this.gateway.counts(), ...this.#counts };
  }

  #publish(message: Uint8Array): void {
    const { log } = this.#options;
    // A signature for nobody.
    if (this.#gossip.getSubscribers(this.#topic).length === 0) return;
    this.#counts.published++;
    this.#gossip
      .publish(this.#topic, message)
      .catch((error: unknown) =>
        log.info({ reason: asError(error).message }, "provisional changes were not passed on"),
      );
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
    const pace = this.#paces.get(author) ?? new Pace(this.#options.clock, limits.PROVISIONAL_MESSAGES_PER_SECOND_MAX);
    this.#paces.set(author, pace);
    if (!pace.take()) {
      this.#counts.flooded++;
      return TopicValidatorResult.Ignore;
    }
    try {
      this.gateway.heard(decodeProvisional(message.data));
    } catch (error) {
      if (!(error instanceof OpenClawError)) throw error;
      this.#counts.malformed++;
      return TopicValidatorResult.Reject;
    }
    return TopicValidatorResult.Accept;
  }
}
