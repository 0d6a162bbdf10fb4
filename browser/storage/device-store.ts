/** What a browser's store is besides a client's: one that the browser may take away. */
import type { ClientStore } from "@openclaw/core/client/store.ts";

export interface DeviceIdentity {
  /** Drawn when the database was created: another one means that what was stored before is gone. */
  readonly name: string;
  /** Rows of a database before this one that were taken up from their second copies. */
  readonly takenUp: number;
  /** What waits here stands in a second place, too. Null while the code for that is not here. */
  readonly copied: boolean | null;
}

export interface DeviceStore extends ClientStore {
  /** @throws OpenClawError as `write` */
  identity(): Promise<DeviceIdentity>;
}
