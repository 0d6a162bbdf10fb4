/**
 * A site's way up to its parent: ships the site's ledger, takes what the parent streams, and tells the site how far the
 * parent has it (S3). Runs on whichever node leads; all it knows is replicated, so that the next leader goes on.
 */
import { asOpenClawError, InvariantViolation, type OpenClawError } from "../errors.ts";
import { linkOfCluster, type Revision, revision } from "../ids.ts";
import { type BeforeParent, NO_PARENT_BEFORE } from "../ledger/selection.ts";
import type { SystemCommand } from "../state-machine/command.ts";
import { Backoff } from "./backoff.ts";
import { ChildLink, type Hello, type Push, type Welcome } from "./child-link.ts";
import { DownImports } from "./down-imports.ts";
import { SKIP_DELAY_MS } from "./down-stream.ts";
import { DrainRate } from "./drain-rate.ts";
import { LedgerNews } from "./ledger-news.ts";
import { type LedgerEnd, ledgerPush } from "./ledger-push.ts";
import type { ChildConnection } from "./message.ts";
import { MirrorAge } from "./mirror-age.ts";
import { ParentEpochs } from "./parent-epochs.ts";
import { ParentHolds } from "./parent-holds.ts";
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

export class Uplink {
  readonly #options: UplinkOptions;
  /** Of a parent that cannot be reached. */
  readonly #unreached: Backoff;
  readonly #refused: Backoff;
  readonly #budget: UplinkBudget;
  readonly #drain: DrainRate;
  #unfollow: () => void = () => {};
  #unlead: () => void = () => {};
  #enabled = true;
  #started = false;
  #running = false;
  #link: ChildLink | null = null;
  /** Of a parent that is known to be the one that is followed. */
  #welcome: Welcome | null = null;
  readonly #news = new LedgerNews();
  #lastError: OpenClawError | null = null;
  readonly #holds: ParentHolds;
  readonly #epochs: ParentEpochs;
  /** Where the last push ended, or the parent stood when it welcomed us. */
  #pushed: LedgerEnd | null = null;
  /** Up to there our ledger speaks to a parent before this one. */
  #before: BeforeParent = NO_PARENT_BEFORE;
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
      replicated: () => replica.position(),
      wanted: () => this.#wanted && this.#welcome !== null,
      propose: (holds, epoch) => this.#propose({ kind: "parentHolds", parent, epoch, revision: holds }),
      failed: (error) => this.#note(error),
    });
    this.#epochs = new ParentEpochs({
      source: replica,
      parent,
      sha256: options.sha256,
      barrier: () => replica.barrier(PROPOSE_MS_MAX),
      propose: (command) => this.#propose(command),
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
    this.#news.begin(replica.position().revision);
    this.#unfollow = replica.follow((advance) => {
      this.#news.advanced(advance);
      this.#link?.wake();
    });
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
    this.#budget.wake();
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
      this.#budget.wake();
    } else if (!this.#running) {
      this.#running = true;
      void this.#run();
    }
  }

  async #run(): Promise<void> {
    while (this.#wanted) {
      if (this.#budget.left === 0) {
        await this.#budget.replenished((error) => this.#note(error));
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
    this.#epochs.greet();
    const { epoch, ancestors, revision: end } = replica.position();
    await this.#budget.refresh();
    const { link } = await replica.read({ kind: "link", link: linkOfCluster(parent) });
    this.#mirrorAge.taken(revision(link?.cursor ?? 0));
    const cursor = revision(link?.cursor ?? 0);
    const from = { link: linkOfCluster(parent), cluster: parent };
    const record = await this.#epochs.lastRecord(cursor);
    const hash = cursor === 0 ? null : (link?.hash ?? null);
    const wanted = await subscribed(replica, from, this.#options.subscription, cursor > 0, (one) => this.#propose(one));
    return {
      link: linkOfCluster(cluster),
      child: { kind: "site", cluster, epoch, ancestors, revision: end, credential },
      // Also where nothing is subscribed to: homes, commands and results come down whatever that is (Q2, Q3).
      down: { ...wanted, cursor, epoch: link?.epoch?.nonce ?? null, hash, record },
    };
  }

  #converse(connection: ChildConnection, hello: Omit<Hello, "kind" | "version">): Promise<OpenClawError | null> {
    const { clock } = this.#options;
    return new Promise((resolve) => {
      let over = false;
      const welcomed = Promise.withResolvers<Welcome>();
      const link = new ChildLink({
        connection,
        hello,
        clock,
        owner: {
          source: { next: (after, inFlight) => this.#next(after, inFlight), oldest: () => 0 },
          welcomed: (welcome) => {
            this.#imports = this.#importsOf(welcome);
            welcomed.resolve(welcome);
          },
          pushed: ({ cursor }) => {
            this.#drain.took(cursor, this.#options.traffic().sent);
            this.#budget.pushed(true);
            this.#claimed(link, revision(cursor));
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
            if (this.#welcome !== null && reason?.code === "UNAVAILABLE" && this.#drain.rate === null)
              this.#budget.pushed(false);
            this.#link = null;
            this.#welcome = null;
            this.#upSnapshot = null;
            this.#imports?.close();
            this.#imports = null;
            resolve(reason);
          },
        },
      });
      if (over) return;
      this.#link = link;
      void welcomed.promise.then((welcome) => this.#welcomed(link, welcome));
    });
  }

  /** Nothing goes either way before it is known that the parent is the one that is followed (L3). */
  async #welcomed(link: ChildLink, welcome: Welcome): Promise<void> {
    try {
      const next = await this.#epochs.met(welcome);
      const { addressed, former } = await this.#options.replica.read({ kind: "homes" });
      if (this.#link !== link) return;
      if (next === "again") return link.close();
      this.#before = { addressed, former };
      this.#welcome = welcome;
      const { replica, parent, traffic } = this.#options;
      const epoch = welcome.epoch.nonce;
      const lacks = (holds: Revision) => this.#propose({ kind: "parentLacks", parent, epoch, revision: holds });
      this.#upSnapshot = new UpSnapshot(replica, parent, welcome, lacks, () => this.#budget.turn());
      this.#lastError = null;
      this.#drain.begin(welcome.cursor, traffic().sent);
      this.#options.connected?.();
      this.#holds.begin(epoch, revision(welcome.cursor));
      this.#pushed = welcome.hash === null ? null : { revision: revision(welcome.cursor), hash: welcome.hash };
      this.#imports?.begin();
      link.wake();
    } catch (error) {
      if (error instanceof InvariantViolation) throw error;
      if (this.#link === link) this.#fail(error);
    }
  }

  /** Which life of the parent is followed: what another one would change, and going over to it (L3). */
  get epochs(): ParentEpochs {
    return this.#epochs;
  }

  /** The parent says how far it has our ledger. */
  #claimed(link: ChildLink, cursor: Revision): void {
    // The next connection may be of another life of the parent, which did not say so.
    this.#epochs.requireOurs(cursor).then(
      () => (this.#link === link ? this.#holds.heard(cursor) : undefined),
      (error: unknown) => (this.#link === link ? this.#fail(error) : undefined),
    );
  }

  #importsOf({ epoch, ancestors }: Welcome): DownImports {
    const { parent, clock } = this.#options;
    return new DownImports({
      link: linkOfCluster(parent),
      parent,
      lineage: { epoch, ancestors },
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
    const { replica } = this.#options;
    if (this.#welcome === null) return null;
    this.#budget.look().catch((error: unknown) => this.#note(error));
    if (this.#budget.left === 0) {
      // What is on its way is still answered: it would have to be sent again.
      if (inFlight === 0) this.#spent();
      return null;
    }
    const snapshot = await this.#upSnapshot?.next(revision(after), inFlight);
    if (snapshot?.due === true) return snapshot.push;
    const waiting = replica.position().revision - after;
    // A refusal may send us anywhere.
    if (waiting < 0) await this.#epochs.requireOurs(revision(after));
    // R3: the first goes at once, and what comes meanwhile is the next one; more at a time only if they are worth a frame.
    if (waiting <= 0 || waiting < PUSH_REVISIONS_MIN * inFlight) return null;
    await this.#budget.turn();
    const { pushBytes } = this.#budget;
    const slice = this.#news.after(after, pushBytes) ?? (await replica.ledger(revision(after + 1), pushBytes));
    const push = await ledgerPush({ ...this.#options, ...this.#before }, revision(after), this.#pushed, slice);
    // L1: what came from the parent goes back as skips; those wait for something to go with, so that links fall silent.
    if (push === null || !push.idle || push.to <= this.#bareTo) {
      if (push !== null) this.#pushed = push.end;
      return push;
    }
    this.#cancelBare ??= this.#options.clock.after(SKIP_DELAY_MS, () => {
      this.#cancelBare = null;
      this.#bareTo = replica.position().revision;
      this.#link?.wake();
    });
    return null;
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
