/**
 * A site's way up to its parent: ships the site's ledger, takes what the parent streams, and tells the site how far the
 * parent has it (S3). Runs on whichever node leads; all it knows is replicated, so that the next leader goes on.
 */
import { asOpenClawError, InvariantViolation, OpenClawError } from "../errors.ts";
import { type ClusterId, isLinkId, type LinkId, type Revision, revision } from "../ids.ts";
import { isNothing, scopeOf } from "../ledger/scope.ts";
import { selectForParent } from "../ledger/selection.ts";
import type { StreamState } from "../ledger/snapshot.ts";
import type { Subscription } from "../ledger/subscription.ts";
import { BATCH_BYTES_MAX, BATCH_ITEMS_MAX } from "../limits.ts";
import type { Clock, Random } from "../ports.ts";
import type { Replica } from "../replica.ts";
import type { SystemCommand } from "../state-machine/command.ts";
import { isSubscribed } from "../state-machine/subscribe.ts";
import { Backoff } from "./backoff.ts";
import { ChildLink, type Hello, type Push, type Welcome } from "./child-link.ts";
import { DownImports } from "./down-imports.ts";
import { SKIP_DELAY_MS } from "./down-stream.ts";
import type { ChildConnection } from "./message.ts";
import { isBare } from "./run.ts";
import { subscribeTo } from "./snapshot-taking.ts";
import { UpSnapshot } from "./up-snapshot.ts";

/** S3: how often the parent's acknowledgement is replicated at most, ms. */
const HOLDS_EVERY_MS = 100;
/** Revisions, for each push that is in flight, that make another push worth a frame. */
const PUSH_REVISIONS_MIN = 32;
const PROPOSE_MS_MAX = 10_000;
const RETRY_MS_FIRST = 100;
const RETRY_MS_MAX = 5_000;

export type UplinkReplica = Pick<
  Replica,
  "propose" | "barrier" | "read" | "history" | "ledger" | "follow" | "position" | "status" | "onLeadership"
>;

export interface UplinkOptions {
  readonly replica: UplinkReplica;
  readonly cluster: ClusterId;
  readonly parent: ClusterId;
  readonly credential: Uint8Array;
  readonly subscription: Subscription;
  readonly clock: Clock;
  readonly random: Random;
  /** One try at a connection to the parent; told why the one before ended, as another of its nodes may do better. */
  connect(ended: OpenClawError | null): Promise<ChildConnection>;
  /** A connection ended, with why; null when it was ended here. */
  ended?(reason: OpenClawError | null): void;
  connected?(): void;
}

export interface UplinkState {
  readonly parent: ClusterId;
  /** False while an operator has it cut. */
  readonly enabled: boolean;
  readonly connected: boolean;
  /** Our revision up to which the parent has the ledger. */
  readonly cursor: Revision;
  readonly lastError: OpenClawError | null;
}

export class Uplink {
  readonly #options: UplinkOptions;
  readonly #backoff: Backoff;
  #unfollow: () => void = () => {};
  #unlead: () => void = () => {};
  #enabled = true;
  #started = false;
  #running = false;
  #link: ChildLink | null = null;
  #lastError: OpenClawError | null = null;
  /** The parent has our ledger up to here, by its own word. */
  #holds = revision(0);
  #noting = false;
  /** Bare revisions up to here waited long enough to go alone. */
  #bareTo = revision(0);
  #cancelBare: (() => void) | null = null;
  #upSnapshot: UpSnapshot | null = null;
  #imports: DownImports | null = null;

  constructor(options: UplinkOptions) {
    this.#options = options;
    this.#backoff = new Backoff(options.clock, options.random, RETRY_MS_FIRST, RETRY_MS_MAX);
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

  status(): UplinkState {
    const { replica, parent } = this.#options;
    const { parentHolds } = replica.position();
    return {
      parent,
      enabled: this.#enabled,
      connected: this.#link?.open === true,
      cursor: revision(Math.max(this.#holds, parentHolds)),
      lastError: this.#lastError,
    };
  }

  get #wanted(): boolean {
    return this.#started && this.#enabled && this.#options.replica.status().role === "leader";
  }

  /** Something that decides whether we run has changed. */
  #look(): void {
    if (!this.#wanted) {
      this.#link?.close();
      this.#backoff.wake();
    } else if (!this.#running) {
      this.#running = true;
      void this.#run();
    }
  }

  async #run(): Promise<void> {
    while (this.#wanted) {
      const reason = await this.#connection();
      this.#lastError = reason;
      this.#options.ended?.(reason);
      if (!this.#wanted) break;
      await this.#backoff.wait();
    }
    this.#running = false;
    // The leadership may have come back while the last connection was ending.
    if (this.#wanted) this.#look();
  }

  async #connection(): Promise<OpenClawError | null> {
    try {
      const hello = await this.#hello();
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
    const { replica, cluster, parent, credential, subscription } = this.#options;
    // A new leader may not have applied the last cursor yet.
    await replica.barrier(PROPOSE_MS_MAX);
    const { epoch } = replica.position();
    const { link } = await replica.read({ kind: "link", link: linkOf(parent) });
    const stream = await this.#subscribe((link?.cursor ?? 0) > 0);
    const down = { subscription, cursor: revision(link?.cursor ?? 0), epoch: link?.epoch?.nonce ?? null, ...stream };
    return {
      link: linkOf(cluster),
      child: { kind: "site", cluster, epoch, credential },
      down: isNothing(scopeOf(subscription)) ? null : down,
    };
  }

  /** S4: what the stream is of, once nothing that is not wanted is left of it. */
  async #subscribe(begun: boolean): Promise<StreamState> {
    const { replica, parent, subscription } = this.#options;
    const link = linkOf(parent);
    const stream = await replica.read({ kind: "stream", link });
    if (isSubscribed(stream, subscription, begun)) return stream;
    await subscribeTo((command) => this.#propose(command), { link, cluster: parent }, subscription);
    return replica.read({ kind: "stream", link });
  }

  #converse(connection: ChildConnection, hello: Omit<Hello, "kind" | "version">): Promise<OpenClawError | null> {
    return new Promise((resolve) => {
      let over = false;
      const link = new ChildLink({
        connection,
        hello,
        clock: this.#options.clock,
        owner: {
          source: { next: (after, inFlight) => this.#next(after, inFlight), oldest: () => 0 },
          welcomed: (welcome) => this.#welcomed(welcome),
          pushed: ({ cursor }) => this.#parentHas(revision(cursor)),
          events: (run) => this.#imports?.events(run),
          snapshot: (step) => this.#imports?.snapshot(step),
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
    this.#upSnapshot = new UpSnapshot(replica, parent, welcome, async (holds) => {
      await this.#propose({ kind: "parentLacks", parent, revision: holds });
    });
    this.#imports = this.#importsOf(welcome);
    this.#lastError = null;
    this.#options.connected?.();
    if (welcome.cursor <= replica.position().revision) return this.#parentHas(revision(welcome.cursor));
    // Ahead is not a fork (L3): this node may be behind its own cluster.
    replica.barrier(PROPOSE_MS_MAX).then(
      () => {
        if (welcome.cursor <= replica.position().revision) return this.#parentHas(revision(welcome.cursor));
        this.#fail(
          new OpenClawError(
            "FORK",
            `the parent has revision ${welcome.cursor}, this cluster ends at ${replica.position().revision}`,
          ),
        );
      },
      (error: unknown) => this.#fail(error),
    );
  }

  #importsOf({ epoch }: Welcome): DownImports {
    const { parent, clock } = this.#options;
    return new DownImports({
      link: linkOf(parent),
      parent,
      epoch,
      clock,
      propose: (command) => this.#propose(command),
      taken: {
        taken: (cursor) => this.#link?.taken(cursor),
        snapshotTaken: () => this.#link?.snapshotTaken(),
      },
      failed: (error) => this.#fail(error),
    });
  }

  /** The next run of our ledger for the parent. */
  async #next(after: number, inFlight: number): Promise<Push | null> {
    const { replica, parent } = this.#options;
    const snapshot = this.#upSnapshot;
    if (snapshot?.isDue(revision(after)) === true) {
      // What is on its way before it comes first: how far the parent is then, its answer tells.
      if (!snapshot.begun && inFlight > 0) return null;
      const push = await snapshot.next(revision(after));
      if (push !== null) return push;
    }
    const waiting = replica.position().revision - after;
    // R3: the first goes at once, and what comes meanwhile is the next one; more at a time only if they are worth a frame.
    if (waiting <= 0 || waiting < PUSH_REVISIONS_MIN * inFlight) return null;
    const slice = await replica.ledger(revision(after + 1), BATCH_BYTES_MAX);
    const records = slice.records.slice(0, BATCH_ITEMS_MAX);
    const last = records.at(-1);
    if (last === undefined) return null;
    const items = selectForParent(records, parent);
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

  #parentHas(cursor: Revision): void {
    if (cursor > this.#holds) this.#holds = cursor;
    void this.#noteHolds();
  }

  /** S3: one at a time, and not more often than agreed. */
  async #noteHolds(): Promise<void> {
    const { replica, parent, clock } = this.#options;
    if (this.#noting || this.#holds <= replica.position().parentHolds || !this.#wanted) return;
    this.#noting = true;
    const again = (ms: number): void => {
      clock.after(ms, () => {
        this.#noting = false;
        void this.#noteHolds();
      });
    };
    try {
      await this.#propose({ kind: "parentHolds", parent, revision: this.#holds });
      again(HOLDS_EVERY_MS);
    } catch (error) {
      if (error instanceof InvariantViolation) throw error;
      // No majority now. It is no news for anybody but us, and the next leader hears it from the parent again.
      this.#lastError = asOpenClawError(error);
      again(RETRY_MS_MAX);
    }
  }

  #propose(command: SystemCommand): ReturnType<UplinkReplica["propose"]> {
    const { replica } = this.#options;
    return replica.propose(command, { principal: `node:${replica.status().id}`, timeoutMs: PROPOSE_MS_MAX });
  }

  #fail(error: unknown): void {
    const failure = asOpenClawError(error);
    this.#lastError = failure;
    this.#link?.fail(failure);
  }
}

function linkOf(cluster: ClusterId): LinkId {
  if (!isLinkId(cluster)) throw new InvariantViolation("a cluster's name is a link");
  return cluster;
}
