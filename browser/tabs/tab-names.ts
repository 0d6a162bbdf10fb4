/**
 * Names of the channels and locks of one device's tabs. They may run different builds: the names carry the version of what
 * is said there (`tab-message.ts`, `news-channel.ts`), so that only those of one version hear each other.
 */

const TAB_VERSION = 1;

/** @param store the database's name: tabs of two sites are apart */
const named = (store: string, rest: string): string => `openclaw:${TAB_VERSION}:${store}:${rest}`;
export const tabsChannel = (store: string): string => named(store, "tabs");
export const newsChannel = (store: string): string => named(store, "news");
/** Of one follower's stream: nobody else hears its frames. */
export const streamChannel = (store: string, stream: string): string => named(store, `stream:${stream}`);
/** Whoever holds it leads. */
export const leaderLock = (store: string): string => named(store, "leader");
/** Held by a tab's worker for as long as it lives. */
export const tabLock = (store: string, tab: string): string => named(store, `tab:${tab}`);
/** Held by whoever looks through the second copies. */
export const copyLock = (store: string): string => named(store, "copy");
