/**
 * One client's part in presence, at its gateway: what it says of itself, at the pace that is allowed, and what it is told
 * of others in the topics that it asked for. Of both, the newest wins: what waits is replaced, never queued.
 */
import { OpenClawError } from "../errors.ts";
import type { LinkId } from "../ids.ts";
import { PRESENCE_PACE_MS, PRESENCE_TOPICS_MAX } from "../limits.ts";
import type { Clock } from "../ports.ts";
import type { Principal } from "../sync/authority.ts";
import type { ChildMessage, ParentMessage } from "../sync/message.ts";
import { type OwnPresence, PRESENT_ENTRIES_MAX, type Present } from "./presence.ts";
import { Throttle } from "./throttle.ts";
import { mayMeet, type Topic, topicKey } from "./topic.ts";

/** Frames of presence a second from one client: five times what ours sends. One that sends more is closed, OVERLOADED. */
const FRAMES_PER_SECOND_MAX = 100;

export type PresenceSaid = Extract<ChildMessage, { kind: "presence" | "hear" }>;
export type PresenceTold = Extract<ParentMessage, { kind: "present" | "presenceRefused" }>;

export interface SessionOptions {
  readonly link: LinkId;
  readonly principal: Principal;
  /** False while the client does not read: `drained` is called when it does again. */
  send(message: PresenceTold): boolean;
}

export interface SessionHost {
  readonly clock: Clock;
  /** Why it is not taken, or null. */
  say(session: PresenceSession, own: OwnPresence): OpenClawError | null;
  /** All who are there. */
  present(topic: Topic): readonly Present[];
  /** What others see of a link now. */
  find(key: string, link: LinkId): Present | null;
  /** A value was replaced before anybody saw it. */
  superseded(): void;
  refused(): void;
  closed(session: PresenceSession): void;
}

interface Unseen {
  readonly topic: Topic;
  readonly link: LinkId;
  readonly principal: string;
}

export class PresenceSession {
  readonly #options: SessionOptions;
  readonly #host: SessionHost;
  /** Topics in which it says something, with the number of the last word. */
  readonly #own = new Map<string, { readonly topic: Topic; readonly seq: number }>();
  #heard = new Map<string, Topic>();
  /** Not yet handed on; one a topic. */
  readonly #saying = new Map<string, OwnPresence>();
  /** Changed since it was told of it: at most all of every topic that it hears. */
  readonly #unseen = new Map<string, Unseen>();
  readonly #say: Throttle;
  readonly #tell: Throttle;
  #writable = true;
  #frames = 0;
  #second = Number.NEGATIVE_INFINITY;

  constructor(options: SessionOptions, host: SessionHost) {
    this.#options = options;
    this.#host = host;
    this.#say = new Throttle(host.clock, PRESENCE_PACE_MS, () => this.#sayAll());
    this.#tell = new Throttle(host.clock, PRESENCE_PACE_MS, () => this.#tellSome());
  }

  get link(): LinkId {
    return this.#options.link;
  }

  get principal(): string {
    return this.#options.principal.name;
  }

  /** Every topic in which it says something. */
  own(): readonly { readonly topic: Topic; readonly seq: number }[] {
    return [...this.#own.values()];
  }

  hears(key: string): boolean {
    return this.#heard.has(key);
  }

  /** @throws OpenClawError OVERLOADED: it says more than anybody may */
  received(message: PresenceSaid): void {
    this.#count();
    switch (message.kind) {
      case "presence":
        for (const own of message.entries) this.#take(own);
        return;
      case "hear":
        return this.#hear(message.topics);
    }
  }

  /** Somebody in a topic that it hears changed, or it does itself. */
  changed({ topic, link, principal }: Unseen): void {
    if (link === this.#options.link) return;
    const key = topicKey(topic);
    const name = `${key} ${link}`;
    if (this.#unseen.has(name)) this.#host.superseded();
    this.#unseen.set(name, { topic, link, principal });
  }

  /** Tells what changed. */
  flush(): void {
    if (this.#unseen.size > 0 && this.#writable) this.#tell.due();
  }

  /** The client reads again. */
  drained(): void {
    this.#writable = true;
    this.flush();
  }

  close(): void {
    this.#say.stop();
    this.#tell.stop();
    this.#saying.clear();
    this.#unseen.clear();
    this.#heard.clear();
    this.#host.closed(this);
  }

  #count(): void {
    const now = this.#host.clock.now();
    if (now - this.#second >= 1_000) {
      this.#second = now;
      this.#frames = 0;
    }
    if (++this.#frames > FRAMES_PER_SECOND_MAX)
      throw new OpenClawError("OVERLOADED", `more than ${FRAMES_PER_SECOND_MAX} frames of presence a second`);
  }

  #take(own: OwnPresence): void {
    const { topic } = own;
    const key = topicKey(topic);
    if (own.value === null && !this.#own.has(key)) return;
    if (!mayMeet(topic, this.#options.principal)) return this.#refuse(topic, new OpenClawError("FORBIDDEN", key));
    if (!this.#own.has(key) && this.#own.size >= PRESENCE_TOPICS_MAX)
      return this.#refuse(topic, new OpenClawError("OVERLOADED", `${PRESENCE_TOPICS_MAX} topics of one client`));
    const before = this.#own.get(key)?.seq ?? -1;
    // Its own frames are in order: what is lower is no news.
    if (own.seq < before) return;
    this.#own.set(key, { topic, seq: own.seq });
    if (this.#saying.has(key)) this.#host.superseded();
    this.#saying.set(key, own);
    this.#say.due();
  }

  #sayAll(): void {
    for (const [key, own] of this.#saying) {
      const refusal = this.#host.say(this, own);
      if (refusal !== null) this.#refuse(own.topic, refusal);
      if (refusal !== null || own.value === null) this.#own.delete(key);
    }
    this.#saying.clear();
  }

  #hear(topics: readonly Topic[]): void {
    const before = this.#heard;
    this.#heard = new Map();
    for (const topic of topics) {
      const key = topicKey(topic);
      if (!mayMeet(topic, this.#options.principal)) {
        this.#refuse(topic, new OpenClawError("FORBIDDEN", key));
        continue;
      }
      this.#heard.set(key, topic);
      if (!before.has(key)) for (const present of this.#host.present(topic)) this.changed(present);
    }
    this.flush();
  }

  #tellSome(): void {
    const entries: Present[] = [];
    for (const [name, unseen] of this.#unseen) {
      if (entries.length === PRESENT_ENTRIES_MAX) break;
      this.#unseen.delete(name);
      const key = topicKey(unseen.topic);
      if (!this.#heard.has(key)) continue;
      entries.push(this.#host.find(key, unseen.link) ?? { ...unseen, value: null });
    }
    if (entries.length > 0) this.#writable = this.#options.send({ kind: "present", entries });
    this.flush();
  }

  #refuse(topic: Topic, { code, details }: OpenClawError): void {
    this.#host.refused();
    this.#writable = this.#options.send({ kind: "presenceRefused", topic, code, details });
  }
}
