import type { Digest } from "../ports.ts";
import type { Claim } from "./drain.ts";
import type * as online from "./online.ts";
import type { Outbox } from "./outbox.ts";
import type * as transfer from "./outbox-transfer.ts";
import type { Quarantines } from "./quarantines.ts";
import type { Rungs } from "./rungs.ts";
import type { ClientStore, FailedRow, OutboxRow } from "./store.ts";

/** Code that no document waits for: at hand, or loaded when it is asked for. */
export interface Beside {
  /** Both @throws OpenClawError UNAVAILABLE: it cannot be loaded, and is asked for again at the next call */
  readonly transfer: () => Promise<typeof transfer>;
  readonly online: () => Promise<typeof online>;
}

/** What the device held when the session began. */
export interface Restored extends Beside {
  readonly outbox: Outbox;
  readonly rungs: Rungs;
  readonly down: Awaited<ReturnType<ClientStore["down"]>>;
  readonly failed: readonly FailedRow[];
  readonly quarantines: Quarantines;
  readonly claim: Claim;
  readonly release: (() => void) | null;
  readonly digest: Digest;
  /** Rows of other sessions. */
  readonly foreign: readonly OutboxRow[];
}
