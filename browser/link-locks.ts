/**
 * Who is alive: each page session holds a Web Lock named by its link for as long as it lives, so that a lock that can be
 * had belongs to a session that is over, and whoever gets it may drain its outbox (D4).
 */
import type { LinkId } from "@openclaw/core/ids.ts";

export class LinkLocks {
  readonly #prefix: string;
  readonly #releases: (() => void)[] = [];

  /** @param store the database's name: links of two sites are apart */
  constructor(store: string) {
    this.#prefix = `openclaw:${store}:`;
  }

  /** True if nobody else has the link, which is then ours until `release` or the end of the page. Never waits. */
  claim(link: LinkId): Promise<boolean> {
    // Without Web Locks (an insecure origin) nobody can be shown to be dead: each session drains its own only.
    const locks = navigator.locks as LockManager | undefined;
    if (locks === undefined) return Promise.resolve(false);
    return new Promise((resolve, reject) => {
      locks
        .request(this.#prefix + link, { ifAvailable: true }, (lock) => {
          resolve(lock !== null);
          if (lock === null) return;
          return new Promise<void>((release) => this.#releases.push(release));
        })
        .catch(reject);
    });
  }

  releaseAll(): void {
    for (const release of this.#releases.splice(0)) release();
  }
}
