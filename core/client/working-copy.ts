/**
 * The Automerge document of an open document: edited under this session's name, and given what others made. Changes that
 * come few at a time are made once more under their author's name (`replay.ts`), which is how Automerge's document, for as
 * long as one author goes on, comes to have that name; an edit here gives it back its own first.
 */
import * as Automerge from "@automerge/automerge/slim";
import { invariant } from "../errors.ts";
import type { ChangeHash } from "../ids.ts";
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
  /** `#doc` under this session's name, where an edit has changed nothing in it. */
  #spare: Doc | null = null;
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
    this.#own = Automerge.getActorId(doc);
    this.#stand(doc, this.#own);
  }

  get doc(): Doc {
    return this.#doc;
  }

  /**
   * @returns the changes that it made; where there are none, the document stays the same object
   * @throws what `make` does, with nothing changed
   */
  edit(make: (doc: Doc) => Doc): readonly DocumentChange[] {
    const doc = this.#underOwn();
    invariant(Automerge.getActorId(doc) === this.#own, "an edit under another's name");
    const before = headsOf(doc);
    const made = madeIn(doc, before, make);
    const changes = changesSince(made, before);
    if (changes.length > 0) this.#stand(made, this.#own);
    return changes;
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
    if (taken < changes.length) this.#stand(applied(this.#doc, changes.slice(taken)), this.#actor);
  }

  #stand(doc: Doc, actor: string): void {
    this.#doc = doc;
    this.#actor = actor;
    this.#spare = null;
  }

  /** Two that edit under one name make twins (D2). */
  #underOwn(): Doc {
    if (this.#actor === this.#own) return this.#doc;
    // Once something was applied, if only nothing, patches of a fork follow its actors: else `changeAt` shows some of them
    // twice (github.com/automerge/automerge/issues/1270).
    this.#spare ??= applied(Automerge.clone(this.#doc, { actor: this.#own }), []);
    return this.#spare;
  }

  /** False where it has to be applied. */
  #replays(change: DocumentChange): boolean {
    const replay = this.#replay();
    if (replay === null || !this.#isReplaying || !replay.isAt(this.#doc, change)) return false;
    const recipe = replay.recipeOf(this.#doc, change);
    if (recipe === null) return false;
    const under = this.#under(change.actor);
    const made = under === null ? null : replay.replayed(under, recipe);
    if (made === null) return false;
    const [head] = headsOf(made);
    if (head === change.hash) {
      this.#stand(made, change.actor);
      return true;
    }
    this.#isReplaying = false;
    // The snapshot from before says what was in it; a document that was forked has nothing else.
    if (under === this.#doc) this.#stand(Automerge.clone(this.#doc, { actor: this.#own }), this.#own);
    return false;
  }

  /** The document under an author's name; null where that would take a fork too many. */
  #under(actor: string): Doc | null {
    if (actor === this.#actor) return this.#doc;
    if (!this.#forks.take(Automerge.stats(this.#doc).numOps)) return null;
    return Automerge.clone(this.#doc, { actor });
  }
}

/** A failure leaves Automerge at the heads that `changeAt` went back to: a change of nothing brings it forth. */
function madeIn(doc: Doc, heads: readonly ChangeHash[], make: (doc: Doc) => Doc): Doc {
  try {
    return make(doc);
  } catch (error) {
    Automerge.changeAt(doc, [...heads], () => undefined);
    throw error;
  }
}
