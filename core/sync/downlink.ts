/** What the parent streams down one connection, taken into this cluster in order, as imports of its ledger (L4). */
import { InvariantViolation, invariant, OpenClawError } from "../errors.ts";
import type { ClusterId, Epoch, LinkId, Revision } from "../ids.ts";
import type { LinkItem } from "../ledger/record.ts";
import { BATCH_BYTES_MAX, BATCH_ITEMS_MAX } from "../limits.ts";
import type { Clock } from "../ports.ts";
import type { CommandResult, SystemCommand } from "../state-machine/command.ts";
import type { EventRun } from "./child-link.ts";
import { isBare, joinRuns } from "./run.ts";

/** How long revisions that bring nothing may wait for one that does, before the cursor moves past them alone, ms. */
const BARE_IMPORT_MS = 5_000;
/** Bare runs that may wait. */
const BARE_RUNS_MAX = 64;

export interface DownlinkOptions {
  readonly parent: ClusterId;
  readonly link: LinkId;
  readonly clock: Clock;
  readonly propose: (command: SystemCommand) => Promise<CommandResult>;
  /** Everything up to there is stored here. */
  readonly taken: (to: Revision) => void;
  readonly failed: (error: unknown) => void;
}

/** Of one connection: what it has not stored when it ends is sent again on the next. */
export class Downlink {
  readonly #options: DownlinkOptions;
  #epoch: Epoch | null = null;
  #runs: EventRun[] = [];
  #importing = false;
  #closed = false;
  #cancelImport: (() => void) | null = null;

  constructor(options: DownlinkOptions) {
    this.#options = options;
  }

  /** The parent said welcome: what it sends is of that epoch. */
  begin(epoch: Epoch): void {
    this.#epoch = epoch;
  }

  received(run: EventRun): void {
    this.#runs.push(run);
    // A run of nothing holds nothing to be stored: it may be forgotten, and is then asked for again.
    if (isBare(run.items)) this.#options.taken(run.to);
    const idle = this.#runs.every(({ items }) => isBare(items)) && this.#runs.length < BARE_RUNS_MAX;
    if (!idle) void this.#import();
    else this.#cancelImport ??= this.#options.clock.after(BARE_IMPORT_MS, () => void this.#import());
  }

  close(): void {
    this.#closed = true;
    this.#runs = [];
    this.#cancelImport?.();
    this.#cancelImport = null;
  }

  /** Takes what waits, in order, as one import; what comes meanwhile is the next one (R3). */
  async #import(): Promise<void> {
    this.#cancelImport?.();
    this.#cancelImport = null;
    if (this.#importing) return;
    this.#importing = true;
    try {
      while (!this.#closed) {
        const runs = takeRuns(this.#runs);
        const last = runs.at(-1);
        if (last === undefined) break;
        await this.#importRun(
          runs.reduce<readonly LinkItem[]>((items, run) => joinRuns(items, run.items), []),
          last.hash,
        );
        if (!this.#closed) this.#options.taken(last.to);
      }
    } catch (error) {
      if (error instanceof InvariantViolation) throw error;
      if (!this.#closed) this.#options.failed(error);
    } finally {
      this.#importing = false;
    }
  }

  async #importRun(items: readonly LinkItem[], hash: Uint8Array): Promise<void> {
    const { parent, link, propose } = this.#options;
    invariant(this.#epoch !== null, "events come after the welcome");
    const result = await propose({
      kind: "importLedger",
      side: "parent",
      link,
      cluster: parent,
      epoch: this.#epoch,
      items,
      hash,
    });
    // A refusal ends the connection: the next one begins where the replicated cursor stands.
    if (result.kind === "importRefused") throw new OpenClawError(result.code, result.details);
  }
}

/** As many runs as one import takes, at least one. */
function takeRuns(runs: EventRun[]): EventRun[] {
  let items = 0;
  let bytes = 0;
  let count = 0;
  for (const run of runs) {
    items += run.items.length;
    bytes += run.items.reduce((sum, item) => sum + (item.kind === "body" ? item.record.length : 0), 0);
    if (count > 0 && (items > BATCH_ITEMS_MAX || bytes > BATCH_BYTES_MAX)) break;
    count++;
  }
  return runs.splice(0, count);
}
