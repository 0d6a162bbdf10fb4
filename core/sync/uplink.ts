/**
 * A site's way up to its parent: ships the site's ledger, takes what the parent streams, and tells the site how far the
 * parent has it (S3). Runs on whichever node leads; all it knows is replicated, so that the next leader goes on.
 */
import { asOpenClawError, InvariantViolation, OpenClawError } from "../errors.ts";
import { type ClusterId, isLinkId, type LinkId, type Revision, revision } from "../ids.ts";
import { type Span, spanAt, spansOf } from "../ledger/lineage.ts";
import type { LinkItem } from "../ledger/record.ts";
import { selectForParent } from "../ledger/selection.ts";
import { BATCH_BYTES_MAX, BATCH_ITEMS_MAX } from "../limits.ts";
import type { Clock, Random } from "../ports.ts";
import type { Replica } from "../replica.ts";
import type { SystemCommand } from "../state-machine/command.ts";
import { Backoff } from "./backoff.ts";
import { ChildLink, type EventRun, type Hello, type Push, type Welcome } from "./child-link.ts";
import { SKIP_DELAY_MS } from "./down-stream.ts";
import type { ChildConnection, Subscription } from "./message.ts";
import { type Adoption, ParentEpochs } from "./parent-epochs.ts";
import { isBare, joinRuns } from "./run.ts";

/** S3: how often the parent's acknowledgement is replicated at most, ms. */
const HOLDS_EVERY_MS = 100;
/** How long revisions that bring nothing may wait for one that does, before the cursor moves past them alone, ms. */
const BARE_IMPORT_MS = 5_000;
/** Bare runs that may wait. */
const BARE_RUNS_MAX = 64;
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
  #welcome: Welcome | null = null;
  #lastError: OpenClawError | null = null;
  /** The parent has our ledger up to here, by its own word. */
  #holds = revision(0);
  readonly #epochs: ParentEpochs;
  /** Where the last push ended, or the parent stood when it welcomed us. */
  #pushed: { readonly revision: number; readonly hash: Uint8Array } | null = null;
  #noting = false;
  /** Bare revisions up to here waited long enough to go alone. */
  #bareTo = revision(0);
  #cancelBare: (() => void) | null = null;
  #runs: EventRun[] = [];
  #importing = false;
  #cancelImport: (() => void) | null = null;

  constructor(options: UplinkOptions) {
    this.#options = options;
    this.#backoff = new Backoff(options.clock, options.random, RETRY_MS_FIRST, RETRY_MS_MAX);
    this.#epochs = new ParentEpochs({
      source: options.replica,
      parent: options.parent,
      barrier: () => options.replica.barrier(PROPOSE_MS_MAX),
      propose: (command) => this.#propose(command),
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

  status(): UplinkState {
    const { replica, parent } = this.#options;
    const { parentHolds } = replica.position();
    return {
      parent,
      enabled: this.#enabled,
      connected: this.#link?.open === true,
      cursor: this.#welcome === null ? parentHolds : revision(Math.max(this.#holds, parentHolds)),
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
    const { epoch, ancestors, revision: end } = replica.position();
    const { link } = await replica.read({ kind: "link", link: linkOf(parent) });
    const wanted = subscription.collections.length > 0 || subscription.prefixes.length > 0;
    return {
      link: linkOf(cluster),
      child: { kind: "site", cluster, epoch, ancestors, revision: end, credential },
      down: wanted
        ? {
            subscription,
            cursor: revision(link?.cursor ?? 0),
            epoch: link?.epoch?.nonce ?? null,
            hash: link === null || link.cursor === 0 ? null : link.hash,
          }
        : null,
    };
  }

  #converse(connection: ChildConnection, hello: Omit<Hello, "kind" | "version">): Promise<OpenClawError | null> {
    return new Promise((resolve) => {
      let over = false;
      const welcomed = Promise.withResolvers<Welcome>();
      const link = new ChildLink({
        connection,
        hello,
        clock: this.#options.clock,
        owner: {
          source: { next: (after, inFlight) => this.#next(after, inFlight), oldest: () => 0 },
          welcomed: (welcome) => welcomed.resolve(welcome),
          pushed: ({ cursor }) => this.#parentHas(revision(cursor)),
          events: (run) => this.#received(run),
          holds: () => undefined,
          closed: (reason) => {
            over = true;
            this.#link = null;
            this.#welcome = null;
            this.#runs = [];
            this.#cancelImport?.();
            this.#cancelImport = null;
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
      if (this.#link !== link) return;
      if (next === "again") return link.close();
      this.#welcome = welcome;
      this.#lastError = null;
      this.#options.connected?.();
      this.#holds = revision(welcome.cursor);
      this.#pushed = welcome.hash === null ? null : { revision: welcome.cursor, hash: welcome.hash };
      void this.#noteHolds();
      link.wake();
      if (this.#runs.length > 0) void this.#import();
    } catch (error) {
      if (error instanceof InvariantViolation) throw error;
      if (this.#link === link) this.#fail(error);
    }
  }

  /** What following the parent that was refused last would do. @throws OpenClawError as `ParentEpochs.plan` */
  planAdoption(): Promise<Adoption> {
    return this.#epochs.plan();
  }

  /** Follows it. @throws OpenClawError as `ParentEpochs.adopt` */
  async adopt(): Promise<Adoption> {
    const adoption = await this.#epochs.adopt();
    this.#backoff.wake();
    return adoption;
  }

  /** The next run of our ledger for the parent. */
  async #next(after: number, inFlight: number): Promise<Push | null> {
    const { replica, parent } = this.#options;
    if (this.#welcome === null) return null;
    const waiting = replica.position().revision - after;
    // R3: the first goes at once, and what comes meanwhile is the next one; more at a time only if they are worth a frame.
    if (waiting <= 0 || waiting < PUSH_REVISIONS_MIN * inFlight) return null;
    const slice = await replica.ledger(revision(after + 1), BATCH_BYTES_MAX);
    // L3: no push goes past where an epoch departed.
    const to = spanAt(replica.position(), after + 1)?.to ?? Number.POSITIVE_INFINITY;
    const records = slice.records.slice(0, BATCH_ITEMS_MAX).filter((record) => record.revision <= to);
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
    const before = await this.#hashAt(revision(after));
    this.#pushed = last;
    return { to: last.revision, message: { kind: "pushLedger", items, hash: last.hash, after: before } };
  }

  /** Our ledger's hash there; null where it is no longer kept, and at the beginning, which the epoch tells. */
  async #hashAt(at: Revision): Promise<Uint8Array | null> {
    if (at === 0) return null;
    if (this.#pushed?.revision === at) return this.#pushed.hash;
    try {
      const { records } = await this.#options.replica.ledger(at, 1);
      return records[0]?.revision === at ? records[0].hash : null;
    } catch (error) {
      if (error instanceof OpenClawError && error.code === "COMPACTED") return null;
      throw error;
    }
  }

  #parentHas(cursor: Revision): void {
    if (cursor > this.#holds) this.#holds = cursor;
    void this.#noteHolds();
  }

  /** S3: one at a time, and not more often than agreed. */
  async #noteHolds(): Promise<void> {
    const { replica, parent, clock } = this.#options;
    const welcome = this.#welcome;
    if (welcome === null || this.#noting || this.#holds <= replica.position().parentHolds || !this.#wanted) return;
    this.#noting = true;
    const again = (ms: number): void => {
      clock.after(ms, () => {
        this.#noting = false;
        void this.#noteHolds();
      });
    };
    try {
      await this.#propose({ kind: "parentHolds", parent, epoch: welcome.epoch.nonce, revision: this.#holds });
      again(HOLDS_EVERY_MS);
    } catch (error) {
      if (error instanceof InvariantViolation) throw error;
      // No majority now. It is no news for anybody but us, and the next leader hears it from the parent again.
      this.#lastError = asOpenClawError(error);
      again(RETRY_MS_MAX);
    }
  }

  #received(run: EventRun): void {
    this.#runs.push(run);
    // A run of nothing holds nothing to be stored: it may be forgotten, and is then asked for again.
    if (isBare(run.items)) this.#link?.taken(run.to);
    const idle = this.#runs.every(({ items }) => isBare(items)) && this.#runs.length < BARE_RUNS_MAX;
    if (!idle) void this.#import();
    else this.#cancelImport ??= this.#options.clock.after(BARE_IMPORT_MS, () => void this.#import());
  }

  /** Takes what waits, in order, as one import; what comes meanwhile is the next one (R3). */
  async #import(): Promise<void> {
    this.#cancelImport?.();
    this.#cancelImport = null;
    if (this.#importing) return;
    this.#importing = true;
    const link = this.#link;
    try {
      while (this.#link === link && this.#welcome !== null) {
        const runs = takeRuns(this.#runs, spansOf(this.#welcome));
        const last = runs.at(-1);
        if (last === undefined) break;
        await this.#importRun(
          runs.reduce<readonly LinkItem[]>((items, run) => joinRuns(items, run.items), []),
          last,
          this.#welcome,
        );
        link?.taken(last.to);
      }
    } catch (error) {
      if (error instanceof InvariantViolation) throw error;
      if (this.#link === link) this.#fail(error);
    } finally {
      this.#importing = false;
    }
    if (this.#link !== link && this.#runs.length > 0) void this.#import();
  }

  async #importRun(items: readonly LinkItem[], { hash }: EventRun, { epoch }: Welcome): Promise<void> {
    const { parent } = this.#options;
    const result = await this.#propose({
      kind: "importLedger",
      link: linkOf(parent),
      cluster: parent,
      epoch,
      items,
      hash,
      // A connection begins where both ends agree, and its runs follow each other.
      after: null,
    });
    // A refusal ends the connection: the next one begins where the replicated cursor stands.
    if (result.kind === "importRefused") throw new OpenClawError(result.code, result.details);
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

/** As many runs as one import takes, at least one. */
function takeRuns(runs: EventRun[], spans: readonly Span[]): EventRun[] {
  let items = 0;
  let bytes = 0;
  let count = 0;
  for (const run of runs) {
    items += run.items.length;
    bytes += run.items.reduce((sum, item) => sum + (item.kind === "body" ? item.record.length : 0), 0);
    if (count > 0 && (items > BATCH_ITEMS_MAX || bytes > BATCH_BYTES_MAX)) break;
    count++;
    // L3: nor does an import go past where an epoch of the parent departed.
    if (spans.some(({ to }) => to === run.to)) break;
  }
  return runs.splice(0, count);
}

function linkOf(cluster: ClusterId): LinkId {
  if (!isLinkId(cluster)) throw new InvariantViolation("a cluster's name is a link");
  return cluster;
}
