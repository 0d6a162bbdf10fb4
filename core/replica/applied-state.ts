/**
 * The state as it is applied here: takes committed entries in order, one apply in flight, and tells who follows the
 * ledger.
 */
import { invariant } from "../errors.ts";
import { type Index, index } from "../ids.ts";
import type { Applied, StateStore, StoredState } from "../ports.ts";
import type { Entry } from "../raft/message.ts";
import { requireSupported } from "../state-machine/apply-version.ts";
import type { Position } from "../state-machine/query.ts";
import { ApplyBacklog } from "./apply-backlog.ts";
import type { FollowedRows, LedgerAdvance } from "./contract.ts";

export interface AppliedStateOptions {
  readonly state: StateStore;
  /** The newest apply version that this node supports (R9). */
  readonly newest: number;
  readonly running: () => boolean;
  /** A batch was applied; `record` makes it count here. Runs among everything else that happens to the replica. */
  readonly applied: (applied: Applied, record: () => void) => void;
  readonly failed: (error: unknown) => void;
}

export class AppliedState {
  readonly #options: AppliedStateOptions;
  readonly #backlog = new ApplyBacklog();
  readonly #listeners = new Set<(advance: LedgerAdvance) => void>();
  readonly #rowListeners: { readonly [K in FollowedRows]: Set<() => void> } = { members: new Set(), sites: new Set() };
  /** The last configuration entry that is to be applied; 0 when all are. */
  #configuration: Index = index(0);
  #position: Position | null = null;
  #index: Index = index(0);
  #applying: Promise<void> | null = null;

  constructor(options: AppliedStateOptions) {
    this.#options = options;
  }

  /** The last applied entry. */
  get index(): Index {
    return this.#index;
  }

  get position(): Position {
    invariant(this.#position !== null, "position before start");
    return this.#position;
  }

  /** Apply is so far behind that no more should be taken in. */
  get full(): boolean {
    return this.#backlog.full;
  }

  /** Calls back for every advance; the returned function ends it. */
  follow(listener: (advance: LedgerAdvance) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Calls back when those rows may have changed here; the returned function ends it. */
  followRows(of: FollowedRows, listener: () => void): () => void {
    this.#rowListeners[of].add(listener);
    return () => this.#rowListeners[of].delete(listener);
  }

  /** @throws OpenClawError NODE_TOO_OLD */
  open(stored: StoredState): void {
    this.#take(stored.position);
    this.#index = stored.applied;
  }

  push(committed: readonly Entry[]): void {
    this.#configuration = committed.findLast(({ kind }) => kind === "configuration")?.index ?? this.#configuration;
    this.#backlog.push(committed);
    this.next();
  }

  /** What commits while a batch is applied is the next batch. */
  next(): void {
    const { state, running, applied, failed } = this.#options;
    if (this.#applying !== null || this.#backlog.empty || !running()) return;
    this.#applying = state.apply(this.#backlog.take()).then((batch) => {
      this.#applying = null;
      applied(batch, () => this.#record(batch));
    }, failed);
  }

  /** Drops what waits: a snapshot holds it. Resolves when nothing is being applied any more. */
  async drain(): Promise<void> {
    this.#backlog.clear();
    await this.#applying;
  }

  /** A snapshot was installed. */
  replace(stored: StoredState): void {
    this.open(stored);
    this.#advance({ records: [] });
    this.#tellMembers();
    this.#tell("sites");
  }

  settled(): Promise<void> {
    return this.#applying ?? Promise.resolve();
  }

  #record(batch: Applied): void {
    const { index: last, position, results } = batch;
    const before = this.position;
    this.#take(position);
    this.#index = last;
    if (before.revision !== position.revision || before.parentHolds !== position.parentHolds) this.#advance(batch);
    const configured = this.#configuration > 0 && this.#configuration <= last;
    if (configured || results.some(({ result }) => result.kind === "memberNoted")) this.#tellMembers();
    if (results.some(({ result }) => result.kind === "siteNoted")) this.#tell("sites");
  }

  #take(position: Position): void {
    requireSupported(position.applyVersion, this.#options.newest);
    this.#position = position;
  }

  #tellMembers(): void {
    if (this.#configuration <= this.#index) this.#configuration = index(0);
    this.#tell("members");
  }

  #tell(of: FollowedRows): void {
    for (const listener of this.#rowListeners[of]) listener();
  }

  #advance(batch: Pick<Applied, "records">): void {
    const { revision, parentHolds } = this.position;
    const advance: LedgerAdvance = {
      revision,
      parentHolds,
      // Read where somebody wants them: a store may have them packed.
      get records() {
        return batch.records;
      },
    };
    for (const listener of this.#listeners) listener(advance);
  }
}
