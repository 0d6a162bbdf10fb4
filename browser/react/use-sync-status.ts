import type { ClientStatus } from "@openclaw/core/client/client.ts";
import { useCallback, useSyncExternalStore } from "react";
import { useClient } from "./provider.ts";

/** The link to the site, and how many edits are not there yet. Null while the client is being opened, and on a server. */
export function useSyncStatus(): ClientStatus | null {
  const client = useClient();
  const subscribe = useCallback((listener: () => void) => client?.subscribe(listener) ?? (() => {}), [client]);
  return useSyncExternalStore(
    subscribe,
    () => client?.status() ?? null,
    () => null,
  );
}
