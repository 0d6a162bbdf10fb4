/**
 * Who is present in which topic, as one gateway knows it. The newest of each client stands, whatever came last; what is not
 * said again in time ends, by this node's monotonic clock.
 */
import type { LinkId } from "../ids.ts";
import { PRESENCE_TOPIC_ENTRIES_MAX } from "../limits.ts";
import type { PresenceEntry } from "./presence.ts";
import { topicKey } from "./topic.ts";

/** Entries of all topics; a further one is left out. */
const ENTRIES_MAX = 4_096;

/** What became of an entry. */
export type Put =
  /** Others see something new. */
  | "shown"
  /** Nothing new to see; its time begins anew. */
  | "kept"
  /** Overtaken by a newer one. */
  | "old"
  /** The link is in use by another principal. */
  | "foreign"
  | "full";

interface Held {
  readonly entry: PresenceEntry;
  /** Monotonic: it ends then. */
  readonly until: number;
}

export class PresenceTable {
  /** Who left stays until its time is over, so that what is older and comes later does not bring it back. */
  readonly #topics = new Map<string, Map<LinkId, Held>>();
  #size = 0;

  get size(): number {
    return this.#size;
  }

  /** Those of which something is known. */
  get topics(): number {
    return this.#topics.size;
  }

  put(entry: PresenceEntry, now: number): Put {
    const key = topicKey(entry.topic);
    const held = this.#topics.get(key)?.get(entry.link) ?? null;
    if (held === null) return this.#add(key, entry, now);
    const known = held.entry;
    if (known.principal !== entry.principal) return "foreign";
    // To leave is the last thing that is said under a number.
    const leaves = entry.seq === known.seq && entry.value === null && known.value !== null;
    if (entry.seq < known.seq || (entry.seq === known.seq && known.value === null)) return "old";
    const news = entry.seq > known.seq || leaves ? entry : known;
    this.#topics.get(key)?.set(entry.link, { entry: news, until: now + entry.ttlMs });
    return news === known || (news.value === null && known.value === null) ? "kept" : "shown";
  }

  /** Null for one that is not there. */
  get(key: string, link: LinkId): PresenceEntry | null {
    return this.#topics.get(key)?.get(link)?.entry ?? null;
  }

  /** Those who are there. */
  present(key: string): readonly PresenceEntry[] {
    return [...(this.#topics.get(key)?.values() ?? [])].flatMap(({ entry }) => (entry.value === null ? [] : [entry]));
  }

  /** Forgets what ended, and tells of what others saw. */
  expire(now: number): readonly PresenceEntry[] {
    const ended: PresenceEntry[] = [];
    for (const [key, links] of this.#topics) {
      for (const [link, { entry, until }] of links) {
        if (until > now) continue;
        links.delete(link);
        this.#size--;
        if (entry.value !== null) ended.push(entry);
      }
      if (links.size === 0) this.#topics.delete(key);
    }
    return ended;
  }

  #add(key: string, entry: PresenceEntry, now: number): Put {
    const links = this.#topics.get(key) ?? new Map<LinkId, Held>();
    if (this.#size >= ENTRIES_MAX || links.size >= PRESENCE_TOPIC_ENTRIES_MAX) return "full";
    links.set(entry.link, { entry, until: now + entry.ttlMs });
    this.#topics.set(key, links);
    this.#size++;
    return entry.value === null ? "kept" : "shown";
  }
}
