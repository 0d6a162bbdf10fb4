/**
 * Who else is there (R11): at a document, or under a name that the app chose. What this page shows of itself, such as a name
 * and a cursor, others see while both are connected, and for some seconds after one that vanished. It is stored nowhere:
 * without a connection nobody is there, and with the next one this page says again what it last said.
 */
import { OpenClawError } from "../errors.ts";
import { PRESENCE_PACE_MS, PRESENCE_TOPICS_MAX } from "../limits.ts";
import type { Clock } from "../ports.ts";
import type { OwnPresence } from "../presence/presence.ts";
import type { PresenceSaid, PresenceTold } from "../presence/session.ts";
import { Throttle } from "../presence/throttle.ts";
import { type Topic, topicKey, topicRefusal } from "../presence/topic.ts";
import { type PresenceHandle, TypedPresence } from "./presence-handle.ts";
import { OpenTopic } from "./presence-topic.ts";
import { ANY_VALUE, type StandardSchema } from "./standard-schema.ts";

/** What is not said again for so long is over, ms. */
const TTL_MS = 10_000;
/** Two may be lost or late. */
const SAID_A_TTL = 3;

export interface PresenceHost {
  readonly clock: Clock;
  /** The connection, while there is one. */
  link(): { readonly open: boolean; say(message: PresenceSaid): boolean } | null;
}

/** What this page says in a topic. */
interface Own {
  readonly topic: Topic;
  /** Null: it leaves. */
  value: Uint8Array | null;
  seq: number;
  unsaid: boolean;
  /** A gateway knows something of it. */
  known: boolean;
}

export class Presence {
  readonly #host: PresenceHost;
  readonly #open = new Map<string, OpenTopic>();
  /** Of topics that are open, and of those that it left and could not say so yet: no more than were open at once. */
  readonly #own = new Map<string, Own>();
  readonly #say: Throttle;
  /** The site was not told yet in which topics this page hears of others. */
  #unheard = false;
  #seq = 0;
  #cancelAgain: (() => void) | null = null;

  constructor(host: PresenceHost) {
    this.#host = host;
    this.#say = new Throttle(host.clock, PRESENCE_PACE_MS, () => this.#sayAll());
  }

  /**
   * Others at a document (its handle will do), or under a name. Values are JSON, of at most 1,024 bytes; with a schema they
   * are checked, and those of others that do not pass are left out.
   * @throws OpenClawError BAD_REQUEST (no such name), OVERLOADED (more than 16 at once)
   */
  of(place: string | { readonly collection: string; readonly id: string }): PresenceHandle<unknown, unknown>;
  of<Input, Output>(
    place: string | { readonly collection: string; readonly id: string },
    options: { readonly schema: StandardSchema<Input, Output> },
  ): PresenceHandle<Input, Output>;
  of(
    place: string | { readonly collection: string; readonly id: string },
    { schema }: { readonly schema: StandardSchema } = { schema: ANY_VALUE },
  ): PresenceHandle<unknown, unknown> {
    const topic: Topic =
      typeof place === "string"
        ? { kind: "name", name: place }
        : { kind: "document", collection: place.collection, id: place.id };
    const wrong = topicRefusal(topic);
    if (wrong !== null) throw new OpenClawError("BAD_REQUEST", wrong);
    return new TypedPresence(this.#topic(topic), schema);
  }

  /** A gateway answers: everything is said again, as it knows nothing. */
  welcomed(): void {
    for (const own of this.#own.values()) this.#renew(own, own.value);
    for (const topic of this.#open.values()) topic.refused(null);
    this.#unheard = this.#open.size > 0;
    if (this.#unheard || this.#own.size > 0) this.#say.due();
    this.#againLater();
  }

  /** Nobody is seen any more. */
  parted(): void {
    this.#say.stop();
    this.#cancelAgain?.();
    this.#cancelAgain = null;
    // Who left is forgotten with the connection.
    for (const [key, { value }] of this.#own) if (value === null) this.#own.delete(key);
    for (const topic of this.#open.values()) topic.parted();
  }

  told(message: PresenceTold): void {
    switch (message.kind) {
      case "present": {
        const changed = new Set<OpenTopic>();
        for (const present of message.entries) {
          const topic = this.#open.get(topicKey(present.topic));
          if (topic === undefined) continue;
          topic.take(present);
          changed.add(topic);
        }
        for (const topic of changed) topic.changed();
        return;
      }
      case "presenceRefused":
        return this.#open.get(topicKey(message.topic))?.refused(new OpenClawError(message.code, message.details));
    }
  }

  #topic(topic: Topic): OpenTopic {
    const key = topicKey(topic);
    const open = this.#open.get(key);
    if (open !== undefined) return open;
    if (this.#open.size >= PRESENCE_TOPICS_MAX)
      throw new OpenClawError("OVERLOADED", `present in ${PRESENCE_TOPICS_MAX} topics`);
    const made = new OpenTopic(topic, {
      set: (value) => this.#set(key, topic, value),
      ended: () => {
        this.#open.delete(key);
        if (this.#own.has(key)) this.#set(key, topic, null);
        this.#hear();
      },
    });
    this.#open.set(key, made);
    this.#hear();
    return made;
  }

  #set(key: string, topic: Topic, value: Uint8Array | null): void {
    const own = this.#own.get(key) ?? { topic, value, seq: 0, unsaid: true, known: false };
    this.#own.set(key, own);
    this.#renew(own, value);
    // Who was not seen need not leave.
    if (value === null && !(own.known && this.#isOpen())) this.#own.delete(key);
    else if (this.#isOpen()) this.#say.due();
    this.#againLater();
  }

  #renew(own: Own, value: Uint8Array | null): void {
    own.value = value;
    own.seq = ++this.#seq;
    own.unsaid = true;
  }

  #hear(): void {
    this.#unheard = true;
    if (this.#isOpen()) this.#say.due();
  }

  #isOpen(): boolean {
    return this.#host.link()?.open ?? false;
  }

  #sayAll(): void {
    const link = this.#host.link();
    if (link === null || !link.open) return;
    if (this.#unheard && !link.say({ kind: "hear", topics: [...this.#open.values()].map(({ topic }) => topic) }))
      return this.#say.due();
    this.#unheard = false;
    const unsaid = [...this.#own].filter(([, own]) => own.unsaid).slice(0, PRESENCE_TOPICS_MAX);
    if (unsaid.length === 0) return;
    const entries = unsaid.map(([, { topic, seq, value }]): OwnPresence => ({ topic, seq, ttlMs: TTL_MS, value }));
    // A connection that does not take it now is asked again: meanwhile the newest is kept, and nothing queued.
    if (!link.say({ kind: "presence", entries })) return this.#say.due();
    for (const [key, own] of unsaid) {
      own.unsaid = false;
      own.known = true;
      if (own.value === null) this.#own.delete(key);
    }
    if ([...this.#own.values()].some(({ unsaid: more }) => more)) this.#say.due();
  }

  /** The same once more, before its time is over. */
  #againLater(): void {
    if (this.#cancelAgain !== null || this.#own.size === 0 || !this.#isOpen()) return;
    this.#cancelAgain = this.#host.clock.after(TTL_MS / SAID_A_TTL, () => {
      this.#cancelAgain = null;
      for (const own of this.#own.values()) own.unsaid = true;
      if (this.#own.size > 0) this.#say.due();
      this.#againLater();
    });
  }
}
