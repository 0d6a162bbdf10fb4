/**
 * One Automerge document in memory. Local changes go to the outbox, received ones are put in many at a time (one by one
 * costs six times as much).
 */
import * as Automerge from "@automerge/automerge/slim";
import { OpenClawError } from "../errors.ts";
import type { ChangeHash, LinkId } from "../ids.ts";
import type { DocumentChange } from "../ledger/record.ts";
import { CHANGE_BYTES_MAX } from "../limits.ts";
import type { Clock, Digest } from "../ports.ts";
import { causalOrder } from "./causal-order.ts";
import { headsOf, isFirst } from "./changes.ts";
import type { DocumentHandle, EditOptions, EditState } from "./document-handle.ts";
import { type Edit, LocalEdit } from "./edit.ts";
import type { Forks } from "./forks.ts";
import { frozen } from "./frozen.ts";
import { genesis } from "./genesis.ts";
import { historyOf, requireHeads } from "./history.ts";
import type { Draft } from "./journal.ts";
import { callListener } from "./listener.ts";
import { Provisional } from "./provisional.ts";
import type { Quarantines } from "./quarantines.ts";
import type { Rungs } from "./rungs.ts";
import { type Showing, type Slices, Unshown } from "./slices.ts";
import { Quarantine, soundDocument } from "./sound-document.ts";
import type { ClientStore, QuarantinedRow } from "./store.ts";
import { type Content, type Replay, WorkingCopy } from "./working-copy.ts";

/** Own edits that `edits()` tells of: the newest. */
const EDITS_MAX = 1_000;

/** What an open document needs of its client. */
export interface DocumentHost {
  readonly store: ClientStore;
  readonly rungs: Rungs;
  readonly clock: Clock;
  /** Snapshots are frozen, so that who writes to one hears of it. It costs a walk over what changed. */
  readonly freeze: boolean;
  readonly digest: Digest;
  /** For documents that are built from here on. */
  actor(): LinkId;
  readonly slices: Slices;
  readonly forks: Forks;
  /** Null where its code is not loaded yet. */
  readonly replay: () => Replay | null;
  readonly quarantines: Quarantines;
  /** Automerge refused these, which are stored: that is written down. */
  quarantine(rows: readonly QuarantinedRow[]): void;
  /** @throws OpenClawError OVERLOADED, STOPPED */
  assertRoom(): void;
  /** Stores changes and queues them for the parent. */
  enqueue(draft: Draft): void;
  /** Resolves when everything given to `enqueue` so far is stored, or is known not to be. */
  stored(): Promise<void>;
  /** What the parent has of a document that is not on this device; empty when it cannot be asked. */
  fetch(collection: string, document: string): Promise<readonly DocumentChange[]>;
}

export class OpenDocument implements Showing {
  readonly #collection: string;
  readonly #id: string;
  readonly #host: DocumentHost;
  readonly #ended: () => void;
  readonly #working: WorkingCopy;
  /** Received, and so stored already. What is made here does not wait for it: it follows what is shown. */
  readonly unshown: Unshown;
  /** Shown, and not stored (D5). */
  readonly provisional: Provisional;
  #quarantine = new Quarantine([]);
  /** False while it is made of what is stored. */
  #isBuilt = false;
  readonly #listeners = new Set<() => void>();
  #holders = 0;
  /** While it goes back to what is stored; for good where that cannot be read. */
  #reloading: Promise<void> | null = null;
  /** What is stored has to be read once more. */
  #isStale = false;
  #pauses = 0;
  #loaded: Promise<void> = Promise.resolve();
  /** Made on this device, oldest first. */
  #own = new Set<ChangeHash>();
  #edits: readonly EditState[] | null = null;

  constructor(collection: string, id: string, host: DocumentHost, ended: () => void) {
    this.#collection = collection;
    this.#id = id;
    this.#host = host;
    this.#ended = ended;
    this.unshown = new Unshown(host.slices);
    this.provisional = new Provisional(host.clock, host.rungs, () => void this.reload());
    this.#working = new WorkingCopy(this.#empty(), host.forks, host.replay);
  }

  load(): Promise<void> {
    this.#loaded = this.#load();
    return this.#loaded;
  }

  async #load(): Promise<void> {
    const { store, rungs } = this.#host;
    // An earlier handle's last edits may still be on their way; read without them, their numbers would be used again.
    await this.#host.stored();
    let changes = await store.document(this.#collection, this.#id);
    if (!changes.some(isFirst)) changes = [...(await this.#host.fetch(this.#collection, this.#id)), ...changes];
    const own = changes.filter(({ hash }) => rungs.isOwn(hash)).map(({ hash }) => hash);
    this.#own = new Set([...own.slice(-EDITS_MAX), ...this.#own]);
    await this.#build(changes);
  }

  /** Open for one more, from before its handle is ready. */
  hold(): void {
    this.#holders++;
  }

  release(): void {
    this.#holders--;
    if (this.#holders > 0) return;
    this.unshown.takeAll();
    this.provisional.clear();
    this.#ended();
  }

  /** Writes the initial content unless the document has some, or gets some meanwhile. */
  async begin(initial: Content): Promise<void> {
    const isEmpty = (): boolean => Automerge.getHeads(this.#working.doc).length === 0;
    const changes = isEmpty() ? await genesis(this.#host.digest, this.#collection, this.#id, initial) : [];
    if (changes.length === 0 || !isEmpty()) return;
    this.#host.assertRoom();
    assertTravels(changes);
    this.#enqueue(changes);
    this.#working.take(changes);
    this.#changed();
  }

  /** Takes up what is stored and does not show, and lets go of what is discarded. @throws OpenClawError CLIENT_STORAGE_FAILED */
  async reread(): Promise<void> {
    const { store, rungs } = this.#host;
    const waiting = [...this.#own].filter((hash) => rungs.rung(hash) === "device");
    const changes = await store.document(this.#collection, this.#id);
    this.receive(changes);
    const stored = new Set(changes.map(({ hash }) => hash));
    const gone = waiting.filter((hash) => !stored.has(hash));
    if (gone.length === 0) return;
    rungs.discarded(gone, new OpenClawError("DISCARDED"));
    await this.reload();
  }

  receive(changes: readonly DocumentChange[]): void {
    const news = changes.filter(({ hash }) => !this.#own.has(hash));
    // Another session of this device has made some.
    this.#made(news.map(({ hash }) => hash).filter((hash) => this.#host.rungs.isOwn(hash)));
    // What was made here comes back: it is in the document, which stays the same object.
    if (news.length === 0) return;
    const { shown, rest } = this.provisional.stored(news);
    if (rest.length > 0) {
      this.unshown.add(rest);
      this.#host.slices.want(this);
    }
    if (shown.length > 0) this.#changed();
  }

  /** D5. Others' changes that are not committed. What cannot be shown at once shows when it is stored. */
  foresee(changes: readonly DocumentChange[]): void {
    if (this.#holders <= 0 || !this.#isBuilt || this.#reloading !== null || this.unshown.size > 0) return;
    const news = this.provisional.showable(changes, this.#working.doc, this.#quarantine);
    if (news.length === 0) return;
    try {
      this.#working.take(news);
    } catch {
      this.provisional.distrust();
      void this.reload();
      return;
    }
    this.provisional.showing(news);
    this.#changed();
  }

  /** Received, and kept out. */
  quarantined(rows: readonly QuarantinedRow[]): void {
    this.#quarantine.keepOut(rows);
    this.#changed();
  }

  show(limit: number): number {
    if (!this.#isBuilt) return 0;
    const taken = this.unshown.take(limit);
    if (taken.some(({ hash }) => this.#quarantine.lacksBytes(hash))) {
      // These are the right ones. What follows was left out with it, and is stored.
      void this.reload();
      return taken.length;
    }
    const news = this.#quarantine.admitted(taken);
    try {
      this.#working.take(news);
    } catch {
      // Automerge may have taken half of it in: what would be made on top of that, nobody else could apply.
      void this.reload();
      return taken.length;
    }
    this.#changed();
    return taken.length;
  }

  rungsMoved(): void {
    if (this.#own.size > 0) this.#changed();
  }

  /** No edit is taken while there is one more that wants so than there are that do not any more. */
  pause(count: 1 | -1): void {
    this.#pauses += count;
  }

  /** For one that holds it. */
  handle<T extends object>(): DocumentHandle<T> {
    const own = new Set<() => void>();
    let closed = false;
    const assertOpen = (): void => {
      if (closed) throw new OpenClawError("STOPPED", "the document's handle is closed");
    };
    const change = (edit: (doc: T) => void, editOptions: EditOptions = {}): Edit => {
      assertOpen();
      return this.#change(editOptions, (doc, options) =>
        Automerge.change(doc, options, (draft) => edit(draft as unknown as T)),
      );
    };
    return {
      collection: this.#collection,
      id: this.#id,
      // The app says what its documents hold; nothing here looks into them.
      doc: () => this.#snapshot(this.#working.doc) as unknown as Automerge.Doc<T>,
      heads: () => headsOf(this.#working.doc),
      unshown: () => this.unshown.size,
      provisional: () => this.provisional.size,
      quarantined: () => this.#quarantine.changes,
      change,
      changeAt: (heads, edit, editOptions = {}) => {
        assertOpen();
        requireHeads(this.#working.doc, heads);
        // At the present heads it is a change like any other, without the cost of going back.
        if (sameHeads(heads, headsOf(this.#working.doc))) return change(edit, editOptions);
        return this.#change(
          editOptions,
          (doc, options) => Automerge.changeAt(doc, [...heads], options, (draft) => edit(draft as unknown as T)).newDoc,
        );
      },
      history: () => historyOf(this.#working.doc, (hash) => this.#host.rungs.rung(hash)),
      at: (heads) => {
        requireHeads(this.#working.doc, heads);
        return this.#snapshot(Automerge.view(this.#working.doc, [...heads])) as unknown as Automerge.Doc<T>;
      },
      subscribe: (listener) => {
        const call = (): void => callListener(listener);
        own.add(call);
        this.#listeners.add(call);
        return () => {
          own.delete(call);
          this.#listeners.delete(call);
        };
      },
      edits: () => this.#editStates(),
      rung: (hash) => this.#host.rungs.rung(hash),
      settled: (hash, rung) => this.provisional.settled(hash, rung),
      close: () => {
        if (closed) return;
        closed = true;
        for (const call of own) this.#listeners.delete(call);
        this.release();
      },
    };
  }

  #change(
    { message }: EditOptions,
    make: (doc: Automerge.Doc<Content>, options: Automerge.ChangeOptions<Content>) => Automerge.Doc<Content>,
  ): Edit {
    if (this.#reloading !== null) throw new OpenClawError("CLIENT_STORAGE_FAILED", "the document is being read again");
    if (this.#pauses > 0) throw new OpenClawError("OVERLOADED", "edits of the document are being discarded");
    this.#host.assertRoom();
    const time = Math.floor(this.#host.clock.wall() / 1_000);
    const changes = this.#working.edit((doc) => make(doc, { time, ...(message === undefined ? {} : { message }) }));
    try {
      assertTravels(changes);
    } catch (error) {
      // Automerge has no way back but to begin again from what is stored.
      void this.reload();
      throw error;
    }
    const edit = this.#enqueue(changes);
    if (changes.length > 0) this.#changed();
    return edit;
  }

  /** Nothing to store, or to wait for, when nothing changed. */
  #enqueue(changes: readonly DocumentChange[]): Edit {
    const { rungs } = this.#host;
    const edit = new LocalEdit(
      changes.map(({ hash }) => hash),
      rungs,
    );
    if (changes.length === 0) {
      edit.committed(rungs.upstream, null);
      return edit;
    }
    // What they follow, and is stored nowhere here, comes with them: whoever made it may never send it (D5).
    const sent = [...this.provisional.takeUnder(changes), ...changes];
    const hashes = sent.map(({ hash }) => hash);
    rungs.made(hashes);
    this.#made(hashes);
    const command = { kind: "change", collection: this.#collection, document: this.#id, changes: sent } as const;
    this.#host.enqueue({ command, edits: [edit], round: 0 });
    edit.device.catch(() => void this.reload());
    return edit;
  }

  #made(hashes: readonly ChangeHash[]): void {
    for (const hash of hashes) this.#own.add(hash);
    if (this.#own.size > 2 * EDITS_MAX) this.#own = new Set([...this.#own].slice(-EDITS_MAX));
  }

  /** What is shown is not what is stored, and goes back to what that is from now on. Never rejects. */
  reload(): Promise<void> {
    this.#isStale = true;
    this.#reloading ??= this.#reload();
    return this.#reloading;
  }

  async #reload(): Promise<void> {
    // One at a time makes the document.
    await this.#loaded.catch(() => undefined);
    while (this.#isStale) {
      this.#isStale = false;
      this.#isBuilt = false;
      this.provisional.clear();
      let changes: readonly DocumentChange[];
      try {
        await this.#host.stored();
        changes = await this.#host.store.document(this.#collection, this.#id);
      } catch {
        // Storage is gone altogether. Handles refuse every edit; who opens the document again hears why. Nobody waits for
        // room that this one takes.
        this.unshown.takeAll();
        this.#ended();
        return;
      }
      await this.#build(changes);
      const stored = new Set(changes.map(({ hash }) => hash));
      for (const hash of this.#own) if (!stored.has(hash)) this.#own.delete(hash);
    }
    this.#reloading = null;
    this.#changed();
  }

  /** The document anew, of what is stored and what came while that was read. */
  async #build(stored: readonly DocumentChange[]): Promise<void> {
    const { rungs, slices, quarantines } = this.#host;
    const early = this.unshown.takeAll();
    const changes = early.length === 0 ? stored : causalOrder([...stored, ...early]);
    const [collection, document] = [this.#collection, this.#id];
    const quarantine = new Quarantine(quarantines.of(collection, document));
    this.#quarantine = quarantine;
    this.#working.begin(await soundDocument(() => this.#empty(), changes, quarantine, slices));
    for (const { hash, reason } of quarantine.changes) rungs.failed([hash], reason);
    const found = [...quarantine.found].map(
      ([hash, details]): QuarantinedRow => ({ collection, document, hash, code: "QUARANTINED", details }),
    );
    if (found.length > 0) this.#host.quarantine(found);
    this.#isBuilt = true;
    slices.want(this);
  }

  #snapshot(doc: Automerge.Doc<Content>): Automerge.Doc<Content> {
    return this.#host.freeze ? frozen(doc) : doc;
  }

  #empty(): Automerge.Doc<Content> {
    return Automerge.init<Content>({ actor: this.#host.actor(), freeze: this.#host.freeze });
  }

  #editStates(): readonly EditState[] {
    const { rungs } = this.#host;
    this.#edits ??= [...this.#own]
      .slice(-EDITS_MAX)
      .map((hash) => ({ hash, rung: rungs.rung(hash), failure: rungs.failure(hash) }));
    return this.#edits;
  }

  #changed(): void {
    this.#edits = null;
    for (const listener of [...this.#listeners]) listener();
  }
}

/** @throws OpenClawError CHANGE_TOO_LARGE: no parent would take it, and all that waits behind it would wait for ever */
function assertTravels(changes: readonly DocumentChange[]): void {
  const large = changes.find(({ bytes }) => bytes.length > CHANGE_BYTES_MAX);
  if (large !== undefined) throw new OpenClawError("CHANGE_TOO_LARGE", `${large.bytes.length} bytes`);
}

const sameHeads = (a: readonly ChangeHash[], b: readonly ChangeHash[]): boolean =>
  a.length === b.length && a.every((head) => b.includes(head));
