/** The second copy that a page's worker keeps. Loaded beside the first document. */
import { OriginSlots } from "../storage/copy-slots.ts";
import type { OpenCopy } from "../storage/indexeddb-store.ts";
import { SecondCopy } from "../storage/second-copy.ts";
import { claimedLinks } from "../tabs/link-locks.ts";

/** @param name of the database */
export const copyOpener = (name: string): OpenCopy => {
  const place = { slots: () => OriginSlots.open(name), claimed: () => claimedLinks(name) };
  return (database) => SecondCopy.open(database, place);
};
