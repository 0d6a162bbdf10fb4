/**
 * Ranges of keys as they stand on this device, kept up to date: what the mirror holds, with this page's own writes on top
 * as soon as they are made. For whoever shows them and cannot wait for a read.
 */
import { compareBytes } from "../bytes.ts";
import { asOpenClawError, InvariantViolation, type OpenClawError } from "../errors.ts";
import { type Revision, revision } from "../ids.ts";
import type { Clock } from "../ports.ts";
import type { KeyChange, KeyEvent, KeyRow } from "./key-row.ts";
import { callListener } from "./listener.ts";
import { MirrorLevel, type Stale } from "./mirror-level.ts";
import type { ClientStore } from "./store.ts";

export type MirrorState =
  /** Not all of it is on this device yet. */
  | { readonly kind: "opening" }
  /** `rows`: in key order; a row that did not change is the same object as before. `stale`: null while it is level with the site. */
  | { readonly kind: "ready"; readonly rows: readonly KeyRow[]; readonly stale: Stale | null }
  /** CLIENT_STORAGE_FAILED */
  | { readonly kind: "failed"; readonly error: OpenClawError };

export interface KeyMirror {
  /** The same object until it changed. */
  state(): MirrorState;
  /** Calls back when `state` changed; the returned function ends it. */
  subscribe(listener: () => void): () => void;
  close(): void;
}

/** Keys with from ≤ key < to (`to` null: to the end), of the site (`origin` null) or of another cluster. */
interface Span {
  readonly from: Uint8Array;
  readonly to: Uint8Array | null;
  readonly origin: string | null;
}

export interface KeyMirrorsHost {
  readonly store: Pick<ClientStore, "mirror">;
  readonly clock: Clock;
  /** True if the mirror holds every key of that prefix and origin. */
  covers(prefix: Uint8Array, origin: string | null): boolean;
  /** @throws OpenClawError UNAVAILABLE, OVERLOADED */
  head(timeoutMs: number): Promise<Revision>;
  /** Something is to come of the site, and nothing came yet. */
  awaitsFirst(): boolean;
  /** Nothing will: the site has nothing. */
  nothingThere(): void;
}

const OPENING: MirrorState = { kind: "opening" };

export class KeyMirrors {
  readonly #host: KeyMirrorsHost;
  readonly #own: () => readonly KeyChange[];
  readonly #level: MirrorLevel;
  readonly #open = new Set<OpenMirror>();
  /** What storage has is of an epoch that is over, until the site was welcomed in the new one. */
  #isForgotten = false;

  /** @param own what this page wrote to the site's keys and the mirror does not show yet */
  constructor(host: KeyMirrorsHost, own: () => readonly KeyChange[]) {
    this.#host = host;
    this.#own = own;
    this.#level = new MirrorLevel({
      clock: host.clock,
      head: (timeoutMs) => host.head(timeoutMs),
      changed: () => {
        this.#each((mirror) => mirror.levelChanged());
        if (this.#level.isNothing) host.nothingThere();
      },
    });
  }

  open(span: Span): KeyMirror {
    const { store } = this.#host;
    const covers: KeyMirrorsHost["covers"] = (...asked) => !this.#isForgotten && this.#host.covers(...asked);
    const host = { store, covers, own: this.#own, level: this.#level };
    const mirror = new OpenMirror(span, host, () => this.#open.delete(mirror));
    this.#open.add(mirror);
    this.#level.look();
    mirror.look();
    return mirror;
  }

  /** True if one of them shows the site's key, or that it is not there. */
  show(key: Uint8Array): boolean {
    return [...this.#open].some((mirror) => mirror.shows(key));
  }

  /** Events that are stored, and the keys of own writes that the mirror shows from now on. */
  received(events: readonly KeyEvent[], shown: readonly Uint8Array[], cursor: Revision): void {
    this.#each((mirror) => mirror.received(events, shown));
    this.#level.taken(cursor);
  }

  /** An own write of that key was made, or came to the site, or was refused. */
  written(key: Uint8Array): void {
    this.#each((mirror) => mirror.received([], [key]));
  }

  welcomed(): void {
    this.#isForgotten = false;
    this.#level.welcomed();
    if (this.#open.size > 0 || this.#host.awaitsFirst()) this.#level.look();
  }

  parted(): void {
    this.#level.parted();
  }

  /** L3: the mirror is of an epoch that is over. */
  forget(): void {
    this.#isForgotten = true;
    this.#level.taken(revision(0));
    this.#each((mirror) => mirror.forget());
  }

  #each(tell: (mirror: OpenMirror) => void): void {
    for (const mirror of [...this.#open]) tell(mirror);
  }
}

interface OpenMirrorHost extends Pick<KeyMirrorsHost, "store" | "covers"> {
  readonly own: () => readonly KeyChange[];
  readonly level: MirrorLevel;
}

class OpenMirror implements KeyMirror {
  readonly #span: Span;
  readonly #host: OpenMirrorHost;
  readonly #closed: () => void;
  readonly #listeners = new Set<() => void>();
  /** What the device's storage has of it; null until that was read. */
  #stored: readonly KeyRow[] | null = null;
  /** What came while it is being read; null while it is not. */
  #early: KeyChange[] | null = null;
  #failure: OpenClawError | null = null;
  /** Null: to be put together when it is asked for. */
  #state: MirrorState | null = null;

  constructor(span: Span, host: OpenMirrorHost, closed: () => void) {
    this.#span = span;
    this.#host = host;
    this.#closed = closed;
  }

  state(): MirrorState {
    this.#state ??= this.#now();
    return this.#state;
  }

  subscribe(listener: () => void): () => void {
    const call = (): void => callListener(listener);
    this.#listeners.add(call);
    return () => this.#listeners.delete(call);
  }

  close(): void {
    this.#listeners.clear();
    this.#closed();
  }

  /** Begins, once storage has all of it. */
  look(): void {
    if (this.#stored !== null || this.#early !== null || this.#failure !== null) return;
    if (this.#host.covers(this.#span.from, this.#span.origin)) void this.#read();
    else if (this.#host.level.isNothing) this.#begin([]);
  }

  shows(key: Uint8Array): boolean {
    return this.#stored !== null && this.#span.origin === null && this.#holds(key);
  }

  received(events: readonly KeyEvent[], written: readonly Uint8Array[]): void {
    const own = events.filter((event) => event.origin === this.#span.origin && this.#holds(event.key)).map(changeOf);
    this.#early?.push(...own);
    if (this.#stored === null) return this.look();
    const isWritten = written.some((key) => this.shows(key));
    if (own.length === 0 && !isWritten) return;
    this.#stored = withChanges(this.#stored, own);
    this.#changed();
  }

  levelChanged(): void {
    if (this.#stored === null) this.look();
    else this.#changed();
  }

  forget(): void {
    this.#stored = null;
    this.#early = null;
    this.#changed();
  }

  async #read(): Promise<void> {
    const { origin, from, to } = this.#span;
    const early: KeyChange[] = [];
    this.#early = early;
    try {
      const rows = await this.#host.store.mirror(origin, from, to);
      // Forgotten meanwhile.
      if (this.#early !== early) return;
      this.#begin(withChanges(rows, early));
    } catch (error) {
      if (error instanceof InvariantViolation) throw error;
      this.#failure = asOpenClawError(error);
      this.#changed();
    }
  }

  #begin(rows: readonly KeyRow[]): void {
    this.#stored = rows;
    this.#early = null;
    this.#changed();
  }

  #now(): MirrorState {
    if (this.#failure !== null) return { kind: "failed", error: this.#failure };
    if (this.#stored === null) return OPENING;
    const own = this.#span.origin === null ? this.#host.own().filter(({ key }) => this.#holds(key)) : [];
    return { kind: "ready", rows: withChanges(this.#stored, own), stale: this.#host.level.stale };
  }

  #holds(key: Uint8Array): boolean {
    const { from, to } = this.#span;
    return compareBytes(from, key) <= 0 && (to === null || compareBytes(key, to) < 0);
  }

  #changed(): void {
    this.#state = null;
    for (const listener of [...this.#listeners]) listener();
  }
}

const changeOf = (event: KeyEvent): KeyChange => ({
  key: event.key,
  row: event.kind === "delete" ? null : { key: event.key, value: event.value, modRevision: event.revision },
});

/** Rows in key order with changes made, of which the last of a key counts. What is not touched stays the same object. */
function withChanges(rows: readonly KeyRow[], changes: readonly KeyChange[]): readonly KeyRow[] {
  if (changes.length === 0) return rows;
  // Stable: of one key the last comes last.
  const sorted = changes.toSorted((a, b) => compareBytes(a.key, b.key));
  const merged: KeyRow[] = [];
  let at = 0;
  for (const [i, { key, row }] of sorted.entries()) {
    const next = sorted[i + 1];
    if (next !== undefined && compareBytes(next.key, key) === 0) continue;
    for (let one = rows[at]; one !== undefined && compareBytes(one.key, key) <= 0; one = rows[++at])
      if (compareBytes(one.key, key) < 0) merged.push(one);
    if (row !== null) merged.push(row);
  }
  return merged.concat(rows.slice(at));
}
