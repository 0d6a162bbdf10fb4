/** Does what a Ready asks, in the order that its contract says (core/raft/ready.ts). */
import { index } from "../ids.ts";
import type { Transport } from "../ports.ts";
import type { Raft } from "../raft/raft.ts";
import type { Ready } from "../raft/ready.ts";
import type { AppliedState } from "./applied-state.ts";
import type { Barriers } from "./barriers.ts";
import { sendByPeer } from "./by-peer.ts";
import type { LogRetention } from "./log-retention.ts";
import type { LogWrites } from "./log-writes.ts";
import type { Offers } from "./offers.ts";
import type { SnapshotReceiver } from "./snapshot-receiver.ts";
import type { SnapshotSender } from "./snapshot-sender.ts";

export interface ReadyHandlerOptions {
  readonly transport: Transport;
  readonly writes: LogWrites;
  readonly retention: LogRetention;
  readonly applied: AppliedState;
  readonly barriers: Barriers;
  readonly offers: Offers;
  readonly snapshots: SnapshotSender;
  readonly receiver: SnapshotReceiver;
  /** Runs `work` among everything else that happens to the replica, then all that Raft asks. */
  readonly drive: (work: (raft: Raft) => void) => void;
  readonly failed: (error: unknown) => void;
}

export class ReadyHandler {
  readonly #options: ReadyHandlerOptions;

  constructor(options: ReadyHandlerOptions) {
    this.#options = options;
  }

  handle(ready: Ready): void {
    const { transport, receiver, drive, failed } = this.#options;
    sendByPeer(transport, ready.messages);
    if (ready.snapshot === null) this.#handleRest(ready);
    else receiver.install(ready.snapshot, ready.logStays, () => drive(() => this.#handleRest(ready)), failed);
  }

  #handleRest(ready: Ready): void {
    const { applied, barriers, snapshots, offers } = this.#options;
    this.#persist(ready);
    applied.push(ready.committed);
    for (const state of ready.readStates) barriers.confirmed(state, applied.index);
    for (const context of ready.readsDropped) barriers.dropped(context);
    for (const to of ready.snapshotsTo) snapshots.want(to, index(0));
    for (const { to, atLeast } of ready.statesTo) snapshots.want(to, atLeast);
    if (!applied.full) offers.forwarded(ready.forwarded);
  }

  #persist(ready: Ready): void {
    const { transport, retention, writes, drive, failed } = this.#options;
    const { persisted, afterDurable } = ready;
    if (persisted === null) return;
    retention.appended(ready.entries);
    const durable = (): void =>
      drive((raft) => {
        sendByPeer(transport, afterDurable);
        raft.durable(persisted);
      });
    writes.write(ready, durable, failed);
  }
}
