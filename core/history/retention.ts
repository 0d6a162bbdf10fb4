/**
 * A leader's care for how much of the past is kept: now and then it looks what has outgrown the limits, and has it
 * compacted (S5). The uplink pins what the parent does not hold yet; nobody else pins anything.
 */
import { asOpenClawError, type OpenClawError } from "../errors.ts";
import { revision } from "../ids.ts";
import type { Clock } from "../ports.ts";
import type { Replica } from "../replica.ts";

/** Ms between two looks: each may end in one compaction. */
const LOOK_MS = 60_000;
/** Ms until a compaction is given up, and made anew at the next look. */
const EXECUTE_MS = 10_000;

/** Null bounds nothing. */
export interface RetentionLimits {
  /** Ms of log time. */
  readonly ageMs: number | null;
  /** Of the ledger's records. */
  readonly bytes: number | null;
}

export interface RetentionOptions {
  readonly replica: Pick<Replica, "status" | "position" | "history" | "execute">;
  readonly clock: Clock;
  readonly limits: RetentionLimits;
  /** Whether there is a parent, who may not have been reached yet. */
  readonly pinned: boolean;
  /** Told of every look that came to nothing for it. */
  readonly failed: (error: OpenClawError) => void;
}

export class Retention {
  readonly #options: RetentionOptions;
  #cancel: () => void = () => {};

  constructor(options: RetentionOptions) {
    this.#options = options;
  }

  start(): void {
    const { clock, limits, failed } = this.#options;
    if (limits.ageMs === null && limits.bytes === null) return;
    this.#cancel = clock.after(LOOK_MS, () => {
      this.start();
      this.#look().catch((error: unknown) => failed(asOpenClawError(error)));
    });
  }

  stop(): void {
    this.#cancel();
  }

  async #look(): Promise<void> {
    const { replica, limits, pinned } = this.#options;
    const { role, id } = replica.status();
    if (role !== "leader") return;
    const { revision: wanted } = await replica.history({ kind: "outgrown", ...limits });
    const { parentHolds, compacted } = replica.position();
    const to = revision(pinned ? Math.min(wanted, parentHolds + 1) : wanted);
    if (to <= Math.max(compacted, 1)) return;
    await replica.execute({ kind: "compact", revision: to }, { principal: `node:${id}`, timeoutMs: EXECUTE_MS });
  }
}
