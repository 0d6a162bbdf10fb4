import { isLinkId, type LinkId } from "@openclaw/core/ids.ts";
import { linkLocks } from "./link-locks.ts";

/** Links that a page which is alive has claimed. @param store the database's name */
export async function claimedLinks(store: string): Promise<ReadonlySet<LinkId>> {
  const { held = [] } = await navigator.locks.query();
  const prefix = linkLocks(store);
  const links = held.flatMap(({ name = "" }) => (name.startsWith(prefix) ? [name.slice(prefix.length)] : []));
  return new Set(links.filter(isLinkId));
}
