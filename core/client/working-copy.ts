/**
 * The Automerge document of an open document: edited under this session's name, and given what others made. Changes that
 * come few at a time are made once more under their author's name (`replay.ts`), which is how Automerge's document, for as
 * long as one author goes on, comes to have that name; an edit here gives it back its own first.
 */
import * as Automerge from "@automerge/automerge/slim";
import { invariant } from "../errors.ts";
import type { DocumentChange } from "../ledger/record.ts";
import { changesSince, headsOf } from "./changes.ts";
import type { Forks } from "./forks.ts";
import type { isAt, recipeOf, replayed } from "./replay.ts";
import { applied } from "./sound-document.ts";

export type Content = Record<string, unknown>;
type Doc = Automerge.Doc<Content>;

/** Changes that are made one by one; more are applied at once, which costs little more than one of them. */
const REPLAYED_AT_ONCE = 12;

export interface Replay {
  readonly isAt: typeof isAt;
  readonly recipeOf: typeof recipeOf;
  readonly replayed: typeof replayed;
}

export class WorkingCopy {
  readonly #forks: Forks;
  readonly #replay: () => Replay | null;
  #doc: Doc;
  /** This session's name, for this document. */
  #own: string;
  /** Under which the document stands. */
  #actor: string;
  /** One that was made once more was another: what comes is applied from there on. */
  #isReplaying = true;

  /**
   * @param doc under this session's name
   * @param replay null where its code is not loaded yet: what comes is applied
   */
  constructor(doc: Doc, forks: Forks, replay: () => Replay | null) {
    this.#forks = forks;
    this.#replay = replay;
    this.#doc = doc;
    this.#own = Automerge.getActorId(doc);
    this.#actor = this.#own;
  }

  /** It was built anew. @param doc under this session's name */
  begin(doc: Doc): void {
    this.#doc = doc;
    this.#own = Automerge.getActorId(doc);
    this.#actor = this.#own;
  }

  get doc(): Doc {
    return this.#doc;
  }

  /** @returns the changes that it made */
  edit(make: (doc: Doc) => Doc): readonly DocumentChange[] {
    // Two that edit under one name make twins (D2).
    if (this.#actor !== this.#own) {
      this.#doc = Automerge.clone(this.#doc, { actor: this.#own });
      this.#actor = this.#own;
    }
    invariant(Automerge.getActorId(this.#doc) === this.#own, "an edit under another's name");
    const before = headsOf(this.#doc);
    this.#doc = make(this.#doc);
    return changesSince(this.#doc, before);
  }

  /**
   * Puts in what others made, each after what it depends on.
   * @throws what Automerge refuses it with: the document is spent
   */
  take(changes: readonly DocumentChange[]): void {
    let taken = 0;
    if (changes.length <= REPLAYED_AT_ONCE)
      for (const change of changes) {
        if (!this.#replays(change)) break;
        taken++;
      }
    if (taken < changes.length) this.#doc = applied(this.#doc, changes.slice(taken));
  }

  /** False where it has to be applied. */
  #replays(change: DocumentChange): boolean {
    const replay = this.#replay();
    if (replay === null || !this.#isReplaying || !replay.isAt(this.#doc, change)) return false;
    const recipe = replay.recipeOf(change);
    if (recipe === null) return false;
    const under = this.#under(change.actor);
    const made = under === null ? null : replay.replayed(under, recipe);
    if (made === null) return false;
    const [head] = headsOf(made);
    if (head !== change.hash) {
      this.#isReplaying = false;
      // The document that was forked is as it was.
      if (under !== this.#doc) return false;
      throw new Error(`${change.hash} was made as ${head}`);
    }
    this.#doc = made;
    this.#actor = change.actor;
    return true;
  }

  /** The document under an author's name; null where that would take a fork too many. */
  #under(actor: string): Doc | null {
    if (actor === this.#actor) return this.#doc;
    if (!this.#forks.take(Automerge.stats(this.#doc).numOps)) return null;
    return Automerge.clone(this.#doc, { actor });
  }
}
