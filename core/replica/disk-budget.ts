/**
 * S5: a hard budget of a node's disk. A look, once a second and never on a write's way, measures what is used and makes
 * room in the declared order, one step at a time: copies that nobody reads, the Raft log, the past that the parent holds,
 * and, where that is allowed, the past that it does not hold yet. When that is not enough, writes that need room are refused
 * until there is room again.
 *
 * Members' disks differ, so nothing of it is replicated but the leader's `compact`. A write is refused by the node that
 * would propose it, when the leader has no room or when no majority would be left that has: a full minority is told of
 * in its status and does not stop the others. What other members say comes by gossip, so a refusal may be late by its
 * delay (R11). etcd refuses cluster-wide as soon as one member is full.
 */
import { asOpenClawError, OpenClawError } from "../errors.ts";
import { type NodeId, type Revision, revision } from "../ids.ts";
import type { Clock } from "../ports.ts";
import type { Replica } from "../replica.ts";
import { needsRoom } from "../state-machine/command-room.ts";
import type { Proposed } from "./proposals.ts";
import { firstToShip } from "./unshipped.ts";

/** Ms between two looks: what is written in between may go over a mark. */
const LOOK_MS = 1_000;
/** Shares of the budget: room is made above the first; writes are refused from the second on, until below the third. */
const SHED_ABOVE = 0.8;
const REFUSE_FROM = 0.95;
const ACCEPT_BELOW = 0.9;
/** What the parent does not hold is a loss to it: the step before writes are refused, so late that only they are left. */
const UNSHIPPED_ABOVE = ACCEPT_BELOW;
/** Growth of the log and the WAL, bytes, after which a further checkpoint and cut are worth their cost. */
const LOG_STEP_BYTES = 4 * 1_048_576;
/** The past goes by this part of it, ms apart: what was compacted is removed, and others' gossip heard, before the next. */
const PAST_PARTS = 4;
const PAST_PAUSE_MS = 5_000;
/** Ms until a compaction is given up, and made anew at a later look. */
const EXECUTE_MS = 10_000;

/** In the order in which they are taken. */
export const SHEDDING_ORDER = ["copies", "log", "past", "unshipped", "writes"] as const;
export type SheddingStep = (typeof SHEDDING_ORDER)[number];

/** All in bytes. */
export interface DiskUse {
  /** Of every file. */
  readonly files: number;
  /** Of those: what the state writes over before its file grows. SQLite keeps the pages of rows that were deleted. */
  readonly reusable: number;
  /** Of those: the Raft log's files and the state's WAL. */
  readonly log: number;
  /** Of those: copies of the state, and a state kept aside. */
  readonly copies: number;
  /** What was compacted is still being removed. */
  readonly removing: boolean;
}

export interface Disk {
  use(): Promise<DiskUse>;
  /** Removes the copies that nobody reads just now. */
  dropCopies(): Promise<void>;
}

export interface DiskStatus {
  /** Bytes; null: none. */
  readonly budget: number | null;
  /** Bytes of files; null without a budget: nothing is measured. */
  readonly files: number | null;
  /** Bytes that count: files without what is reusable. */
  readonly used: number | null;
  /** This node has no room for writes. */
  readonly full: boolean;
  /** Why this node refuses writes that need room; null: it does not. */
  readonly refuses: string | null;
  /** What was shed since the start: bytes of copies and of the log, revisions of the past and of the unshipped, writes refused. */
  readonly shed: { readonly [step in SheddingStep]: number };
  /** What goes next when more room is needed; null without a budget. */
  readonly next: SheddingStep | null;
}

export interface DiskBudgetOptions {
  readonly replica: Pick<Replica, "status" | "position" | "execute" | "propose" | "ledger" | "shedLog">;
  readonly clock: Clock;
  readonly disk: Disk;
  /** Null: this node has none, and heeds only what others say. */
  readonly budgetBytes: number | null;
  /** Whether there is a parent: what it does not hold is not shed with the past. */
  readonly pinned: boolean;
  /** Whether that, too, may go, last of all: the parent never gets those records, but a snapshot. */
  readonly shedsUnshipped: boolean;
  /** Whether a member said that it is full. */
  readonly saysFull: (node: NodeId) => boolean;
  /** Something was shed, the budget is used up or not any more, writes are refused or taken again: never silent. */
  readonly told: (what: string, status: DiskStatus) => void;
  /** Of every look that came to nothing for it. */
  readonly failed: (error: OpenClawError) => void;
}

export class DiskBudget {
  readonly #options: DiskBudgetOptions;
  readonly #shed: { [step in SheddingStep]: number } = { copies: 0, log: 0, past: 0, unshipped: 0, writes: 0 };
  #use: DiskUse | null = null;
  #full = false;
  #refuses: string | null = null;
  /** What was left when they were last cut down. */
  #copiesLeft = 0;
  #logLeft = 0;
  #compactedAt = Number.NEGATIVE_INFINITY;
  /** Not to be shed, as far as was looked; null: nothing that was found. */
  #toShip: Revision | null = null;
  #stopped = false;
  #cancel: () => void = () => {};

  constructor(options: DiskBudgetOptions) {
    this.#options = options;
  }

  /** Resolves after the first look. */
  async start(): Promise<void> {
    await this.look().catch((error: unknown) => this.#options.failed(asOpenClawError(error)));
    if (!this.#stopped) this.#cancel = this.#options.clock.after(LOOK_MS, () => void this.start());
  }

  stop(): void {
    this.#stopped = true;
    this.#cancel();
  }

  /** Why a command is not to be proposed now; null when it may be. */
  refusal(command: Proposed): OpenClawError | null {
    if (this.#refuses === null || !needsRoom(command)) return null;
    this.#shed.writes++;
    return new OpenClawError("STORAGE_FULL", this.#refuses);
  }

  status(): DiskStatus {
    const { budgetBytes: budget } = this.#options;
    const files = this.#use?.files ?? null;
    const used = this.#use === null ? null : usedOf(this.#use);
    const next = budget === null ? null : this.#next();
    return { budget, files, used, full: this.#full, refuses: this.#refuses, shed: { ...this.#shed }, next };
  }

  /** One look, and what is to be done about it. */
  async look(): Promise<void> {
    const { budgetBytes, disk } = this.#options;
    try {
      if (budgetBytes !== null) {
        const use = await disk.use();
        this.#use = use;
        this.#copiesLeft = Math.min(this.#copiesLeft, use.copies);
        this.#logLeft = Math.min(this.#logLeft, use.log);
        if (use.files > SHED_ABOVE * budgetBytes) await this.#shedFiles(use);
        this.#fill(usedOf(this.#use) >= (this.#full ? ACCEPT_BELOW : REFUSE_FROM) * budgetBytes);
      }
      if (this.#wantsPast()) await this.#shedPast();
      if (this.#wantsUnshipped()) await this.#shedUnshipped();
    } finally {
      this.#judge();
    }
  }

  /** Copies and log leave the folder at once; each is tried before the past is. */
  async #shedFiles(use: DiskUse): Promise<void> {
    const { disk, replica } = this.#options;
    if (use.copies > 0) await this.#step("copies", () => disk.dropCopies());
    if (use.log >= this.#logLeft + LOG_STEP_BYTES) await this.#step("log", () => replica.shedLog());
  }

  async #step(step: "copies" | "log", run: () => Promise<void>): Promise<void> {
    const before = this.#use?.[step] ?? 0;
    await run();
    const use = await this.#options.disk.use();
    this.#use = use;
    if (step === "copies") this.#copiesLeft = use.copies;
    else this.#logLeft = use.log;
    const freed = before - use[step];
    if (freed <= 0) return;
    this.#shed[step] += freed;
    this.#options.told(`made room on the disk: ${step}, ${freed} bytes`, this.status());
  }

  /** This node needs more room than the steps before gave, or the cluster has no majority with room. */
  #wantsPast(): boolean {
    return this.#mayCompact() && this.#isShort(SHED_ABOVE);
  }

  /** Not as long as anything else is left, nor before writes are about to be refused. */
  #wantsUnshipped(): boolean {
    const { first, end } = this.#past();
    return this.#mayCompact() && this.#isShort(UNSHIPPED_ABOVE) && end <= first && this.#unshipped() > first;
  }

  #mayCompact(): boolean {
    const { replica, clock } = this.#options;
    if (replica.status().role !== "leader" || this.#use?.removing === true) return false;
    return clock.now() - this.#compactedAt >= PAST_PAUSE_MS;
  }

  #isShort(share: number): boolean {
    const { budgetBytes } = this.#options;
    const short = budgetBytes !== null && this.#use !== null && usedOf(this.#use) > share * budgetBytes;
    return short || this.#whyNot() !== null;
  }

  async #shedPast(): Promise<void> {
    const { replica, clock } = this.#options;
    const { first, end } = this.#past();
    if (end <= first) return;
    this.#compactedAt = clock.now();
    const to = revision(first + Math.ceil((end - first) / PAST_PARTS));
    const options = { principal: `node:${replica.status().id}`, timeoutMs: EXECUTE_MS };
    const outcome = await replica.execute({ kind: "compact", revision: to }, options);
    // Somebody else compacted, or the parent is held to less than was known here: the next look sees it.
    if (!outcome.ok) throw new OpenClawError(outcome.code, outcome.details);
    this.#shed.past += to - first;
    this.#options.told(`made room on the disk: the past before revision ${to}`, this.status());
  }

  async #shedUnshipped(): Promise<void> {
    const { replica, clock } = this.#options;
    const { first } = this.#past();
    const end = this.#unshipped();
    this.#compactedAt = clock.now();
    const wanted = revision(first + Math.ceil((end - first) / PAST_PARTS));
    const { parentHolds } = replica.position();
    this.#toShip = await firstToShip(replica, revision(Math.max(first, parentHolds + 1)), wanted);
    // The revision itself goes with the snapshot that is made of it.
    const to = revision(this.#toShip === null ? wanted : Math.min(wanted, this.#toShip - 1));
    if (to <= first) return;
    const options = { principal: `node:${replica.status().id}`, timeoutMs: EXECUTE_MS };
    const result = await replica.propose({ kind: "shed", revision: to }, options);
    if (result.kind !== "outcome" || !result.outcome.ok)
      throw new OpenClawError(result.kind === "outcome" && !result.outcome.ok ? result.outcome.code : "INTERNAL");
    this.#shed.unshipped += to - first;
    this.#options.told(`made room on the disk: what the parent does not hold, before revision ${to}`, this.status());
  }

  /** Up to where the past may go that the parent does not hold; the first revision that is kept where none may. */
  #unshipped(): number {
    const { pinned, shedsUnshipped, replica } = this.#options;
    if (!pinned || !shedsUnshipped) return 0;
    const { revision: newest, parentHolds } = replica.position();
    return this.#toShip === null || this.#toShip <= parentHolds ? newest : this.#toShip - 1;
  }

  /** The first revision that is kept, and the one up to which the past may go. */
  #past(): { readonly first: number; readonly end: number } {
    const { compacted, revision: newest, parentHolds } = this.#options.replica.position();
    const end = this.#options.pinned ? Math.min(newest, parentHolds + 1) : newest;
    return { first: Math.max(compacted, 1), end };
  }

  #next(): SheddingStep {
    if ((this.#use?.copies ?? 0) > this.#copiesLeft) return "copies";
    if ((this.#use?.log ?? 0) >= this.#logLeft + LOG_STEP_BYTES) return "log";
    const { first, end } = this.#past();
    if (end > first) return "past";
    return this.#unshipped() > first ? "unshipped" : "writes";
  }

  #fill(full: boolean): void {
    if (full === this.#full) return;
    this.#full = full;
    const what = full ? "this node's disk budget is used up" : "there is room within this node's disk budget again";
    this.#options.told(what, this.status());
  }

  #judge(): void {
    const before = this.#refuses;
    this.#refuses = this.#whyNot();
    if ((before === null) === (this.#refuses === null)) return;
    this.#options.told(
      this.#refuses === null ? "writes are taken again" : `writes are refused: ${this.#refuses}`,
      this.status(),
    );
  }

  /** Why writes that need room are not taken; null when they are. */
  #whyNot(): string | null {
    const { id, leader, members } = this.#options.replica.status();
    const full = members.filter((node) => (node === id ? this.#full : this.#options.saysFull(node)));
    // Also of a node that was just taken in, and does not know its group yet.
    if (full.length === 0) return null;
    if (leader !== null && full.includes(leader)) return `the disk budget of ${leader}, which leads, is used up`;
    const majority = Math.floor(members.length / 2) + 1;
    if (members.length - full.length >= majority) return null;
    return `the disk budgets of ${full.join(", ")} are used up: no majority has room`;
  }
}

const usedOf = ({ files, reusable }: DiskUse): number => files - reusable;
