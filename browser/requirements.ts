/** What a page needs for storage that two tabs may share safely. No text of an error is loaded when it is asked for: details tell. */
import { OpenClawError } from "@openclaw/core/errors.ts";

const NEEDED = ["locks", "indexedDB", "Worker", "BroadcastChannel"] as const;

/** What of it is there. */
export type Surroundings = { readonly [Name in (typeof NEEDED)[number]]: unknown } & {
  readonly isSecureContext: boolean;
};

/** @throws OpenClawError INSECURE_CONTEXT, BROWSER_TOO_OLD */
export function assertSurroundings(found: Surroundings): void {
  // First: what is missing is missing because of it.
  if (!found.isSecureContext) throw new OpenClawError("INSECURE_CONTEXT", "open it over https, or on localhost");
  const missing = NEEDED.filter((name) => found[name] === undefined);
  if (missing.length > 0) throw new OpenClawError("BROWSER_TOO_OLD", `without ${missing.join(", ")}; use a newer one`);
}

export const surroundings = (): Surroundings => ({
  isSecureContext: globalThis.isSecureContext,
  locks: (navigator as Partial<Navigator>).locks,
  indexedDB: globalThis.indexedDB,
  Worker: globalThis.Worker,
  BroadcastChannel: globalThis.BroadcastChannel,
});
