/**
 * Presence at one gateway (R11): joins what its own clients say with what other gateways pass on, tells its clients what
 * changed in the topics that they asked for, and the other gateways what its clients say. Nothing of it is stored, and a
 * gateway that begins anew hears all of it within a heartbeat of the clients.
 */
import { OpenClawError } from "../errors.ts";
import { PRESENCE_GOSSIP_BYTES_MAX, PRESENCE_PACE_MS } from "../limits.ts";
import type { Clock } from "../ports.ts";
import { encodeEntry, encodeGossip, GOSSIP_ENTRIES_MAX, type OwnPresence, type PresenceEntry } from "./presence.ts";
import { PresenceSession, type SessionHost, type SessionOptions } from "./session.ts";
import { PresenceTable } from "./table.ts";
import { Throttle } from "./throttle.ts";
import { topicKey } from "./topic.ts";

/** How often it is looked for those whose time is over, ms. */
const SWEEP_MS = 500;

export interface PresenceGatewayOptions {
  readonly clock: Clock;
  /** Passes a message on to the other gateways, or loses it. Called at most twenty times a second, but at the end. */
  publish(message: Uint8Array): void;
}

/** Counted since the start, but for `entries` and `topics`. */
export interface PresenceCounts {
  /** Who is known of now, those included who just left. */
  readonly entries: number;
  /** Where they are. */
  readonly topics: number;
  /** Replaced by something newer before it was passed on: limits of pace. */
  readonly superseded: number;
  /** What came from elsewhere too late to be news. */
  readonly old: number;
  /** Left out because a topic, or the table, is full. */
  readonly full: number;
  /** What a client was told that it may not. */
  readonly refused: number;
}

export class PresenceGateway {
  readonly #options: PresenceGatewayOptions;
  readonly #table = new PresenceTable();
  readonly #sessions = new Set<PresenceSession>();
  /** What the other gateways are to hear; one a topic and client. */
  readonly #outbox = new Map<string, Uint8Array>();
  readonly #publish: Throttle;
  readonly #host: SessionHost;
  #cancelSweep: (() => void) | null = null;
  readonly #counts = { superseded: 0, old: 0, full: 0, refused: 0 };

  constructor(options: PresenceGatewayOptions) {
    this.#options = options;
    this.#publish = new Throttle(options.clock, PRESENCE_PACE_MS, () => this.#publishSome());
    this.#host = {
      clock: options.clock,
      say: (session, own) => this.#say(session, own),
      present: (topic) => this.#table.present(topicKey(topic)),
      find: (key, link) => this.#table.get(key, link),
      superseded: () => this.#counts.superseded++,
      refused: () => this.#counts.refused++,
      closed: (session) => this.#left(session),
    };
  }

  /** A client is connected here; whoever calls closes the session with the connection. */
  join(options: SessionOptions): PresenceSession {
    const session = new PresenceSession(options, this.#host);
    this.#sessions.add(session);
    return session;
  }

  /** What another gateway passed on. */
  heard(entries: readonly PresenceEntry[]): void {
    for (const entry of entries) if (this.#put(entry) === "shown") this.#changed(entry);
    this.#tell();
  }

  counts(): PresenceCounts {
    return { entries: this.#table.size, topics: this.#table.topics, ...this.#counts };
  }

  /** All who are connected here leave, and the others are told at once. */
  stop(): void {
    for (const session of [...this.#sessions]) session.close();
    while (this.#outbox.size > 0) this.#publishSome();
    this.#publish.stop();
    this.#cancelSweep?.();
    this.#cancelSweep = null;
  }

  #say(session: PresenceSession, own: OwnPresence): OpenClawError | null {
    const { link, principal } = session;
    const entry: PresenceEntry = { ...own, link, principal };
    const put = this.#put(entry);
    switch (put) {
      case "shown":
        this.#changed(entry);
        this.#tell();
        this.#pass(entry);
        return null;
      case "kept":
        this.#pass(entry);
        return null;
      case "old":
        return null;
      case "foreign":
        return new OpenClawError("FORBIDDEN", "somebody else is present under this link");
      case "full":
        return new OpenClawError("OVERLOADED", "too many are present already");
    }
  }

  #put(entry: PresenceEntry): ReturnType<PresenceTable["put"]> {
    const put = this.#table.put(entry, this.#options.clock.now());
    if (put === "old" || put === "foreign") this.#counts.old++;
    if (put === "full") this.#counts.full++;
    this.#sweepLater();
    return put;
  }

  /** Ends what a client said that is gone; what it says by another gateway meanwhile has a higher number, and stays. */
  #left(session: PresenceSession): void {
    if (!this.#sessions.delete(session)) return;
    for (const { topic, seq } of session.own()) {
      const known = this.#table.get(topicKey(topic), session.link);
      if (known !== null) this.#say(session, { topic, seq, ttlMs: known.ttlMs, value: null });
    }
  }

  #changed(entry: PresenceEntry): void {
    const key = topicKey(entry.topic);
    for (const session of this.#sessions) if (session.hears(key)) session.changed(entry);
  }

  #tell(): void {
    for (const session of this.#sessions) session.flush();
  }

  #pass(entry: PresenceEntry): void {
    const name = `${topicKey(entry.topic)} ${entry.link}`;
    if (this.#outbox.has(name)) this.#counts.superseded++;
    // In the place of what waits: who says much does not make others wait.
    this.#outbox.set(name, encodeEntry(entry));
    this.#publish.due();
  }

  #publishSome(): void {
    const batch: Uint8Array[] = [];
    let bytes = 0;
    for (const [name, entry] of this.#outbox) {
      bytes += entry.length;
      if (batch.length === GOSSIP_ENTRIES_MAX || (bytes > PRESENCE_GOSSIP_BYTES_MAX && batch.length > 0)) break;
      this.#outbox.delete(name);
      batch.push(entry);
    }
    if (batch.length > 0) this.#options.publish(encodeGossip(batch));
    if (this.#outbox.size > 0) this.#publish.due();
  }

  #sweepLater(): void {
    if (this.#cancelSweep !== null || this.#table.size === 0) return;
    this.#cancelSweep = this.#options.clock.after(SWEEP_MS, () => {
      this.#cancelSweep = null;
      for (const ended of this.#table.expire(this.#options.clock.now())) this.#changed(ended);
      this.#tell();
      this.#sweepLater();
    });
  }
}
