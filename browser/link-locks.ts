/**
 * Who is alive: each page session holds a Web Lock named by its link for as long as it lives, so that a lock that can be
 * had belongs to a session that is over, and whoever gets it may drain its outbox (D4).
 */
import type { Claim } from "@openclaw/core/client/drain.ts";

/** @param store the database's name: links of two sites are apart */
export function webLockClaims(store: string): Claim {
  return (link) => {
    // Without Web Locks (an insecure origin) nobody can be shown to be dead: each session sends its own rows only.
    const locks = navigator.locks as LockManager | undefined;
    if (locks === undefined) return Promise.resolve(null);
    return new Promise((resolve, reject) => {
      locks
        .request(`openclaw:${store}:${link}`, { ifAvailable: true }, (lock) => {
          if (lock === null) {
            resolve(null);
            return undefined;
          }
          // Held until this is settled, or until the page is gone.
          return new Promise<void>((release) => resolve(release));
        })
        .catch(reject);
    });
  };
}
