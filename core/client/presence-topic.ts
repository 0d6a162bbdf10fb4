/** One topic in which this page hears of others, however many handles an app has of it. */
import type { OpenClawError } from "../errors.ts";
import type { LinkId } from "../ids.ts";
import { PRESENCE_TOPIC_ENTRIES_MAX } from "../limits.ts";
import type { Present } from "../presence/presence.ts";
import type { Topic } from "../presence/topic.ts";

export interface OpenTopicHost {
  /** What this page shows of itself; null: it leaves. */
  set(value: Uint8Array | null): void;
  /** The last handle was closed. */
  ended(): void;
}

export class OpenTopic {
  readonly topic: Topic;
  readonly #host: OpenTopicHost;
  readonly #present = new Map<LinkId, Present>();
  readonly #listeners = new Set<() => void>();
  #holders = 0;
  #list: readonly Present[] = [];
  #refusal: OpenClawError | null = null;

  constructor(topic: Topic, host: OpenTopicHost) {
    this.topic = topic;
    this.#host = host;
  }

  /** Those who are there, as they came; the same array until one changed. */
  get present(): readonly Present[] {
    return this.#list;
  }

  get refusal(): OpenClawError | null {
    return this.#refusal;
  }

  hold(): void {
    this.#holders++;
  }

  release(): void {
    this.#holders--;
    if (this.#holders === 0) this.#host.ended();
  }

  set(value: Uint8Array | null): void {
    this.refused(null);
    this.#host.set(value);
  }

  /** Call `changed` when all that came at once is taken. */
  take(present: Present): void {
    const { link, value } = present;
    if (value === null) this.#present.delete(link);
    else if (this.#present.has(link) || this.#present.size < PRESENCE_TOPIC_ENTRIES_MAX)
      this.#present.set(link, present);
  }

  changed(): void {
    this.#list = [...this.#present.values()];
    for (const listener of [...this.#listeners]) listener();
  }

  refused(why: OpenClawError | null): void {
    if (why === this.#refusal) return;
    this.#refusal = why;
    for (const listener of [...this.#listeners]) listener();
  }

  parted(): void {
    if (this.#present.size === 0) return;
    this.#present.clear();
    this.changed();
  }

  subscribe(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }
}
