/** The second copy that a page's worker keeps. Loaded beside the first document. */
import { OriginSlots } from "../storage/copy-slots.ts";
import type { OpenCopy } from "../storage/indexeddb-store.ts";
import { SecondCopy } from "../storage/second-copy.ts";
import { claimedLinks } from "../tabs/claimed-links.ts";

/** @param name of the database */
export const copyOpener = (name: string): OpenCopy => {
  const place = { slots: () => OriginSlots.open(name), claimed: () => claimedLinks(name) };
  return (database, own) => SecondCopy.open(database, place, own);
};
