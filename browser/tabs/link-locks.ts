/**
 * What the pages of one device agree on. Who is alive: each page session holds a Web Lock named by its link for as long as it lives, so that a lock that can be
 * had belongs to a session that is over, and whoever gets it may drain its outbox (D4).
 */
import type { Claim } from "@openclaw/core/client/drain.ts";

export const linkLocks = (store: string): string => `openclaw:${store}:`;

/** @param store the database's name: links of two sites are apart */
export function webLockClaims(store: string): Claim {
  return (link) =>
    new Promise((resolve, reject) => {
      navigator.locks
        .request(`${linkLocks(store)}${link}`, { ifAvailable: true }, (lock) => {
          if (lock === null) {
            resolve(null);
            return undefined;
          }
          // Held until this is settled, or until the page is gone.
          return new Promise<void>((release) => resolve(release));
        })
        .catch(reject);
    });
}

/** Which of the pages of one device keeps the mirror: one at a time. */
export interface MirrorTurn {
  /** Nobody else keeps it. */
  readonly now: boolean;
  /** Resolves when nobody else does. */
  readonly comes: Promise<void>;
  release(): void;
}

/** @param store the database's name */
export async function mirrorTurn(store: string): Promise<MirrorTurn> {
  const { promise: over, resolve: release } = Promise.withResolvers<void>();
  const { locks } = navigator;
  const name = `openclaw:${store}:mirror`;
  const now = await new Promise<boolean>((resolve, reject) => {
    locks
      .request(name, { ifAvailable: true }, (lock) => {
        resolve(lock !== null);
        return lock === null ? undefined : over;
      })
      .catch(reject);
  });
  if (now) return { now, comes: Promise.resolve(), release };
  const waiting = new AbortController();
  const comes = new Promise<void>((resolve) => {
    locks
      .request(name, { signal: waiting.signal }, () => {
        resolve();
        return over;
      })
      // It was given up: nobody waits for it any more.
      .catch(() => undefined);
  });
  const giveUp = (): void => {
    waiting.abort();
    release();
  };
  return { now, comes, release: giveUp };
}
