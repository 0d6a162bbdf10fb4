/**
 * etcd's guarantees of one watch on some keys (pitfall 23), over all its connections: ordered and unique, reliable, atomic
 * (all its events of a revision at once), resumable, filtered as asked, and bookmarkable (what is told as the progress was
 * told before). What happened at each revision the serial model knows.
 */
import { isDeepStrictEqual } from "node:util";
import type { Event } from "../../model/etcd.ts";
import type { SerialModel } from "./serial-model.ts";

export interface Watched {
  readonly name: string;
  selects(event: Event): boolean;
}

export class KeyWatch {
  readonly #watched: Watched;
  readonly #model: SerialModel;
  readonly #violation: (text: string) => void;
  /** Everything up to here was told; a watch is taken up again behind it. */
  #told: number;

  /** @param from the first revision that it asks for */
  constructor(watched: Watched, from: number, model: SerialModel, violation: (text: string) => void) {
    this.#watched = watched;
    this.#told = from - 1;
    this.#model = model;
    this.#violation = violation;
  }

  get told(): number {
    return this.#told;
  }

  /** Its events of one revision, in one message. */
  events(revision: number, events: readonly Event[]): void {
    const { name } = this.#watched;
    if (revision <= this.#told)
      return this.#violation(`${name} knew everything up to ${this.#told} and was told of ${revision}`);
    this.progress(revision - 1);
    const expected = this.#expected(revision);
    if (!isDeepStrictEqual(events, expected))
      this.#violation(`${name} was told ${shown(events)} at ${revision}, where there was ${shown(expected)}`);
    this.#told = revision;
  }

  /** There was nothing else up to here. */
  progress(revision: number): void {
    for (let at = this.#told + 1; at <= revision; at++) {
      const missing = this.#expected(at);
      if (missing.length > 0)
        this.#violation(`${this.#watched.name} was told of ${revision}, and not of ${at}: ${shown(missing)}`);
    }
    this.#told = Math.max(this.#told, revision);
  }

  #expected(revision: number): readonly Event[] {
    const events = this.#model.eventsAt(revision);
    if (events === null) this.#violation(`${this.#watched.name} was told of ${revision}, which is not there yet`);
    return (events ?? []).filter((event) => this.#watched.selects(event));
  }
}

const shown = (events: readonly Event[]): string => JSON.stringify(events);
