/** The checkers that watch one cluster while it runs, and what they are shown: messages, disks, and what was applied. */
import type { NodeId } from "@openclaw/core/ids.ts";
import type { Applied, StoredLog } from "@openclaw/core/ports.ts";
import type { Entry, RaftMessage } from "@openclaw/core/raft/message.ts";
import type { Position } from "@openclaw/core/state-machine/query.ts";
import { LeaderCompleteness } from "./checkers/leader-completeness.ts";
import { LeaseLife } from "./checkers/lease-life.ts";
import { LogMatching } from "./checkers/log-matching.ts";
import { LogTime } from "./checkers/log-time.ts";
import { OneLeaderPerTerm } from "./checkers/one-leader-per-term.ts";
import { SerialModel } from "./checkers/serial-model.ts";
import { StateAgreement } from "./checkers/state-agreement.ts";
import { WatchOrder } from "./checkers/watch-order.ts";
import type { StoreObserver } from "./store-gate.ts";
import type { Trace } from "./trace.ts";

/** A state is hashed whole once in so many applied entries. */
const HASHED_EVERY = 128;

export interface ClusterWitness {
  readonly name: string;
  readonly trace: Trace;
  readonly violation: (text: string) => void;
  /** Of the world, ms. */
  now(): number;
  /** The disk of a member, as a reader of it would find it. */
  disk(node: NodeId): StoredLog;
  /** Over every row of its state. */
  stateHash(node: NodeId): Uint8Array;
  /** It has applied up to here. */
  reached(node: NodeId, position: Position): void;
}

export class ClusterChecks {
  readonly leaders: OneLeaderPerTerm;
  readonly watches: WatchOrder;
  readonly agreement: StateAgreement;
  readonly serial: SerialModel;
  readonly leases: LeaseLife;
  readonly #matching: LogMatching;
  readonly #completeness: LeaderCompleteness;
  readonly #time: LogTime;
  readonly #witness: ClusterWitness;

  constructor(witness: ClusterWitness) {
    const { violation } = witness;
    this.#witness = witness;
    this.leaders = new OneLeaderPerTerm(violation);
    this.watches = new WatchOrder(violation);
    this.agreement = new StateAgreement(violation);
    this.leases = new LeaseLife(violation, () => witness.now());
    this.serial = new SerialModel(violation, (lease) => this.leases.ended(lease));
    this.#matching = new LogMatching(violation);
    this.#completeness = new LeaderCompleteness(violation);
    this.#time = new LogTime(violation);
  }

  sent(from: NodeId, to: NodeId, messages: readonly RaftMessage[]): void {
    const { trace, name } = this.#witness;
    for (const message of messages) {
      trace.note(message.kind, message.term);
      if (!this.leaders.sent(from, message)) continue;
      trace.tell(`${name}/${from}`, `leads in term ${message.term} (told ${to})`);
      this.#completeness.leads(from, message.term, this.#witness.disk(from));
    }
  }

  /** Some store applies these; before anything that is told of them. */
  committed(entries: readonly Entry[], applied: Applied): void {
    this.serial.applied(entries, applied);
    this.watches.wrote(applied.records);
  }

  observer(node: NodeId): StoreObserver {
    const { trace, name } = this.#witness;
    return {
      appending: (entries) => this.#time.appending(entries, this.#witness.now()),
      logged: (entries) => {
        trace.note("logged", entries.at(-1)?.index ?? 0);
        this.leaders.logged(entries);
        this.#matching.logged(node, entries);
      },
      applied: (entries, { index, position }) => {
        trace.note("applied", index);
        this.#completeness.applied(node, entries);
        this.agreement.reached(node, index, position);
        this.#witness.reached(node, position);
        this.#time.applied(node, entries, position.logTime);
        const first = entries[0]?.index ?? index;
        if (Math.floor(index / HASHED_EVERY) === Math.floor((first - 1) / HASHED_EVERY)) return;
        this.agreement.hashed(node, index, this.#witness.stateHash(node));
      },
      installed: (meta, { position }) => {
        trace.tell(`${name}/${node}`, `installed a snapshot of index ${meta.index}`);
        this.agreement.reached(node, meta.index, position);
        this.#witness.reached(node, position);
        this.#time.installed(node, meta.index, position.logTime);
        this.agreement.hashed(node, meta.index, this.#witness.stateHash(node));
      },
    };
  }
}
