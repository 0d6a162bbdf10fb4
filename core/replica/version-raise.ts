/**
 * A leader's care for the meaning of commands (R9): knows what members say that they support, proposes the next version
 * when all do, and lets nobody in who does not support the present one.
 */
import { asOpenClawError } from "../errors.ts";
import type { NodeId } from "../ids.ts";
import type { StateStore } from "../ports.ts";
import { isJoint } from "../raft/membership.ts";
import type { Raft } from "../raft/raft.ts";
import type { SystemCommand } from "../state-machine/command.ts";
import { FOUNDING_VERSION } from "../state-machine/position.ts";

/** Ms until a proposal is given up, and made anew if it is still due. */
const PROPOSE_MS = 5_000;

export interface VersionRaiseOptions {
  readonly state: StateStore;
  /** What this node supports. */
  readonly newest: number;
  /** The cluster's, as it is applied here. */
  readonly version: () => number;
  readonly propose: (command: SystemCommand, timeoutMs: number) => Promise<unknown>;
  readonly running: () => boolean;
  readonly failed: (error: unknown) => void;
}

export class VersionRaise {
  readonly #options: VersionRaiseOptions;
  #supports: ReadonlyMap<NodeId, number> = new Map();
  #stale = true;
  #reading: Promise<void> | null = null;
  /** The version that is proposed. */
  #raising: number | null = null;

  constructor(options: VersionRaiseOptions) {
    this.#options = options;
  }

  /** The rows of members may have changed. */
  changed(): void {
    this.#stale = true;
  }

  /** Resolves when all that is applied here is known. */
  async refreshed(): Promise<void> {
    await this.#reading;
    this.#reading ??= this.#read().finally(() => {
      this.#reading = null;
    });
    await this.#reading;
  }

  /** Why a node cannot be added; null if it can. */
  refusal(node: NodeId): string | null {
    const needed = this.#raising ?? this.#options.version();
    const supports = this.#supported(node);
    return supports >= needed ? null : `${node} supports apply version ${supports}, the cluster needs ${needed}`;
  }

  /** Once a tick. */
  tick(raft: Raft): void {
    if (this.#stale && this.#reading === null) this.#guard(this.refreshed());
    const next = this.#options.version() + 1;
    // A leader that does not know the next version cannot answer for it.
    if (raft.role !== "leader" || this.#raising !== null || this.#stale || next > this.#options.newest) return;
    const { membership, committedMembership } = raft.status();
    if (membership !== committedMembership || isJoint(membership)) return;
    const members = [...membership.voters, ...membership.learners.map(({ id }) => id)];
    if (!members.every((node) => this.#supported(node) >= next)) return;
    this.#raising = next;
    const raised = this.#options.propose({ kind: "raiseVersion", to: next, members }, PROPOSE_MS);
    this.#guard(
      raised.then(
        () => {
          this.#raising = null;
        },
        (error: unknown) => {
          this.#raising = null;
          throw error;
        },
      ),
    );
  }

  #supported(node: NodeId): number {
    return this.#supports.get(node) ?? FOUNDING_VERSION;
  }

  async #read(): Promise<void> {
    this.#stale = false;
    try {
      const { members } = await this.#options.state.read({ kind: "members" });
      this.#supports = new Map(members.map(({ node, supports }) => [node, supports]));
    } catch (error) {
      this.#stale = true;
      throw error;
    }
  }

  /** What may be tried again is, at the next tick. */
  #guard(work: Promise<unknown>): void {
    const { running, failed } = this.#options;
    work.catch((error: unknown) => {
      if (running() && !asOpenClawError(error).retryable) failed(error);
    });
  }
}
