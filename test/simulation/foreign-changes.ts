/**
 * Document changes as careless writers make them: two of one actor and sequence number (a duplicated tab, a restored
 * profile), and some that travel before what they depend on. No Automerge: apply never looks into a change (D1).
 */
import { toHex, utf8 } from "@openclaw/core/bytes.ts";
import { type ActorId, type ChangeHash, isActorId, isChangeHash } from "@openclaw/core/ids.ts";
import type { DocumentChange } from "@openclaw/core/ledger/record.ts";
import type { SeededRandom } from "./seeded-random.ts";

/** No device opens it: what is in it is no Automerge document. */
export const FOREIGN_COLLECTION = "foreign";
export const FOREIGN_DOCUMENT = "careless";

const ACTORS = 2;
const DEPS_MAX = 2;
/** Changes that the next one may depend on: the newest. */
const RECENT = 6;

export class ForeignChanges {
  readonly #random: SeededRandom;
  readonly #made: DocumentChange[] = [];
  readonly #seqs: number[] = Array.from({ length: ACTORS }, () => 0);
  /** Made, and sent by nobody yet. */
  #held: DocumentChange[] = [];

  constructor(random: SeededRandom) {
    this.#random = random;
  }

  /** What a writer sends next. One change in three waits until others, which may depend on it, have been sent. */
  next(): readonly DocumentChange[] {
    const change = this.#make();
    const twin = this.#random.chance(0.3) ? [this.twin(change)] : [];
    if (this.#random.chance(0.35)) {
      this.#held.push(change);
      return twin;
    }
    const late = this.#held.length > 0 && this.#random.chance(0.3) ? this.#held.splice(0, 1) : [];
    return [change, ...twin, ...late];
  }

  /** All that was held back. */
  rest(): readonly DocumentChange[] {
    return this.#held.splice(0);
  }

  /** One that was made not long ago, or another of its (actor, sequence). */
  again(): DocumentChange | null {
    const recent = this.#made.slice(-RECENT);
    if (recent.length === 0) return null;
    const change = this.#random.pick(recent);
    return this.#random.chance(0.5) ? change : this.twin(change);
  }

  twin({ actor, seq, deps }: DocumentChange): DocumentChange {
    const change = this.#change(actor, seq, this.#random.chance(0.5) ? deps : []);
    this.#made.push(change);
    return change;
  }

  #make(): DocumentChange {
    const at = this.#random.below(ACTORS);
    const seq = (this.#seqs[at] ?? 0) + 1;
    this.#seqs[at] = seq;
    const recent = this.#made.slice(-RECENT);
    const deps = new Set<ChangeHash>();
    for (let i = this.#random.below(DEPS_MAX + 1); i > 0 && recent.length > 0; i--)
      deps.add(this.#random.pick(recent).hash);
    const change = this.#change(actorOf(at), seq, [...deps].sort());
    this.#made.push(change);
    return change;
  }

  #change(actor: ActorId, seq: number, deps: readonly ChangeHash[]): DocumentChange {
    const hash = toHex(this.#random.bytes(32));
    if (!isChangeHash(hash)) throw new Error(hash);
    return { hash, actor, seq, deps, bytes: utf8(`${actor} ${seq}`) };
  }
}

function actorOf(at: number): ActorId {
  const actor = `f${at}`.repeat(8);
  if (!isActorId(actor)) throw new Error(actor);
  return actor;
}
