/**
 * A follower's side of a snapshot (paper §7). Its bytes are already staged here when the message comes; Raft decides
 * whether they are news, lets the driver install them (rule R8), and acknowledges only then.
 *
 * One install at a time: until it is reported, other snapshots and all appends are ignored (pitfall 14).
 */
import { invariant } from "../errors.ts";
import { index, type NodeId } from "../ids.ts";
import type { Election } from "./election.ts";
import type { RaftMessage, SnapshotMeta } from "./message.ts";
import type { NodeState } from "./node-state.ts";

type Of<Kind extends RaftMessage["kind"]> = Extract<RaftMessage, { kind: Kind }>;

type Install =
  | {
      readonly phase: "due" | "handedOut";
      readonly meta: SnapshotMeta;
      readonly from: NodeId;
      /** It takes the place of a wrong state, and the log goes on after it. */
      readonly logStays: boolean;
    }
  | { readonly phase: "none" };

export class SnapshotInstall {
  readonly #node: NodeState;
  readonly #election: Election;
  #install: Install = { phase: "none" };

  constructor(node: NodeState, election: Election) {
    this.#node = node;
    this.#election = election;
  }

  get due(): boolean {
    return this.#install.phase === "due";
  }

  onSnapshot(message: Of<"snapshot">): void {
    const node = this.#node;
    const { log } = node;
    const { meta, from } = message;
    // Whoever leads may send one, and whoever led: it holds committed entries only. It names no leader.
    if (node.role === "leader" || this.#install.phase === "handedOut") return;
    const { stateNeeded } = node;
    if (stateNeeded !== null && !node.installing && log.termAt(meta.index) === meta.term) {
      // An older one may be as wrong as the state.
      if (meta.index < stateNeeded) return;
      log.commitTo(meta.index);
      this.#begin(meta, from, true);
      return;
    }
    if (meta.index <= log.commit) {
      if (!node.installing) node.acknowledge(node.leader ?? from, log.commit);
      return;
    }
    if (!node.installing && log.termAt(meta.index) === meta.term) {
      log.commitTo(meta.index);
      node.acknowledge(node.leader ?? from, meta.index);
      return;
    }
    if (node.role !== "follower") this.#election.becomeFollower(node.term, null);
    log.reset({ index: meta.index, term: meta.term }, meta.membership);
    node.durability.reset(meta.index);
    this.#begin(meta, from, false);
  }

  take(): { readonly meta: SnapshotMeta; readonly logStays: boolean } | null {
    if (this.#install.phase !== "due") return null;
    this.#install = { ...this.#install, phase: "handedOut" };
    return this.#install;
  }

  #begin(meta: SnapshotMeta, from: NodeId, logStays: boolean): void {
    this.#node.installing = true;
    this.#install = { phase: "due", meta, from, logStays };
  }

  installed(meta: SnapshotMeta): void {
    const install = this.#install;
    invariant(
      install.phase === "handedOut" && install.meta.index === meta.index,
      "no such snapshot is being installed",
    );
    const node = this.#node;
    this.#install = { phase: "none" };
    node.installing = false;
    node.stateNeeded = null;
    node.recovery.durable(index(meta.index));
    // What a snapshot holds is committed, so every later leader has it, too.
    node.acknowledge(node.leader ?? install.from, meta.index);
  }
}
