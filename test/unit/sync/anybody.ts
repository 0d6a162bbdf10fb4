/** Who may do anything. */
import type { Principal } from "@openclaw/core/sync/authority.ts";

const all = (): boolean => true;
export const ANYBODY: Principal = {
  name: "anonymous",
  mayReadKey: all,
  mayReadPrefix: all,
  mayWriteKey: all,
  mayWritePrefix: all,
  mayReadDocument: all,
  mayReadCollection: all,
  mayWriteDocument: all,
  expires: null,
};
