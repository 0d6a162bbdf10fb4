/** D1: decides, before anything is proposed, whether bytes are the Automerge change they claim to be. */
import { type ErrorCode, OpenClawError } from "@openclaw/core/errors.ts";
import type { DocumentChange } from "@openclaw/core/ledger/record.ts";
import { BATCH_ITEMS_MAX } from "@openclaw/core/limits.ts";
import { DocumentWorker } from "./document-worker.ts";

/**
 * Bytes of the changes that are checked in one job, which has its time as a whole: honest ones take a hundredth of it. So
 * a push of any size is checked, however slow the machine, and others have their turn between its jobs.
 */
export const JOB_BYTES_MAX = 65_536;

export interface ChangeRefusal {
  readonly code: ErrorCode;
  readonly details: string;
}

export class ChangeCheck {
  readonly #worker: DocumentWorker;

  /** @param worker of its own: it ends with this */
  constructor(worker: DocumentWorker = new DocumentWorker()) {
    this.#worker = worker;
  }

  /**
   * Null when every change is what it claims to be, else why the first bad one is not: CHANGE_INVALID, CHANGE_TOO_LARGE.
   * @throws OpenClawError OVERLOADED, STOPPED
   */
  async check(changes: readonly DocumentChange[]): Promise<ChangeRefusal | null> {
    if (changes.length > BATCH_ITEMS_MAX)
      return { code: "CHANGE_TOO_LARGE", details: `${changes.length} changes at once` };
    for (let from = 0, to = 0; from < changes.length; from = to) {
      to = endOfJob(changes, from);
      const refusal = await this.#checkJob(changes, from, to);
      if (refusal !== null) return refusal;
    }
    return null;
  }

  stop(): Promise<void> {
    return this.#worker.stop();
  }

  async #checkJob(changes: readonly DocumentChange[], from: number, to: number): Promise<ChangeRefusal | null> {
    try {
      const refusal = await this.#worker.run({ kind: "check", changes: changes.slice(from, to) });
      return refusal === null ? null : refusalOf(from + refusal.at, refusal.code, refusal.details);
    } catch (error) {
      if (!(error instanceof OpenClawError && error.code === "INTERNAL")) throw error;
      // The thread died of it: whoever sent it must not be told to retry.
      if (to - from === 1) return refusalOf(from, "CHANGE_INVALID", error.details);
    }
    // It died of one of them, or they had too little time together.
    for (let at = from; at < to; at++) {
      const refusal = await this.#checkJob(changes, at, at + 1);
      if (refusal !== null) return refusal;
    }
    return null;
  }
}

/** At least one change, however large. */
function endOfJob(changes: readonly DocumentChange[], from: number): number {
  let bytes = 0;
  for (let at = from; at < changes.length; at++) {
    bytes += changes[at]?.bytes.length ?? 0;
    if (bytes > JOB_BYTES_MAX && at > from) return at;
  }
  return changes.length;
}

const refusalOf = (at: number, code: ErrorCode, details: string): ChangeRefusal => ({
  code,
  details: `change ${at}: ${details}`,
});
