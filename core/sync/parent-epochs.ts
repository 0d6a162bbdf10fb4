/**
 * A site's side of its parent's epochs (L3): whether the parent that answers is the one that is known, and what becomes of
 * what was taken of it when it is another life. A parent that was restored is followed by itself: it is the home of what it
 * streams. One that has nothing to do with the one before waits for an operator.
 */
import { equalBytes } from "../bytes.ts";
import { OpenClawError, unreachable } from "../errors.ts";
import { type ClusterId, linkOfCluster, type Revision, revision } from "../ids.ts";
import type { Parting } from "../ledger/lineage.ts";
import { judge } from "../ledger/lives.ts";
import type { Witness } from "../ledger/witness.ts";
import type { Sha256 } from "../ports.ts";
import type { Position } from "../state-machine/query.ts";
import type { Welcome } from "./child-link.ts";
import type { DifferenceSource } from "./differences.ts";
import {
  carryOutChange,
  heldOf,
  type LifeChange,
  type Propose,
  planChange,
  requireTaken,
  witnessesOf,
} from "./life-change.ts";
import { requireSame } from "./same-record.ts";

export interface ParentEpochsOptions {
  readonly source: DifferenceSource;
  readonly parent: ClusterId;
  readonly sha256: Sha256;
  /** Resolves when this node has applied all that its cluster committed. */
  barrier(): Promise<void>;
  readonly propose: Propose;
}

/** What following another life of the parent does here. */
export interface Adoption extends LifeChange {
  /** Our revisions that it holds, and those that the one before held. */
  readonly holds: Revision;
  readonly held: Revision;
}

export class ParentEpochs {
  readonly #options: ParentEpochsOptions;
  /** The parent that was refused last: what `adopt` follows. */
  #refused: Welcome | null = null;
  /** What it had acknowledged when it was greeted last: more may have been since, over a connection of another node of ours. */
  #acknowledged: Pick<Position, "parentHolds" | "parentEpoch"> | null = null;

  constructor(options: ParentEpochsOptions) {
    this.#options = options;
  }

  /** A hello follows. */
  greet(): void {
    const { parentHolds, parentEpoch } = this.#options.source.position();
    this.#acknowledged = { parentHolds, parentEpoch };
  }

  /** The last record of the parent's that is here above our cursor in its ledger, as after a restore without links. */
  async lastRecord(cursor: Revision): Promise<Witness | null> {
    const { marks } = await this.#options.source.read({ kind: "marks", origin: this.#options.parent });
    return witnessesOf(marks).find(({ revision: at }) => at > cursor) ?? null;
  }

  /**
   * What is to be done with a parent that answered: go on, or connect again, as our cursor in its ledger has moved.
   * @throws OpenClawError FORK, WRONG_EPOCH, UNAVAILABLE
   */
  async met(welcome: Welcome): Promise<"goOn" | "again"> {
    const { source, parent } = this.#options;
    if (welcome.cluster !== parent)
      throw new OpenClawError("WRONG_CLUSTER", `${welcome.cluster} answered, the parent is ${parent}`);
    await this.#catchUp(revision(welcome.cursor));
    const held = await heldOf(source, parent, welcome);
    const verdict = judge(held, welcome);
    switch (verdict.kind) {
      case "same":
        this.#requireKept(welcome);
        break;
      case "older":
        throw new OpenClawError(
          "WRONG_EPOCH",
          `${parent} was in epoch ${held?.epoch.counter}, this is an older life of it, of epoch ${welcome.epoch.counter}`,
        );
      case "rival":
        this.#refused = welcome;
        throw rivalError(parent, verdict.parting);
      case "first":
      case "successor":
      case "behind":
        break;
      default:
        unreachable(verdict);
    }
    await this.#requireSameLedger(welcome);
    this.#refused = null;
    const begins = verdict.kind === "first" || held?.linkedAt === null;
    // S3: it may be the parent again after another one was, and then what that one held counts no more.
    const isParentAgain = source.position().parentEpoch !== welcome.epoch.nonce;
    if (verdict.kind !== "behind" && (begins || verdict.kind === "successor" || isParentAgain))
      return await this.#succeed(welcome);
    if (verdict.kind !== "behind") return "goOn";
    const adoption = await this.#plan(welcome);
    await carryOutChange(this.#options.propose, adoption, adoption.holds);
    return "again";
  }

  /**
   * What `adopt` would do.
   * @throws OpenClawError NOT_FOUND: no parent was refused; FORK: it has another ledger of ours, which its operator settles
   */
  async plan(): Promise<Adoption> {
    if (this.#refused === null) throw new OpenClawError("NOT_FOUND", "no parent was refused here");
    await this.#requireSameLedger(this.#refused);
    return this.#plan(this.#refused);
  }

  /** Follows the parent that was refused last. @throws as `plan`; WRONG_EPOCH, UNAVAILABLE */
  async adopt(): Promise<Adoption> {
    const adoption = await this.plan();
    await carryOutChange(this.#options.propose, adoption, adoption.holds);
    this.#refused = null;
    return adoption;
  }

  /** What it acknowledged in this epoch it has: else its disks are older than its word. */
  #requireKept({ cursor, epoch }: Welcome): void {
    const { parentHolds, parentEpoch } = this.#acknowledged ?? this.#options.source.position();
    if (parentEpoch !== epoch.nonce || cursor >= parentHolds) return;
    throw new OpenClawError(
      "FORK",
      `${this.#options.parent} has revision ${cursor} of this cluster and acknowledged ${parentHolds} in the same epoch`,
    );
  }

  /** @throws OpenClawError FORK: the parent has another ledger of ours */
  async #requireSameLedger({ cursor, hash, record }: Welcome): Promise<void> {
    await this.requireOurs(revision(cursor));
    if (record !== null) {
      await this.#catchUp(record.revision);
      await requireSame(this.#options.source, this.#options.sha256, record);
    }
    if (hash === null) return;
    const ours = await this.#hashAt(revision(cursor));
    if (ours !== null && !equalBytes(ours, hash))
      throw new OpenClawError("FORK", `the parent has another hash of this cluster's revision ${cursor}`);
  }

  /** The parent says that it has our ledger up to there. @throws OpenClawError FORK: it does not go that far; UNAVAILABLE */
  async requireOurs(cursor: Revision): Promise<void> {
    await this.#catchUp(cursor);
    const { revision: end } = this.#options.source.position();
    if (cursor > end) throw new OpenClawError("FORK", `the parent has revision ${cursor}, this cluster ends at ${end}`);
  }

  /** Ahead is not a fork (L3): this node may be behind its own cluster. */
  async #catchUp(cursor: Revision): Promise<void> {
    if (cursor > this.#options.source.position().revision) await this.#options.barrier();
  }

  /** Null where the record is compacted: then the next push finds what differs. */
  async #hashAt(at: Revision): Promise<Uint8Array | null> {
    const { source } = this.#options;
    const { revision: end, hash } = source.position();
    if (at === end) return hash;
    try {
      const { records } = await source.ledger(at, 1);
      return records[0]?.revision === at ? records[0].hash : null;
    } catch (error) {
      if (error instanceof OpenClawError && error.code === "COMPACTED") return null;
      throw error;
    }
  }

  async #succeed({ epoch, ancestors, cursor }: Welcome): Promise<"goOn" | "again"> {
    const { parent, propose, source } = this.#options;
    const lineage = { epoch, ancestors };
    const link = linkOfCluster(parent);
    requireTaken(await propose({ kind: "succeedEpoch", link, cluster: parent, lineage, holds: revision(cursor) }));
    // It was the parent before, and tells anew what is its own: that is to be asked for.
    const { snapshot } = await source.read({ kind: "stream", link });
    return snapshot !== null && snapshot.head.at === 0 ? "again" : "goOn";
  }

  async #plan(welcome: Welcome): Promise<Adoption> {
    const { source, parent, sha256 } = this.#options;
    const from = await heldOf(source, parent, welcome);
    if (from === null) throw new OpenClawError("NOT_FOUND", "nothing was taken of a parent yet");
    const change = await planChange(source, sha256, parent, from, welcome);
    return { ...change, holds: revision(welcome.cursor), held: source.position().parentHolds };
  }
}

function rivalError(parent: ClusterId, parting: Parting | null): OpenClawError {
  const what = "`openclaw sync adopt-parent --dry-run` says what following it would change";
  return parting === null
    ? new OpenClawError("WRONG_EPOCH", `${parent} was founded anew and knows nothing of this cluster; ${what}`)
    : new OpenClawError(
        "FORK",
        `${parent} is another life of the one that is known; they parted at its revision ${parting.revision}; ${what}`,
      );
}
