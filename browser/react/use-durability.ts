import type { DocumentHandle } from "@openclaw/core/client/document-handle.ts";
import { type Durability, durabilityOf, isSameDurability } from "@openclaw/core/client/durability.ts";
import type { Edit } from "@openclaw/core/client/edit.ts";
import { useMemo, useSyncExternalStore } from "react";
import { useClient } from "./provider.ts";

/** One edit, of a key or of a document; or, by its handle, all that this device did to a document. */
export type Durable = Pick<Edit, "rung" | "failure"> | Pick<DocumentHandle<never>, "edits" | "subscribe">;

const NONE: Durability = durabilityOf([]);

/**
 * How far it is safe. Of a document: this device's own edits, those not yet at the hub and those of this page.
 * @param of null while there is nothing to look at
 */
export function useDurability(of: Durable | null): Durability {
  const client = useClient();
  const source = useMemo(() => {
    let told = NONE;
    const edits = (): Parameters<typeof durabilityOf>[0] => {
      if (of === null) return [];
      return "edits" in of ? of.edits() : [{ rung: of.rung(), failure: of.failure() }];
    };
    return {
      state: () => {
        const now = durabilityOf(edits());
        if (!isSameDurability(now, told)) told = now;
        return told;
      },
      subscribe: (listener: () => void) => {
        if (of === null) return () => {};
        if ("edits" in of) return of.subscribe(listener);
        return client?.subscribe(listener) ?? (() => {});
      },
    };
  }, [of, client]);
  return useSyncExternalStore(source.subscribe, source.state, () => NONE);
}
