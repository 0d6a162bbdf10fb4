/** Gateways that hear each other when the test lets them, and clients at them, under one clock. */
import { utf8, utf8Text } from "@openclaw/core/bytes.ts";
import { isLinkId, type LinkId } from "@openclaw/core/ids.ts";
import { PresenceGateway } from "@openclaw/core/presence/gateway.ts";
import { decodeGossip } from "@openclaw/core/presence/presence.ts";
import type { PresenceSession, PresenceTold } from "@openclaw/core/presence/session.ts";
import type { Topic } from "@openclaw/core/presence/topic.ts";
import type { Principal } from "@openclaw/core/sync/authority.ts";
import { VirtualClock } from "../../simulation/virtual-clock.ts";
import { ANYBODY } from "../sync/anybody.ts";

export const LOG: Topic = { kind: "document", collection: "log", id: "today" };
export const LOBBY: Topic = { kind: "name", name: "lobby" };
export const TTL_MS = 10_000;

export function link(number: number): LinkId {
  const text = number.toString(16).padStart(32, "0");
  if (!isLinkId(text)) throw new Error(text);
  return text;
}

export class Room {
  readonly clock = new VirtualClock();
  readonly gateways: TestGateway[] = [];
  /** Messages between gateways are lost while this is false. */
  gossips = true;

  gateway(): TestGateway {
    const gateway = new TestGateway(this);
    this.gateways.push(gateway);
    return gateway;
  }

  elapse(ms: number): void {
    const until = this.clock.now() + ms;
    while (this.clock.step(until));
  }
}

class TestGateway {
  readonly presence: PresenceGateway;
  readonly published: Uint8Array[] = [];

  constructor(room: Room) {
    this.presence = new PresenceGateway({
      clock: room.clock,
      publish: (message) => {
        this.published.push(message);
        if (!room.gossips) return;
        for (const other of room.gateways) if (other !== this) other.presence.heard(decodeGossip(message));
      },
    });
  }

  client(number: number, principal: Principal = ANYBODY): TestClient {
    return new TestClient(this, number, principal);
  }
}

class TestClient {
  readonly told: PresenceTold[] = [];
  readonly session: PresenceSession;
  /** What it was told last of everybody else in a topic, by number. */
  readonly sees = new Map<number, string>();
  reads = true;
  #seq = 0;

  constructor(gateway: TestGateway, number: number, principal: Principal) {
    this.session = gateway.presence.join({
      link: link(number),
      principal,
      send: (message) => {
        this.told.push(message);
        if (message.kind === "present") {
          for (const { link: who, value } of message.entries) {
            if (value === null) this.sees.delete(Number.parseInt(who, 16));
            else this.sees.set(Number.parseInt(who, 16), utf8Text(value) ?? "");
          }
        }
        return this.reads;
      },
    });
  }

  hear(...topics: readonly Topic[]): void {
    this.session.received({ kind: "hear", topics });
  }

  say(text: string | null, topic: Topic = LOG, seq = ++this.#seq): void {
    this.#seq = Math.max(this.#seq, seq);
    const value = text === null ? null : utf8(text);
    this.session.received({ kind: "presence", entries: [{ topic, seq, ttlMs: TTL_MS, value }] });
  }

  get refusals(): readonly string[] {
    return this.told.flatMap((message) => (message.kind === "presenceRefused" ? [message.code] : []));
  }
}
