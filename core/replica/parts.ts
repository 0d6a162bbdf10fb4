/** What a replica is made of, and who tells whom; what it does with them is in replica.ts. */
import { index } from "../ids.ts";
import type { Applied, StoredState } from "../ports.ts";
import type { RaftMessage, SnapshotMeta } from "../raft/message.ts";
import type { Raft } from "../raft/raft.ts";
import type { CommandResult } from "../state-machine/command.ts";
import { AppliedState } from "./applied-state.ts";
import { Barriers } from "./barriers.ts";
import { BaseSender } from "./base-sender.ts";
import { Compaction } from "./compaction.ts";
import type { ProposeOptions, ReplicaOptions } from "./contract.ts";
import { Freshness } from "./freshness.ts";
import { GroupRequests } from "./group-requests.ts";
import { Leadership } from "./leadership.ts";
import { LogRetention } from "./log-retention.ts";
import { LogWrites } from "./log-writes.ts";
import { Offers } from "./offers.ts";
import { OwnSession } from "./own-session.ts";
import { Proposals, type Proposed } from "./proposals.ts";
import { ReadyHandler } from "./ready-handler.ts";
import { SnapshotReceiver } from "./snapshot-receiver.ts";
import { SNAPSHOT_BYTES_PER_SECOND, SnapshotSender } from "./snapshot-sender.ts";
import { Upkeep } from "./upkeep.ts";

/** What the parts ask of the replica. */
export interface ReplicaHooks {
  readonly running: () => boolean;
  /** @throws OpenClawError STOPPED */
  readonly assertRunning: () => void;
  readonly assertServing: () => void;
  /** Once it has started. */
  readonly raft: () => Raft;
  /** Runs `work` among everything else that happens to the replica, then all that Raft asks. */
  readonly drive: (work: (raft: Raft) => void) => void;
  readonly submit: (command: Proposed, options: ProposeOptions) => Promise<CommandResult>;
  readonly received: (messages: readonly RaftMessage[]) => void;
  /** A batch is in the state; `record` makes it count here. */
  readonly applied: (raft: Raft, batch: Applied, record: () => void) => void;
  /** State and log are the snapshot's; the log is as it was if it stays. */
  readonly installed: (meta: SnapshotMeta, stored: StoredState, logStays: boolean) => Promise<void>;
  /** Nothing more may be applied to this state, or answered from it. */
  readonly diverged: () => void;
  readonly failed: (error: unknown) => void;
}

export class ReplicaParts {
  readonly proposals: Proposals;
  readonly barriers: Barriers;
  readonly retention: LogRetention;
  readonly compaction: Compaction;
  readonly snapshots: SnapshotSender;
  readonly bases: BaseSender;
  readonly receiver: SnapshotReceiver;
  readonly ready: ReadyHandler;
  readonly requests: GroupRequests;
  readonly session: OwnSession;
  readonly writes: LogWrites;
  readonly offers: Offers;
  readonly applied: AppliedState;
  readonly leadership = new Leadership();
  readonly freshness: Freshness;
  readonly upkeep: Upkeep;

  constructor(options: ReplicaOptions, hooks: ReplicaHooks) {
    const { id, state, log, clock, random, transport } = options;
    const { running, assertRunning, raft, drive, submit, failed } = hooks;
    const principal = `node:${id}`;
    this.retention = new LogRetention(options.retention);
    this.proposals = new Proposals(clock, random);
    this.barriers = new Barriers(clock);
    this.freshness = new Freshness(clock);
    this.session = new OwnSession({ clock, random, proposals: this.proposals, principal, submit });
    this.writes = new LogWrites(log);
    this.offers = new Offers(this.proposals, this.barriers, this.writes);
    this.applied = new AppliedState({
      state,
      newest: options.applyVersions.length,
      running: () => running() && this.upkeep.comparisons.replaces === null,
      applied: (batch, record) => drive((now) => hooks.applied(now, batch, record)),
      failed,
    });
    this.upkeep = new Upkeep({
      replica: options,
      state,
      clock,
      position: () => this.applied.position,
      propose: (command, timeoutMs) => submit(command, { principal, timeoutMs }),
      running,
      failed,
      diverged: hooks.diverged,
      receiving: () => this.receiver.receiving !== null || this.receiver.installing,
    });
    this.applied.followRows("members", () => this.upkeep.versions.changed());
    this.requests = new GroupRequests(clock, (node, now) => this.upkeep.versions.refusal(node, now));
    this.receiver = new SnapshotReceiver({
      to: id,
      state,
      log,
      assertRunning,
      running,
      drained: () => this.applied.drain(),
      staged: (message) => hooks.received([message]),
      replaces: () => this.upkeep.comparisons.replaces,
      installed: hooks.installed,
    });
    this.compaction = new Compaction(state, log, this.retention);
    this.snapshots = new SnapshotSender({
      from: id,
      state,
      transport,
      clock,
      bytesPerSecond: options.snapshotBytesPerSecond ?? SNAPSHOT_BYTES_PER_SECOND,
      running,
      sound: () => this.upkeep.comparisons.replaces === null,
      term: () => raft().term,
      base: () => index(raft().status().firstIndex - 1),
      ended: (to, outcome) =>
        drive((now) => {
          if (outcome === "sent") now.snapshotSent(to);
          else now.snapshotFailed(to);
        }),
      failed,
    });
    this.bases = new BaseSender({
      state,
      clock,
      bytesPerSecond: options.snapshotBytesPerSecond ?? SNAPSHOT_BYTES_PER_SECOND,
      applied: () => this.applied.index,
      assertServing: hooks.assertServing,
    });
    this.ready = new ReadyHandler({
      transport,
      writes: this.writes,
      retention: this.retention,
      applied: this.applied,
      barriers: this.barriers,
      offers: this.offers,
      snapshots: this.snapshots,
      receiver: this.receiver,
      drive,
      failed,
    });
  }
}
