/** What an app holds of an open document, and of its own edits in it. */
import type * as Automerge from "@automerge/automerge/slim";
import type { OpenClawError } from "../errors.ts";
import type { ChangeHash } from "../ids.ts";
import type { Edit } from "./edit.ts";
import type { HistoryEntry } from "./history.ts";
import type { Rung } from "./store.ts";

/** Where one of this device's own changes stands. */
export interface EditState {
  readonly hash: ChangeHash;
  /** Null while it is not yet stored on this device. */
  readonly rung: Rung | null;
  /** Why the parent refused it for good; it then stays on this device only. */
  readonly failure: OpenClawError | null;
}

/** A change that is no part of the document here, or not anywhere. */
export interface QuarantinedChange {
  readonly hash: ChangeHash;
  /**
   * CHANGE_INVALID, CHANGE_TOO_LARGE: what came is not that change; it is taken when the right bytes come. QUARANTINED:
   * Automerge will not take it, or it follows one that is kept out.
   */
  readonly reason: OpenClawError;
}

export interface EditOptions {
  /** Why, for whoever reads the history. */
  readonly message?: string;
}

/** An open document, ready to be read and changed. */
export interface DocumentHandle<T> {
  readonly collection: string;
  readonly id: string;
  /**
   * The document as it is now; the same object until it changes. Not to be written to: in development it is frozen. An older
   * one stays readable, but Automerge's functions find in it nothing of what came since, and its actor may be another's.
   */
  doc(): Automerge.Doc<T>;
  /** Of `doc`: also of what is provisional. */
  heads(): readonly ChangeHash[];
  /** Changes that are on this device and not in `doc` yet: many at once are put in some at a time, each time with a call. */
  unshown(): number;
  /**
   * Changes that are in `doc` and that its site has not committed (D5): others', shown while they are on their way. They are
   * not stored, and go again if they are not committed in time. What is edited meanwhile is sent with those that it follows.
   */
  provisional(): number;
  /**
   * Changes the document. It shows at once; how safe it is, the edit tells. An edit that changes nothing has no hashes.
   * @throws OpenClawError CHANGE_TOO_LARGE, OVERLOADED, STOPPED, CLIENT_STORAGE_FAILED
   */
  change(edit: (doc: T) => void, options?: EditOptions): Edit;
  /** Changes the document as it was at `heads`. @throws OpenClawError MISSING when one of them is not here */
  changeAt(heads: readonly ChangeHash[], edit: (doc: T) => void, options?: EditOptions): Edit;
  /** All changes that `doc` is made of, each after what it depends on. Made anew by each call. */
  history(): readonly HistoryEntry[];
  /** The document as it was at `heads`. @throws OpenClawError MISSING when one of them is not here */
  at(heads: readonly ChangeHash[]): Automerge.Doc<T>;
  /** Calls back when the document or a rung changed; the returned function ends it. */
  subscribe(listener: () => void): () => void;
  /**
   * This device's own edits, oldest first: those not yet at the hub, and those of this page; also what one of them follows and
   * was provisional then.
   */
  edits(): readonly EditState[];
  /** Received changes that are kept out of it, and why; of those that were not on this device when it was opened, from then on. */
  quarantined(): readonly QuarantinedChange[];
  /** Null while the change is not yet stored on this device. */
  rung(hash: ChangeHash): Rung | null;
  /**
   * Resolves when the change is on that rung.
   * @throws OpenClawError what it failed with; UNAVAILABLE: it was provisional, and not committed in its time. It may come later.
   */
  settled(hash: ChangeHash, rung: Rung): Promise<void>;
  /** Ends this handle: its listeners are not called any more. */
  close(): void;
}
