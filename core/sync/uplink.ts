/**
 * A site's way up to its parent: ships the site's ledger, takes what the parent streams, and tells the site how far the
 * parent has it (S3). Runs on whichever node leads; all it knows is replicated, so that the next leader goes on.
 */
import { asOpenClawError, InvariantViolation, OpenClawError } from "../errors.ts";
import { linkOfCluster, type Revision, revision } from "../ids.ts";
import { selectForParent } from "../ledger/selection.ts";
import { BATCH_ITEMS_MAX } from "../limits.ts";
import type { SystemCommand } from "../state-machine/command.ts";
import { Backoff } from "./backoff.ts";
import { ChildLink, type Hello, type Push, type Welcome } from "./child-link.ts";
import { DownImports } from "./down-imports.ts";
import { SKIP_DELAY_MS } from "./down-stream.ts";
import { DrainRate } from "./drain-rate.ts";
import type { ChildConnection } from "./message.ts";
import { MirrorAge } from "./mirror-age.ts";
import { ParentHolds } from "./parent-holds.ts";
import { isBare } from "./run.ts";
import { subscribed } from "./subscribed.ts";
import { UpSnapshot } from "./up-snapshot.ts";
import { UplinkBudget } from "./uplink-budget.ts";
import type { UplinkOptions, UplinkReplica } from "./uplink-options.ts";
import type { UplinkPhase, UplinkState } from "./uplink-state.ts";

/** Revisions, for each push that is in flight, that make another push worth a frame. */
const PUSH_REVISIONS_MIN = 32;
const PROPOSE_MS_MAX = 10_000;
const RETRY_MS_FIRST = 100;
const RETRY_MS_MAX = 5_000;
/** Slowly: after a cut of ten seconds a parent is tried about once a second, so that a backlog need not wait for the link. */
const UNREACHED_GROWTH = 1.05;
/** How often a link that used up its day looks whether it may go on, ms. */
const SPENT_LOOK_MS = 1_000;

export class Uplink {
  readonly #options: UplinkOptions;
  /** Of a parent that cannot be reached, and of one that says no. */
  readonly #unreached: Backoff;
  readonly #refused: Backoff;
  readonly #budget: UplinkBudget;
  readonly #drain: DrainRate;
  #wakeSpent: () => void = () => {};
  #unfollow: () => void = () => {};
  #unlead: () => void = () => {};
  #enabled = true;
  #started = false;
  #running = false;
  #link: ChildLink | null = null;
  #lastError: OpenClawError | null = null;
  readonly #holds: ParentHolds;
  /** Bare revisions up to here waited long enough to go alone. */
  #bareTo = revision(0);
  #cancelBare: (() => void) | null = null;
  readonly #mirrorAge: MirrorAge;
  #upSnapshot: UpSnapshot | null = null;
  #imports: DownImports | null = null;

  constructor(options: UplinkOptions) {
    this.#options = options;
    const { clock, random, limits, replica, parent } = options;
    this.#mirrorAge = new MirrorAge(clock);
    this.#holds = new ParentHolds({
      clock,
      replicated: () => replica.position().parentHolds,
      wanted: () => this.#wanted,
      propose: (holds) => this.#propose({ kind: "parentHolds", parent, revision: holds }),
      failed: (error) => this.#note(error),
    });
    this.#unreached = new Backoff(clock, random, RETRY_MS_FIRST, RETRY_MS_MAX, UNREACHED_GROWTH);
    this.#refused = new Backoff(clock, random, RETRY_MS_FIRST, RETRY_MS_MAX);
    this.#drain = new DrainRate(clock);
    this.#budget = new UplinkBudget({
      limits,
      clock,
      traffic: () => options.traffic(),
      position: () => replica.position(),
      read: () => replica.read({ kind: "uplinkUse" }),
      note: async (day, bytes) => void (await this.#propose({ kind: "uplinkUsed", day, bytes })),
    });
  }

  start(): void {
    const { replica } = this.#options;
    this.#started = true;
    this.#unlead = replica.onLeadership(() => this.#look());
    this.#unfollow = replica.follow(() => this.#link?.wake());
    this.#look();
  }

  async stop(): Promise<void> {
    this.#started = false;
    this.#unlead();
    this.#unfollow();
    this.#look();
  }

  /** An operator's cut, or its end. */
  setEnabled(enabled: boolean): void {
    this.#enabled = enabled;
    this.#look();
  }

  /** An operator's: what today may use beyond the budget. Good at any node. */
  async allow(bytes: number): Promise<void> {
    await this.#propose({ kind: "allowUplink", day: this.#budget.use.day, bytes });
    await this.#budget.refresh();
    this.#wakeSpent();
  }

  status(): UplinkState {
    return {
      parent: this.#options.parent,
      enabled: this.#enabled,
      connected: this.#link?.open === true,
      phase: this.#phase,
      rate: this.#drain.rate,
      ...this.#budget.state,
      cursor: this.#holds.revision,
      lastError: this.#lastError,
    };
  }

  /** Ms since what is here of the parent was known to be level with it; null when it never was, by this node. */
  mirrorAgeMs(): number | null {
    return this.#mirrorAge.ms(this.#link);
  }

  get #phase(): UplinkPhase {
    const { replica } = this.#options;
    if (replica.status().role !== "leader") return "standby";
    if (!this.#enabled) return "paused";
    if (this.#link?.open === true) return this.#holds.revision < replica.position().revision ? "shipping" : "idle";
    return this.#budget.left === 0 ? "spent" : "connecting";
  }

  get #wanted(): boolean {
    return this.#started && this.#enabled && this.#options.replica.status().role === "leader";
  }

  /** Something that decides whether we run has changed. */
  #look(): void {
    if (!this.#wanted) {
      this.#link?.close();
      this.#unreached.wake();
      this.#refused.wake();
      this.#wakeSpent();
    } else if (!this.#running) {
      this.#running = true;
      void this.#run();
    }
  }

  async #run(): Promise<void> {
    while (this.#wanted) {
      if (this.#budget.left === 0) {
        await this.#replenished();
        continue;
      }
      const reason = await this.#connection();
      this.#lastError = reason;
      this.#options.ended?.(reason);
      if (!this.#wanted) break;
      await (reason === null || reason.code === "UNAVAILABLE" ? this.#unreached : this.#refused).wait();
    }
    this.#running = false;
    // The leadership may have come back while the last connection was ending.
    if (this.#wanted) this.#look();
  }

  /** Resolves when there may be bytes again: the day may be another one, or an operator may have allowed more. */
  async #replenished(): Promise<void> {
    const { clock } = this.#options;
    await this.#budget.look().catch((error: unknown) => this.#note(error));
    await new Promise<void>((resolve) => {
      const cancel = clock.after(SPENT_LOOK_MS, resolve);
      this.#wakeSpent = () => {
        cancel();
        resolve();
      };
    });
    await this.#budget.refresh().catch((error: unknown) => this.#note(error));
  }

  async #connection(): Promise<OpenClawError | null> {
    try {
      const hello = await this.#hello();
      if (this.#budget.left === 0) return null;
      const connection = await this.#options.connect(this.#lastError);
      if (!this.#wanted) {
        connection.close();
        return null;
      }
      return await this.#converse(connection, hello);
    } catch (error) {
      if (error instanceof InvariantViolation) throw error;
      return asOpenClawError(error);
    }
  }

  async #hello(): Promise<Omit<Hello, "kind" | "version">> {
    const { replica, cluster, parent, credential } = this.#options;
    // A new leader may not have applied the last cursor yet.
    await replica.barrier(PROPOSE_MS_MAX);
    const { epoch } = replica.position();
    await this.#budget.refresh();
    const { link } = await replica.read({ kind: "link", link: linkOfCluster(parent) });
    this.#mirrorAge.taken(revision(link?.cursor ?? 0));
    const begun = (link?.cursor ?? 0) > 0;
    const from = { link: linkOfCluster(parent), cluster: parent };
    const wanted = await subscribed(replica, from, this.#options.subscription, begun, (one) => this.#propose(one));
    return {
      link: linkOfCluster(cluster),
      child: { kind: "site", cluster, epoch, credential },
      // Also where nothing is subscribed to: homes, commands and results come down whatever that is (Q2, Q3).
      down: { ...wanted, cursor: revision(link?.cursor ?? 0), epoch: link?.epoch?.nonce ?? null },
    };
  }

  #converse(connection: ChildConnection, hello: Omit<Hello, "kind" | "version">): Promise<OpenClawError | null> {
    const { clock } = this.#options;
    return new Promise((resolve) => {
      let over = false;
      const link = new ChildLink({
        connection,
        hello,
        clock,
        owner: {
          source: { next: (after, inFlight) => this.#next(after, inFlight), oldest: () => 0 },
          welcomed: (welcome) => this.#welcomed(welcome),
          pushed: ({ cursor }) => {
            this.#drain.took(cursor, this.#options.traffic().sent);
            this.#claimed(revision(cursor));
          },
          events: (run) => {
            this.#imports?.events(run);
            this.#lookAtBudget();
          },
          snapshot: (step) => {
            this.#imports?.snapshot(step);
            this.#lookAtBudget();
          },
          holds: () => undefined,
          closed: (reason) => {
            over = true;
            this.#link = null;
            this.#upSnapshot = null;
            this.#imports?.close();
            this.#imports = null;
            resolve(reason);
          },
        },
      });
      if (!over) this.#link = link;
    });
  }

  #welcomed(welcome: Welcome): void {
    const { parent, replica } = this.#options;
    if (welcome.cluster !== parent) {
      this.#link?.fail(new OpenClawError("WRONG_CLUSTER", `${welcome.cluster} answered, the parent is ${parent}`));
      return;
    }
    const lacks = (holds: Revision) => this.#propose({ kind: "parentLacks", parent, revision: holds });
    this.#upSnapshot = new UpSnapshot(replica, parent, welcome, lacks, () => this.#budget.turn());
    this.#imports = this.#importsOf(welcome);
    this.#lastError = null;
    this.#drain.begin(welcome.cursor, this.#options.traffic().sent);
    this.#options.connected?.();
    this.#claimed(revision(welcome.cursor));
  }

  /** The parent says how far it has our ledger: no further than the ledger goes, or it is no word of ours that it has. */
  #claimed(cursor: Revision): void {
    const { replica } = this.#options;
    if (cursor <= replica.position().revision) return this.#holds.heard(cursor);
    // Ahead is not a fork (L3): this node may be behind its own cluster.
    replica.barrier(PROPOSE_MS_MAX).then(
      () => {
        const { revision: end } = replica.position();
        if (cursor <= end) return this.#holds.heard(cursor);
        this.#fail(new OpenClawError("FORK", `the parent has revision ${cursor}, this cluster ends at ${end}`));
      },
      (error: unknown) => this.#fail(error),
    );
  }

  #importsOf({ epoch }: Welcome): DownImports {
    const { parent, clock } = this.#options;
    return new DownImports({
      link: linkOfCluster(parent),
      parent,
      epoch,
      clock,
      propose: (command) => this.#propose(command),
      taken: {
        taken: (cursor) => {
          this.#mirrorAge.taken(cursor);
          this.#link?.taken(cursor);
        },
        snapshotTaken: () => this.#link?.snapshotTaken(),
      },
      failed: (error) => this.#fail(error),
    });
  }

  /** The next run of our ledger for the parent. */
  async #next(after: number, inFlight: number): Promise<Push | null> {
    const { replica, parent, sha256 } = this.#options;
    this.#budget.look().catch((error: unknown) => this.#note(error));
    if (this.#budget.left === 0) {
      // What is on its way is still answered: it would have to be sent again.
      if (inFlight === 0) this.#spent();
      return null;
    }
    const snapshot = await this.#upSnapshot?.next(revision(after), inFlight);
    if (snapshot?.due === true) return snapshot.push;
    const waiting = replica.position().revision - after;
    // R3: the first goes at once, and what comes meanwhile is the next one; more at a time only if they are worth a frame.
    if (waiting <= 0 || waiting < PUSH_REVISIONS_MIN * inFlight) return null;
    await this.#budget.turn();
    const slice = await replica.ledger(revision(after + 1), this.#budget.pushBytes);
    const records = slice.records.slice(0, BATCH_ITEMS_MAX);
    const last = records.at(-1);
    if (last === undefined) return null;
    const items = selectForParent(records, parent, sha256);
    // L1: what came from the parent goes back as skips; those wait for something to go with, so that links fall silent.
    if (isBare(items) && last.revision > this.#bareTo && last.revision === slice.revision) {
      this.#cancelBare ??= this.#options.clock.after(SKIP_DELAY_MS, () => {
        this.#cancelBare = null;
        this.#bareTo = replica.position().revision;
        this.#link?.wake();
      });
      return null;
    }
    return { to: last.revision, message: { kind: "pushLedger", items, hash: last.hash } };
  }

  /** What the parent streams costs bytes as well: the link looks whether any are left. */
  #lookAtBudget(): void {
    if (this.#budget.left === 0) this.#link?.wake();
  }

  #spent(): void {
    this.#options.spent?.(this.#budget.msToNextDay);
    this.#link?.close();
  }

  #propose(command: SystemCommand): ReturnType<UplinkReplica["propose"]> {
    const { replica } = this.#options;
    return replica.propose(command, { principal: `node:${replica.status().id}`, timeoutMs: PROPOSE_MS_MAX });
  }

  /** What went wrong beside the connection. */
  #note(error: unknown): void {
    if (error instanceof InvariantViolation) throw error;
    this.#lastError = asOpenClawError(error);
  }

  #fail(error: unknown): void {
    const failure = asOpenClawError(error);
    this.#lastError = failure;
    this.#link?.fail(failure);
  }
}
