/**
 * What a site ships in the place of records that it shed before its parent had them (S5): a snapshot of the first revision
 * that it still tells, so that the records behind it follow as ever, and nothing that is kept is left out.
 */
import type { ClusterId, Revision } from "../ids.ts";
import { revision } from "../ids.ts";
import type { SnapshotHead, SnapshotProgress, SnapshotStep } from "../ledger/snapshot.ts";
import type { Push, Welcome } from "./child-link.ts";
import {
  anotherCluster,
  isCompacted,
  isStillTold,
  type SnapshotBackend,
  SnapshotSource,
  snapshotHead,
} from "./snapshot-source.ts";

export class UpSnapshot {
  readonly #backend: SnapshotBackend;
  readonly #parent: ClusterId;
  /** What the parent said is under way; null once that is settled. */
  #asked: SnapshotProgress | null;
  readonly #told: (holds: Revision) => Promise<unknown>;
  readonly #turn: () => Promise<void>;
  #source: SnapshotSource | null = null;

  /**
   * For one connection.
   * @param told replicates how far the parent holds our ledger, by its records: by that what it lacks is itemised, before a
   * snapshot goes in its place
   * @param turn resolves when the link's rate lets a further frame go
   */
  constructor(
    backend: SnapshotBackend,
    parent: ClusterId,
    { snapshot }: Pick<Welcome, "snapshot">,
    told: (holds: Revision) => Promise<unknown>,
    turn: () => Promise<void>,
  ) {
    this.#backend = backend;
    this.#parent = parent;
    this.#asked = snapshot;
    this.#told = told;
    this.#turn = turn;
  }

  /**
   * The next step, where the records behind `after` are not kept, or the parent waits for the rest of a snapshot. `push` null:
   * it is to wait for what is on its way before it, whose answer tells how far the parent is then.
   * @throws OpenClawError FORK, OVERLOADED, UNAVAILABLE
   */
  async next(after: Revision, inFlight: number): Promise<{ readonly due: boolean; readonly push: Push | null }> {
    const isDue = this.#asked !== null || after + 1 < this.#backend.position().compacted;
    if (this.#source === null && !isDue) return { due: false, push: null };
    if (this.#source === null && inFlight > 0) return { due: true, push: null };
    this.#source ??= await this.#begun(after);
    if (this.#source === null) return { due: false, push: null };
    await this.#turn();
    const step = await this.#step(this.#source, after);
    if (step.kind === "end") this.#source = null;
    const to = step.kind === "end" ? step.at : after;
    return { due: true, push: { to, message: { kind: "pushSnapshot", step } } };
  }

  async #begun(after: Revision): Promise<SnapshotSource | null> {
    const asked = this.#asked;
    this.#asked = null;
    if (asked !== null && (await isStillTold(this.#backend, asked.head))) return this.#from(asked, after);
    if (asked === null && after + 1 >= this.#backend.position().compacted) return null;
    return this.#fresh(after);
  }

  async #step(source: SnapshotSource, after: Revision): Promise<SnapshotStep> {
    try {
      return await source.next();
    } catch (error) {
      // Shed meanwhile, too: what the parent has of it is replaced by a later one.
      if (!isCompacted(error)) throw error;
      this.#source = await this.#fresh(after);
      return this.#source.next();
    }
  }

  async #fresh(after: Revision): Promise<SnapshotSource> {
    await this.#told(after);
    const at = revision(Math.max(this.#backend.position().compacted, after, 1));
    const head = await snapshotHead(this.#backend, { at, subscription: null, kept: null, receiver: this.#parent });
    return this.#from(head, after);
  }

  async #from(from: SnapshotHead | SnapshotProgress, after: Revision): Promise<SnapshotSource> {
    const { at } = "head" in from ? from.head : from;
    const since = { collection: () => after, document: () => after };
    return new SnapshotSource(this.#backend, from, since, await anotherCluster(this.#backend, at));
  }
}
