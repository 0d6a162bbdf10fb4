/** What one node counts, for Prometheus. */
import type { ErrorCode } from "@openclaw/core/errors.ts";
import { type DiskStatus, SHEDDING_ORDER } from "@openclaw/core/replica/disk-budget.ts";
import type { Replica } from "@openclaw/core/replica.ts";
import { shedCount } from "@openclaw/core/state-machine/shed.ts";
import type { UplinkState } from "@openclaw/core/sync/uplink-state.ts";
import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from "prom-client";
import type { ClientPresenceCounts } from "./network/client-presence.ts";
import type { ProvisionalGossipCounts } from "./network/provisional-gossip.ts";
import type { LinkRefusals } from "./sync/link-refusals.ts";

/** Seconds: from one fsync on a fast disk to an election and a retry. */
const COMMIT_BUCKETS = [0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10];

/** How often the event loop's lag is looked at, ms: each look wakes the process, which idle it should not be. */
const LOOP_LAG_MS = 1_000;

export interface MetricSources {
  readonly replica: Pick<Replica, "status" | "position" | "read">;
  /** Raft messages dropped at the transport's limits since the start. */
  readonly transportDrops: () => number;
  readonly disk: () => DiskStatus;
  /** Reads of the state that are not answered yet. */
  readonly stateReads: () => number;
  /** Streams of clients and sites. */
  readonly children: () => number;
  /** Of clients (R11). */
  readonly presence: () => ClientPresenceCounts;
  /** D5. */
  readonly provisional: () => ProvisionalGossipCounts;
  readonly refusals: Pick<LinkRefusals, "counts" | "list">;
  /** Children that were refused since the start, by code. */
  readonly refused: () => ReadonlyMap<ErrorCode, number>;
  /** Null without a parent. */
  readonly uplink: () => Pick<UplinkState, "connected" | "phase" | "use" | "left"> | null;
  /** Of the certificate for browsers; null without one. */
  readonly certificateExpires: () => Date | null;
}

export class Metrics {
  readonly #registry = new Registry();
  readonly #proposals: Counter<"command" | "result">;
  readonly #latency: Histogram<"command">;
  readonly #idempotent: Counter<"result">;
  #watchers: () => number = () => 0;

  constructor({
    replica,
    transportDrops,
    disk,
    stateReads,
    children,
    presence,
    provisional,
    refusals,
    refused,
    uplink,
    certificateExpires,
  }: MetricSources) {
    const registers = [this.#registry];
    collectDefaultMetrics({ register: this.#registry, eventLoopMonitoringPrecision: LOOP_LAG_MS });
    this.#proposals = new Counter({
      name: "openclaw_proposals_total",
      help: "User commands proposed over HTTP, by what became of them",
      labelNames: ["command", "result"],
      registers,
    });
    this.#latency = new Histogram({
      name: "openclaw_commit_seconds",
      help: "From a command's arrival to its result, applied here",
      labelNames: ["command"],
      buckets: COMMIT_BUCKETS,
      registers,
    });
    this.#idempotent = new Counter({
      name: "openclaw_idempotent_requests_total",
      help: "Requests under an Idempotency-Key: those that ran, and repeats that were answered as the first was",
      labelNames: ["result"],
      registers,
    });
    new Gauge({
      name: "openclaw_idempotency_keys",
      help: "Idempotency-Keys that are remembered; absent while this node's state does not answer",
      registers,
      async collect() {
        try {
          this.set((await replica.read({ kind: "idempotencySum" })).keys);
        } catch {
          // A state that is stopped, or differs from a majority's, is told by other metrics, which have to be answered.
          this.remove();
        }
      },
    });
    new Gauge({
      name: "openclaw_shed_revisions",
      help: 'Revisions that were shed before a parent had them (S5), of our ledger (link "") and of children\'s',
      labelNames: ["link"],
      registers,
      async collect() {
        try {
          const { shed } = await replica.read({ kind: "shed" });
          for (const { link, runs } of shed) this.set({ link: link ?? "" }, shedCount(runs));
        } catch {
          this.reset();
        }
      },
    });
    const gauge = (name: string, help: string, value: () => number): void => {
      new Gauge({
        name: `openclaw_${name}`,
        help,
        registers,
        collect() {
          this.set(value());
        },
      });
    };
    gauge("raft_term", "Raft term", () => replica.status().term);
    gauge("raft_leader", "1 at the leader", () => (replica.status().role === "leader" ? 1 : 0));
    gauge("raft_leader_known", "1 while this node knows a leader", () => (replica.status().leader === null ? 0 : 1));
    gauge("raft_commit_index", "Last committed log index", () => replica.status().raft.commit);
    gauge("raft_applied_index", "Last applied log index", () => replica.status().applied);
    gauge("raft_last_index", "Last log index", () => replica.status().raft.lastIndex);
    gauge("revision", "Newest revision applied here", () => replica.position().revision);
    gauge("commands_waiting", "Commands whose result this node awaits", () => replica.status().waiting);
    for (const way of ["sending", "receiving"] as const) {
      const name = `snapshot_${way}`;
      const transfer = () => replica.status().snapshots[way];
      gauge(`${name}_bytes`, "Bytes of the snapshot on its way; 0 when there is none", () => transfer()?.bytes ?? 0);
      gauge(`${name}_done_bytes`, "Bytes of it that have gone over", () => transfer()?.done ?? 0);
    }
    gauge("state_differs", "1 while this node's state differs from a majority's, or none is known (C1, C2)", () =>
      replica.status().agreement.kind === "sound" ? 0 : 1,
    );
    gauge(
      "state_compared_revision",
      "Revision as of which states were compared last",
      () => replica.status().comparison.revision,
    );
    gauge("transport_drops", "Raft messages dropped at a limit since the start", transportDrops);
    gauge("disk_budget_bytes", "What this node may take of its disk; 0: no budget", () => disk().budget ?? 0);
    gauge("disk_files_bytes", "Bytes of the data folder's files; 0 without a budget", () => disk().files ?? 0);
    gauge("disk_used_bytes", "Of those, what counts against the budget (S5)", () => disk().used ?? 0);
    gauge("disk_full", "1 while this node's budget is used up", () => (disk().full ? 1 : 0));
    gauge("disk_refuses", "1 while writes that need room are refused here", () => (disk().refuses === null ? 0 : 1));
    new Gauge({
      name: "openclaw_disk_shed",
      help: "Shed since the start: bytes of copies and log, revisions of the past and of the unshipped, writes refused",
      labelNames: ["step"],
      registers,
      collect() {
        for (const step of SHEDDING_ORDER) this.set({ step }, disk().shed[step]);
      },
    });
    new Gauge({
      name: "openclaw_disk_next",
      help: "1 at the step that is taken next when more room is needed",
      labelNames: ["step"],
      registers,
      collect() {
        for (const step of SHEDDING_ORDER) this.set({ step }, disk().next === step ? 1 : 0);
      },
    });
    gauge("state_reads", "Reads of the state that are not answered yet; beyond 4,000 they are refused", stateReads);
    new Gauge({
      name: "openclaw_links_refused",
      help: "Links to children and the parent that were refused since the start for what no further try mends: forks, other lives",
      labelNames: ["side", "code"],
      registers,
      collect() {
        for (const { side, code, count } of refusals.counts()) this.set({ side, code }, count);
      },
    });
    gauge("links_waiting", "Links that are refused now, and wait for an operator (L3)", () => refusals.list().length);
    gauge("children", "Sync streams of clients and sites that are open", children);
    new Gauge({
      name: "openclaw_children_refused",
      help: "Streams and pushes of children that were refused since the start, by the code that they were told",
      labelNames: ["code"],
      registers,
      collect() {
        for (const [code, count] of refused()) this.set({ code }, count);
      },
    });
    gauge("presence_entries", "Clients that are present in a topic, as this node knows", () => presence().entries);
    gauge("presence_topics", "Topics in which they are", () => presence().topics);
    new Gauge({
      name: "openclaw_presence",
      help: "Presence of clients since the start, by what became of it: messages between gateways (published, taken, and thrown away as strange, flooded, malformed); entries superseded by newer ones, old, left out because of full topics; and what clients were refused",
      labelNames: ["what"],
      registers,
      collect() {
        const { entries: _entries, topics: _topics, ...counts } = presence();
        for (const [what, count] of Object.entries(counts)) this.set({ what }, count);
      },
    });
    gauge(
      "certificate_expires_seconds",
      "When browsers take the certificate no longer, Unix time; 0 without one",
      () => (certificateExpires()?.getTime() ?? 0) / 1_000,
    );
    new Gauge({
      name: "openclaw_provisional",
      help: "Changes shown before they are committed, since the start: commands offered by this node's clients and heard from other gateways, what was shown to a client, what one did not read, what was lost at a limit, and messages between gateways (published, and thrown away as strange, flooded, malformed)",
      labelNames: ["what"],
      registers,
      collect() {
        for (const [what, count] of Object.entries(provisional())) this.set({ what }, count);
      },
    });
    gauge("watchers", "Open watches", () => this.#watchers());
    gauge("uplink_connected", "1 while the parent is connected; 0 also without a parent", () =>
      uplink()?.connected ? 1 : 0,
    );
    gauge("compacted_revision", "The first revision that is kept; 0: all are", () => replica.position().compacted);
    gauge("uplink_cursor", "Our revision that the parent holds", () => replica.position().parentHolds);
    gauge("uplink_lag_revisions", "Revisions that the parent does not hold yet; 0 without a parent", () => {
      const { revision, parentHolds } = replica.position();
      return uplink() === null ? 0 : revision - parentHolds;
    });
    gauge(
      "uplink_day_bytes",
      "Bytes on the wire to and from the parent of the present day of log time",
      () => uplink()?.use.bytes ?? 0,
    );
    gauge(
      "uplink_day_left_bytes",
      "Bytes that the day's budget leaves; -1 without a budget",
      () => uplink()?.left ?? -1,
    );
    gauge("uplink_spent", "1 while the link to the parent is stopped because the day's bytes are used up", () =>
      uplink()?.phase === "spent" ? 1 : 0,
    );
  }

  /** A user command was answered after `seconds`. */
  proposed(command: string, result: ErrorCode | "ok", seconds: number): void {
    this.#proposals.inc({ command, result });
    if (result === "ok") this.#latency.observe({ command }, seconds);
  }

  /** A request under an `Idempotency-Key` was answered. */
  idempotent(result: "ran" | "repeated"): void {
    this.#idempotent.inc({ result });
  }

  /** Where the number of open watches is read. */
  watchers(count: () => number): void {
    this.#watchers = count;
  }

  get contentType(): string {
    return this.#registry.contentType;
  }

  text(): Promise<string> {
    return this.#registry.metrics();
  }
}
