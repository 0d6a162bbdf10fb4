/**
 * Leader election (etcd's `concurrency.Election`): a lock whose holder says something, and that others look at. What is
 * said of locks holds for leaders: one that was halted may still think that it leads, and its fencing token tells.
 */
import { asOpenClawError, InvariantViolation } from "../../errors.ts";
import type { KeyValue } from "../../state-machine/operation.ts";
import { Backoff } from "../../sync/backoff.ts";
import { type Bytes, toBytes } from "../key-row.ts";
import type { Lease } from "../lease.ts";
import { callListener } from "../listener.ts";
import type { RecipeHost } from "./host.ts";
import { News } from "./news.ts";
import { candidatesOf, type Ownership, ownerOf, queueFor } from "./ownership.ts";
import type { WaitOptions } from "./wait.ts";

/** First and longest delay until a look that failed is repeated, ms. */
const RETRY_MS_FIRST = 100;
const RETRY_MS_MAX = 5_000;

export class Election {
  readonly #host: RecipeHost;
  readonly #prefix: Uint8Array;

  /** @param name candidates have their keys below it */
  constructor(host: RecipeHost, name: Bytes) {
    this.#host = host;
    this.#prefix = candidatesOf(name);
  }

  /** Resolves when this one leads, and everybody can read `value`. @throws as `Lock.acquire` */
  async campaign(lease: Lease, value: Bytes, options: WaitOptions = {}): Promise<Leadership> {
    return new Leadership(await queueFor(this.#host, this.#prefix, lease, toBytes(value), options));
  }

  /** The leader's row: its value, and as the create revision its token; null when there is none. @throws OpenClawError UNAVAILABLE, FORBIDDEN */
  leader(): Promise<KeyValue | null> {
    return ownerOf(this.#host, this.#prefix);
  }

  /**
   * Calls back with the leader as it is, and again when another one leads, or it proclaims something; null: none does.
   * Some that follow each other at once may be left out, the last never is. While the site is out of reach nothing is
   * told. The returned function, and the end of the client, end it.
   */
  observe(listener: (leader: KeyValue | null) => void): () => void {
    const { clock, random } = this.#host.ports;
    const backoff = new Backoff(clock, random, RETRY_MS_FIRST, RETRY_MS_MAX);
    const news = new News(this.#host, this.#prefix);
    let over = false;
    const observe = async (): Promise<void> => {
      let told: KeyValue | null | undefined;
      while (!over) {
        news.begin();
        let leader: KeyValue | null;
        try {
          leader = await this.leader();
        } catch (error) {
          if (error instanceof InvariantViolation) throw error;
          if (asOpenClawError(error).code === "STOPPED") return;
          // Also what only an operator can mend (FORBIDDEN): it is looked at again, seldom, until somebody ends this.
          await backoff.wait();
          continue;
        }
        if (over) return;
        if (told === undefined || told?.modRevision !== leader?.modRevision) callListener(listener, leader);
        told = leader;
        await news.of(null);
      }
    };
    void observe().finally(() => news.end());
    return () => {
      over = true;
      backoff.wake();
      news.end();
    };
  }
}

/** What a candidate that won has. */
class Leadership {
  readonly ownership: Ownership;

  constructor(ownership: Ownership) {
    this.ownership = ownership;
  }

  /** Says something else, if this one still leads. @throws OpenClawError LEASE_LOST: it does not; and as `kv.txn` */
  async proclaim(value: Bytes): Promise<void> {
    const { key } = this.ownership;
    const put = { kind: "put", key, value: toBytes(value), lease: "keep", previous: false } as const;
    await this.ownership.txn({ kind: "txn", compares: [], success: [put], failure: [] });
  }

  /** Lets the next one lead. */
  resign(): Promise<void> {
    return this.ownership.release();
  }
}
