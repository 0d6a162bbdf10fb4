/**
 * A node whose log is sound and whose state is not: it was found to differ from a majority's. What it acknowledged it still
 * holds, so it votes and takes appends as before; it applies nothing, sends nobody a snapshot, does not lead on (§3.10),
 * and asks its leader for a snapshot to take in the state's place. The log stays, and is applied again from there.
 */
import { type Index, index } from "../ids.ts";
import type { RaftMessage } from "./message.ts";
import type { NodeState } from "./node-state.ts";
import type { StateRequest } from "./ready.ts";
import type { Replication } from "./replication.ts";
import type { Transfer } from "./transfer.ts";

type Of<Kind extends RaftMessage["kind"]> = Extract<RaftMessage, { kind: Kind }>;

/** Followers that may wait: all of a group. */
const REQUESTS_MAX = 16;

export class StateLoss {
  readonly #node: NodeState;
  readonly #replication: Replication;
  readonly #transfer: Transfer;
  #requests: StateRequest[] = [];

  constructor(node: NodeState, replication: Replication, transfer: Transfer) {
    this.#node = node;
    this.#replication = replication;
    this.#transfer = transfer;
  }

  get hasRequests(): boolean {
    return this.#requests.length > 0;
  }

  /** The state is wrong; one as of `atLeast` or later is right. */
  lose(atLeast: Index): void {
    this.#node.stateNeeded = index(Math.max(atLeast, this.#node.stateNeeded ?? 0));
  }

  /** Asks for it; lost without a leader, and asked again by the driver. */
  ask(): void {
    const node = this.#node;
    const { leader, stateNeeded, installing, log } = node;
    if (stateNeeded === null || installing || leader === null || leader === node.id) return;
    const atLeast = index(Math.max(stateNeeded, log.base.index));
    node.send({ kind: "stateRequest", ...node.envelope(leader), atLeast });
  }

  onRequest(message: Of<"stateRequest">): void {
    const { role, stateNeeded } = this.#node;
    if (role !== "leader" || stateNeeded !== null || this.#requests.length >= REQUESTS_MAX) return;
    this.#requests.push({ to: message.from, atLeast: message.atLeast });
  }

  takeRequests(): readonly StateRequest[] {
    const requests = this.#requests;
    this.#requests = [];
    return requests;
  }

  /** A leader's tick: somebody else leads, as soon as anybody can. */
  leaderTick(): void {
    if (this.#node.stateNeeded === null || this.#transfer.target !== null) return;
    const heir = this.#replication.mostUpToDate();
    if (heir !== null) this.#transfer.begin(heir);
  }
}
