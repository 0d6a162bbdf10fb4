/**
 * What a parent streams, taken into this cluster: in its order, each import wholly before the next, and acknowledged when
 * it is replicated (S4). Runs of nothing wait a while for one that brings something: they move a cursor and nothing else.
 */
import { asOpenClawError, InvariantViolation, type OpenClawError } from "../errors.ts";
import type { ClusterId, Lineage, LinkId } from "../ids.ts";
import { type Span, spansOf } from "../ledger/lineage.ts";
import type { LinkItem } from "../ledger/record.ts";
import type { SnapshotStep } from "../ledger/snapshot.ts";
import { BATCH_BYTES_MAX, BATCH_ITEMS_MAX } from "../limits.ts";
import type { Clock } from "../ports.ts";
import type { CommandResult, SystemCommand } from "../state-machine/command.ts";
import type { ChildLink, EventRun } from "./child-link.ts";
import { isBare, joinRuns } from "./run.ts";
import { takeRun, takeStep } from "./snapshot-taking.ts";

/** How long revisions that bring nothing may wait for one that does, before the cursor moves past them alone, ms. */
const BARE_IMPORT_MS = 5_000;
/** Bare runs that may wait. */
const BARE_RUNS_MAX = 64;

export interface DownImportsOptions {
  readonly link: LinkId;
  readonly parent: ClusterId;
  /** The parent's. */
  readonly lineage: Lineage;
  readonly clock: Clock;
  propose(command: SystemCommand): Promise<CommandResult>;
  readonly taken: Pick<ChildLink, "taken" | "snapshotTaken">;
  /** A refusal ends the connection: the next one begins where the replicated cursor stands. */
  failed(error: OpenClawError): void;
}

/** Of one connection. */
export class DownImports {
  readonly #options: DownImportsOptions;
  /** Bounded by the credit that the parent has (EVENTS_IN_FLIGHT_MAX), and BARE_RUNS_MAX. */
  #waiting: (EventRun | SnapshotStep)[] = [];
  #importing = false;
  #cancel: (() => void) | null = null;
  /** L3: nothing is taken before it is known that the parent is the one that is followed. */
  #begun = false;
  #closed = false;

  constructor(options: DownImportsOptions) {
    this.#options = options;
  }

  begin(): void {
    this.#begun = true;
    if (this.#waiting.length > 0) void this.#import();
  }

  events(run: EventRun): void {
    this.#waiting.push(run);
    const idle = !this.#importing && this.#waiting.every((one) => "items" in one && isBare(one.items));
    if (!idle || this.#waiting.length >= BARE_RUNS_MAX) return void this.#import();
    // A run of nothing holds nothing to be stored: it may be forgotten, and is then asked for again. Behind one that is not
    // stored yet it would tell of that, too.
    this.#options.taken.taken(run.to);
    this.#cancel ??= this.#options.clock.after(BARE_IMPORT_MS, () => void this.#import());
  }

  snapshot(step: SnapshotStep): void {
    this.#waiting.push(step);
    void this.#import();
  }

  close(): void {
    this.#closed = true;
    this.#waiting = [];
    this.#cancel?.();
    this.#cancel = null;
  }

  async #import(): Promise<void> {
    this.#cancel?.();
    this.#cancel = null;
    if (this.#importing || !this.#begun) return;
    this.#importing = true;
    try {
      while (!this.#closed && this.#waiting.length > 0) await this.#next();
    } catch (error) {
      if (error instanceof InvariantViolation) throw error;
      if (!this.#closed) this.#options.failed(asOpenClawError(error));
    } finally {
      this.#importing = false;
    }
  }

  /** The step that is next, or as many runs as one import takes; what comes meanwhile is the next one (R3). */
  async #next(): Promise<void> {
    const { link, parent, lineage, propose, taken } = this.#options;
    const { epoch } = lineage;
    const [first] = this.#waiting;
    if (first === undefined) return;
    if (!("items" in first)) {
      this.#waiting.shift();
      await takeStep(propose, { link, cluster: parent }, epoch, first);
      if (this.#closed) return;
      if (first.kind === "end") taken.taken(first.at);
      taken.snapshotTaken();
      return;
    }
    const runs = takeRuns(this.#waiting, spansOf(lineage));
    const { to, hash } = runs.at(-1) ?? first;
    const items = runs.reduce<readonly LinkItem[]>((all, run) => joinRuns(all, run.items), []);
    await takeRun(propose, { link, cluster: parent, epoch, items, hash });
    // The next connection has a credit of its own.
    if (!this.#closed) taken.taken(to);
  }
}

/** As many runs as one import takes, at least one. */
function takeRuns(waiting: (EventRun | SnapshotStep)[], spans: readonly Span[]): EventRun[] {
  const runs: EventRun[] = [];
  let items = 0;
  let bytes = 0;
  for (const run of waiting) {
    if (!("items" in run)) break;
    items += run.items.length;
    bytes += run.items.reduce((sum, item) => sum + (item.kind === "body" ? item.record.length : 0), 0);
    if (runs.length > 0 && (items > BATCH_ITEMS_MAX || bytes > BATCH_BYTES_MAX)) break;
    runs.push(run);
    // L3: nor does an import go past where an epoch of the parent departed.
    if (spans.some(({ to }) => to === run.to)) break;
  }
  waiting.splice(0, runs.length);
  return runs;
}
