/**
 * The changes of one document that show and are not stored (D5): on no rung, and gone with the page. Each ends in one of
 * three ways: it comes with the site's stream, and is as any other; an edit is made that follows it, and it is stored and
 * sent with that; or its time is over, and the document goes back to what is stored.
 */
import * as Automerge from "@automerge/automerge/slim";
import type { ChangeHash } from "../ids.ts";
import type { DocumentChange } from "../ledger/record.ts";
import type { Clock } from "../ports.ts";
import type { Rungs } from "./rungs.ts";
import type { Quarantine } from "./sound-document.ts";
import type { Rung } from "./store.ts";

/**
 * How long one shows that is not stored, ms. Longer than a gateway waits for a majority, and its author then waits to try
 * again: who can be reached and cannot be heard by a majority is shown without a break.
 */
export const PROVISIONAL_MS = 30_000;
/** Shown at once, in one document: with an edit that follows them all, they fit one command. */
export const PROVISIONAL_SHOWN_MAX = 64;
/** What Automerge refuses costs building the document anew; after one, none shows for so long, ms. */
const DISTRUST_MS = 60_000;

type ShownRungs = Pick<Rungs, "provisional" | "received" | "rung" | "settled" | "timeLeft">;

export class Provisional {
  readonly #clock: Clock;
  readonly #rungs: ShownRungs;
  /** One of them came to nothing: all have to go. */
  readonly #over: () => void;
  /** Each after what it depends on. */
  readonly #shown = new Map<ChangeHash, DocumentChange>();
  #cancel: (() => void) | null = null;
  /** Of each who waits for one: called when the client stops. */
  readonly #waits = new Map<() => void, () => void>();
  #distrustedUntil = Number.NEGATIVE_INFINITY;
  #isStopped = false;

  constructor(clock: Clock, rungs: ShownRungs, over: () => void) {
    this.#clock = clock;
    this.#rungs = rungs;
    this.#over = over;
  }

  get size(): number {
    return this.#shown.size;
  }

  /** Of sound ones (D1), those that may be put into `doc`; one that shows already lasts longer. */
  showable(
    changes: readonly DocumentChange[],
    doc: Automerge.Doc<unknown>,
    quarantine: Quarantine,
  ): readonly DocumentChange[] {
    const now = this.#clock.now();
    const until = now + PROVISIONAL_MS;
    if (this.#isStopped || now < this.#distrustedUntil) return [];
    const found = new Map<ChangeHash, DocumentChange>();
    for (const change of changes) {
      const { hash, deps } = change;
      const isShown = this.#shown.has(hash);
      // Its site's word of it may be here, and what it brought not in the document yet.
      if (isShown && this.#rungs.rung(hash) === null) this.#rungs.provisional([hash], until);
      if (isShown || found.has(hash) || this.#shown.size + found.size >= PROVISIONAL_SHOWN_MAX) continue;
      // The first change of a document says that there is one: an app that opens it asks for that.
      if (deps.length === 0 || Automerge.hasHeads(doc, [hash])) continue;
      const lacked = deps.filter((dep) => !found.has(dep));
      if (lacked.length > 0 && !Automerge.hasHeads(doc, lacked)) continue;
      if (quarantine.admits(change)) found.set(hash, change);
    }
    return [...found.values()];
  }

  showing(changes: readonly DocumentChange[]): void {
    const until = this.#clock.now() + PROVISIONAL_MS;
    for (const change of changes) this.#shown.set(change.hash, change);
    this.#rungs.provisional(
      changes.map(({ hash }) => hash),
      until,
    );
    this.#cancel ??= this.#clock.after(PROVISIONAL_MS, () => this.#look());
  }

  /**
   * One that went with another whose time was over may still come, as may one of a document that was closed: of those, too, it
   * is waited for until their own time is over.
   * @throws OpenClawError what the change failed with; UNAVAILABLE: it showed, and was not committed in its time
   */
  settled(hash: ChangeHash, rung: Rung): Promise<void> {
    const settled = this.#rungs.settled(hash, rung);
    const look = (): void => {
      const left = this.#rungs.timeLeft(hash, this.#clock.now());
      if (left <= 0) return void this.#waits.delete(look);
      this.#waits.set(look, this.#clock.after(left, look));
    };
    look();
    return settled;
  }

  /** Of changes that are stored, those that show already, which are provisional no more; and the others. */
  stored(changes: readonly DocumentChange[]): {
    readonly shown: readonly DocumentChange[];
    readonly rest: readonly DocumentChange[];
  } {
    this.#rungs.received(changes.map(({ hash }) => hash));
    if (this.#shown.size === 0) return { shown: [], rest: changes };
    const shown = changes.filter(({ hash }) => this.#shown.delete(hash));
    const rest = changes.filter((change) => !shown.includes(change));
    this.#stopIfEmpty();
    return { shown, rest };
  }

  /** Those that these follow, each after what it depends on: they are stored with these. */
  takeUnder(changes: readonly DocumentChange[]): readonly DocumentChange[] {
    if (this.#shown.size === 0) return [];
    const under = new Set<DocumentChange>();
    const look = changes.flatMap(({ deps }) => deps);
    // What is stored follows nothing that is not.
    for (let hash = look.pop(); hash !== undefined; hash = look.pop()) {
      const change = this.#shown.get(hash);
      if (change === undefined || under.has(change)) continue;
      under.add(change);
      look.push(...change.deps);
    }
    const taken = [...this.#shown.values()].filter((change) => under.has(change));
    for (const { hash } of taken) this.#shown.delete(hash);
    this.#stopIfEmpty();
    return taken;
  }

  /** Automerge refused one. */
  distrust(): void {
    this.#distrustedUntil = this.#clock.now() + DISTRUST_MS;
  }

  /** The document is made of what is stored. */
  clear(): void {
    this.#shown.clear();
    this.#stopIfEmpty();
  }

  /** No more show, and those that do stay: nobody waits for their end. */
  stop(): void {
    this.#isStopped = true;
    for (const cancel of this.#waits.values()) cancel();
    this.#cancel?.();
    this.#cancel = null;
  }

  #look(): void {
    this.#cancel = null;
    const now = this.#clock.now();
    const left = Math.min(...[...this.#shown.keys()].map((hash) => this.#rungs.timeLeft(hash, now)));
    if (left <= 0) this.#over();
    else this.#cancel = this.#clock.after(left, () => this.#look());
  }

  #stopIfEmpty(): void {
    if (this.#shown.size > 0) return;
    this.#cancel?.();
    this.#cancel = null;
  }
}
