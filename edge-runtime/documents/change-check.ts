/** D1: decides, before anything is proposed, whether bytes are the Automerge change they claim to be. */
import { type ErrorCode, OpenClawError } from "@openclaw/core/errors.ts";
import type { DocumentChange } from "@openclaw/core/ledger/record.ts";
import { BATCH_ITEMS_MAX } from "@openclaw/core/limits.ts";
import { DocumentWorker } from "./document-worker.ts";

export interface ChangeRefusal {
  readonly code: ErrorCode;
  readonly details: string;
}

export class ChangeCheck {
  readonly #worker = new DocumentWorker();

  /**
   * Null when every change is what it claims to be, else why the first bad one is not: CHANGE_INVALID, CHANGE_TOO_LARGE.
   * @throws OpenClawError OVERLOADED, STOPPED
   */
  async check(changes: readonly DocumentChange[]): Promise<ChangeRefusal | null> {
    if (changes.length === 0) return null;
    if (changes.length > BATCH_ITEMS_MAX)
      return { code: "CHANGE_TOO_LARGE", details: `${changes.length} changes at once` };
    try {
      return await this.#worker.run({ kind: "check", changes });
    } catch (error) {
      // The thread died of it: whoever sent it must not be told to retry.
      if (error instanceof OpenClawError && error.code === "INTERNAL")
        return { code: "CHANGE_INVALID", details: error.details };
      throw error;
    }
  }

  stop(): Promise<void> {
    return this.#worker.stop();
  }
}
