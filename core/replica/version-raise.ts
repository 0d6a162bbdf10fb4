/**
 * A leader's care for the meaning of commands (R9): knows what members say that they support, proposes the next version
 * when all do, and lets nobody in who does not support the present one.
 */
import { asOpenClawError } from "../errors.ts";
import type { NodeId } from "../ids.ts";
import type { StateStore } from "../ports.ts";
import { isJoint, type Membership, type Refused } from "../raft/membership.ts";
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
  /** The next version is proposed, and its outcome waited for. */
  #raising = false;

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

  /**
   * Why a node cannot be added; null if it can. A raise that nobody waits for any more, or an earlier leader's, may still be
   * committed: so where all members support the next version, that is needed already. An earlier leader may have known more
   * of the members than is applied here until an entry of this leader's own term is.
   */
  refusal(node: NodeId, raft: Raft): Refused | null {
    const { role, term, applied, membership } = raft.status();
    if (role === "leader" && (this.#stale || this.#reading !== null || raft.termAt(applied) !== term))
      return { ok: false, code: "MEMBERSHIP_PENDING", details: "what the members support is not known yet" };
    const next = this.#options.version() + 1;
    const needed = this.#allSupport(membership, next) ? next : next - 1;
    const supports = this.#supported(node);
    if (supports >= needed) return null;
    const details = `${node} supports apply version ${supports}, the cluster needs ${needed}`;
    return { ok: false, code: "NODE_TOO_OLD", details };
  }

  /** Once a tick. */
  tick(raft: Raft): void {
    if (this.#stale && this.#reading === null) this.#guard(this.refreshed());
    const next = this.#options.version() + 1;
    // A leader that does not know the next version cannot answer for it.
    if (raft.role !== "leader" || this.#raising || this.#stale || next > this.#options.newest) return;
    const { membership, committedMembership } = raft.status();
    if (membership !== committedMembership || isJoint(membership)) return;
    if (!this.#allSupport(membership, next)) return;
    this.#raising = true;
    const raised = this.#options.propose(
      { kind: "raiseVersion", to: next, members: membersOf(membership) },
      PROPOSE_MS,
    );
    this.#guard(
      raised.finally(() => {
        this.#raising = false;
      }),
    );
  }

  #allSupport(membership: Membership, version: number): boolean {
    return membersOf(membership).every((node) => this.#supported(node) >= version);
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

/** Those that hold, or are to hold, what is applied. */
const membersOf = ({ voters, outgoing, learners }: Membership): readonly NodeId[] => [
  ...new Set([...voters, ...outgoing, ...learners.map(({ id }) => id)]),
];
