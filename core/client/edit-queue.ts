/** Edits on their way into the device's store: refused where there is no room for them, and told what became of them. */
import { asOpenClawError, OpenClawError } from "../errors.ts";
import type { Revision } from "../ids.ts";
import type { DocumentName } from "../ledger/document-names.ts";
import type { Draft, Journal } from "./journal.ts";
import { hashesOf } from "./outbox-row.ts";
import type { Rungs } from "./rungs.ts";
import type { Settlement } from "./settlement.ts";
import type { Trouble } from "./trouble.ts";

export interface EditQueueHost {
  readonly journal: Journal;
  readonly rungs: Rungs;
  readonly settlement: Settlement;
  readonly trouble: Trouble;
  /** The site has one as of that revision. */
  wrote(at: Revision): void;
  /** Changes of these are on the device. */
  rungsMoved(documents: readonly DocumentName[]): void;
  changed(): void;
}

export class EditQueue {
  readonly #host: EditQueueHost;
  #stopped = false;

  constructor(host: EditQueueHost) {
    this.#host = host;
  }

  /** @throws OpenClawError STOPPED, OVERLOADED */
  assertRoom(): void {
    const { journal, settlement } = this.#host;
    if (this.#stopped) throw new OpenClawError("STOPPED", "the client is stopped");
    if (journal.outbox.full) throw new OpenClawError("OVERLOADED", "too many edits wait for the site");
    if (settlement.full) throw new OpenClawError("OVERLOADED", "too many refused edits wait to be forgotten");
  }

  enqueue(draft: Draft): void {
    const { journal, rungs, trouble, wrote, rungsMoved, changed } = this.#host;
    // What was refused was not written.
    for (const edit of draft.edits) edit.site.then(wrote).catch(() => undefined);
    journal.commit({ drafts: [draft] }).then(
      () => {
        trouble.editStored();
        rungs.stored(hashesOf(draft));
        for (const edit of draft.edits) edit.stored();
        if (draft.command.kind === "change") rungsMoved([draft.command]);
        changed();
      },
      (error: unknown) => {
        const failure = asOpenClawError(error);
        trouble.editNotStored(failure);
        rungs.notStored(hashesOf(draft), failure);
        for (const edit of draft.edits) edit.notStored(failure);
        changed();
      },
    );
  }

  stop(): void {
    this.#stopped = true;
  }
}
