/** What a browser's store is besides a client's: one that the browser may take away. */
import type { ClientStore } from "@openclaw/core/client/store.ts";

export interface DeviceStore extends ClientStore {
  /** Drawn when the database was created: another one means that what was stored before is gone. @throws OpenClawError as `write` */
  identity(): Promise<string>;
}
