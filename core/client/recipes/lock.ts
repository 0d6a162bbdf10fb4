/**
 * A lock (etcd's `concurrency.Mutex`). What it gives is a lease on being the first, and not mutual exclusion: a holder that
 * is halted longer than its lease lives may go on and act while another one holds the lock (Jepsen on etcd 3.4.3). So the
 * holder gets a fencing token, and whatever it acts upon has to check that: `Ownership.txn` does so for keys of the site, a
 * resource elsewhere refuses a token below the highest that it has seen (docs/recipes.md).
 */
import type { Bytes } from "../key-row.ts";
import type { Lease } from "../lease.ts";
import type { RecipeHost } from "./host.ts";
import { candidatesOf, enterIfFree, type Ownership, queueFor } from "./ownership.ts";
import type { WaitOptions } from "./wait.ts";

export class Lock {
  readonly #host: RecipeHost;
  readonly #prefix: Uint8Array;
  readonly #lease: Lease;

  /** @param name holders have their keys below it; @param lease one may hold several locks, and each of them once */
  constructor(host: RecipeHost, name: Bytes, lease: Lease) {
    this.#host = host;
    this.#prefix = candidatesOf(name);
    this.#lease = lease;
  }

  /**
   * Resolves when nobody who came before holds it or waits for it.
   * @throws OpenClawError LEASE_LOST; UNAVAILABLE after `timeoutMs`; FORBIDDEN, OVERLOADED, STOPPED; what `signal` was
   * aborted with
   */
  acquire(options: WaitOptions = {}): Promise<Ownership> {
    return queueFor(this.#host, this.#prefix, this.#lease, new Uint8Array(0), options);
  }

  /** Null when another one holds it or waits for it. @throws as `acquire` */
  tryAcquire(options: WaitOptions = {}): Promise<Ownership | null> {
    return enterIfFree(this.#host, this.#prefix, this.#lease, options);
  }
}
