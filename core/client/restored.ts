import type { Digest } from "../ports.ts";
import type { Claim } from "./drain.ts";
import type { Outbox } from "./outbox.ts";
import type { LoadOutboxFile } from "./outbox-file.ts";
import type { Quarantines } from "./quarantines.ts";
import type { Rungs } from "./rungs.ts";
import type { ClientStore, FailedRow, OutboxRow } from "./store.ts";

/** What the device held when the session began. */
export interface Restored {
  readonly outbox: Outbox;
  readonly rungs: Rungs;
  readonly down: Awaited<ReturnType<ClientStore["down"]>>;
  readonly failed: readonly FailedRow[];
  readonly quarantines: Quarantines;
  readonly claim: Claim;
  readonly release: (() => void) | null;
  readonly outboxFile: LoadOutboxFile;
  readonly digest: Digest;
  /** Rows of other sessions. */
  readonly foreign: readonly OutboxRow[];
}
