/**
 * Who comes first under a prefix (etcd's concurrency recipes): each who wants to be puts a key there, held by its lease,
 * and the oldest key owns the prefix. Each waits for the one before it only, so that an end wakes one.
 */
import { concatBytes, equalBytes, prefixEnd, utf8 } from "../../bytes.ts";
import { asOpenClawError, InvariantViolation, invariant, OpenClawError } from "../../errors.ts";
import { type Revision, revision } from "../../ids.ts";
import type { Compare, KeyValue, Operation, RangeRequest, Txn, TxnResponse } from "../../state-machine/operation.ts";
import { Backoff } from "../../sync/backoff.ts";
import type { Bytes } from "../key-row.ts";
import type { Lease } from "../lease.ts";
import type { RecipeHost } from "./host.ts";
import { News } from "./news.ts";
import { Wait, type WaitOptions } from "./wait.ts";

/** First and longest delay until a look that failed is repeated, ms. */
const RETRY_MS_FIRST = 100;
const RETRY_MS_MAX = 5_000;

/** Everything under it is a candidate's: a `/` stands behind the name. */
export const candidatesOf = (name: Bytes): Uint8Array =>
  concatBytes([typeof name === "string" ? utf8(name) : name, utf8("/")]);

/** A key at the front of its prefix, or on its way there. */
export class Ownership {
  /** Whose end is the end of this. */
  readonly lease: Lease;
  readonly key: Uint8Array;
  /**
   * The fencing token: the create revision of the key. Of two owners of one prefix the later has the higher token, in one
   * epoch of the cluster.
   */
  readonly token: Revision;
  readonly #host: RecipeHost;
  #left = false;
  #leaving: Promise<void> | null = null;

  constructor(host: RecipeHost, lease: Lease, key: Uint8Array, token: Revision) {
    this.#host = host;
    this.lease = lease;
    this.key = key;
    this.token = token;
  }

  /** False as soon as it may be another's. True is no promise for the next moment: that is what `token` is for. */
  get held(): boolean {
    return !this.#left && this.lease.alive;
  }

  /** Aborted when the lease is lost. */
  get lost(): AbortSignal {
    return this.lease.lost;
  }

  /** Holds as long as this is the owner: for a transaction of one's own. */
  get fence(): Compare {
    return {
      target: "createRevision",
      keys: { kind: "key", key: this.key },
      result: "equal",
      number: this.token,
    };
  }

  /**
   * Runs a transaction if this is still the owner when it runs: the check and the effect are one, so that no pause of this
   * process comes between them.
   * @throws OpenClawError LEASE_LOST: it had no effect; and as `kv.txn`
   */
  async txn(txn: Txn): Promise<TxnResponse> {
    if (this.#left) throw new OpenClawError("LEASE_LOST", "it was released here");
    this.lease.assertAlive();
    const { response } = this.#host.kv.txn({ kind: "txn", compares: [this.fence], success: [txn], failure: [] });
    const { succeeded, responses } = await response;
    if (!succeeded) throw new OpenClawError("LEASE_LOST", "the key is gone, or another's");
    const [own] = responses;
    invariant(own?.kind === "txn", "a nested transaction is answered as one");
    return own;
  }

  /**
   * Lets the next one in, behind what this client has queued before. The lease goes on. What failed may be tried again; it
   * is not held any more, whatever comes of it.
   * @throws OpenClawError as `kv.attempt`; the next one waits until the lease ends
   */
  release(): Promise<void> {
    this.#left = true;
    this.#leaving ??= take(this.#host, this.key, [this.fence]).catch((error: unknown) => {
      this.#leaving = null;
      throw error;
    });
    return this.#leaving;
  }
}

/** Puts a key under the prefix, and waits until it is the first. What is given up is taken away again. @throws as `Lock.acquire` */
export async function queueFor(
  host: RecipeHost,
  prefix: Uint8Array,
  lease: Lease,
  value: Uint8Array,
  options: WaitOptions,
): Promise<Ownership> {
  const wait = new Wait(host.ports.clock, lease, options);
  try {
    let entering: Promise<Entered> | null = null;
    try {
      const { own } = await wait.for(() => {
        entering = enter(host, prefix, lease, value);
        return entering;
      });
      await untilFirst(host, prefix, own, wait);
      lease.assertAlive();
      return own;
    } catch (error) {
      if (entering !== null) void giveUp(host, lease, prefix, entering);
      throw error;
    }
  } finally {
    wait.end();
  }
}

/** Takes the prefix if nobody has it or waits for it; else null, without a trace. */
export async function enterIfFree(
  host: RecipeHost,
  prefix: Uint8Array,
  lease: Lease,
  options: WaitOptions,
): Promise<Ownership | null> {
  const wait = new Wait(host.ports.clock, lease, options);
  try {
    const key = keyUnder(prefix, lease);
    const compares: Compare[] = [
      { target: "createRevision", keys: everyKey(prefix), result: "equal", number: revision(0) },
    ];
    const put: Operation = { kind: "put", key, value: new Uint8Array(0), lease: lease.id, previous: false };
    let taking: Promise<Entered | null> | null = null;
    try {
      const taken = await wait.for(() => {
        taking = attempted(host, { kind: "txn", compares, success: [put], failure: [] }).then(
          ({ at, answer: { succeeded } }) =>
            succeeded ? { own: new Ownership(host, lease, key, at), isNew: true } : null,
        );
        return taking;
      });
      return taken?.own ?? null;
    } catch (error) {
      if (taking !== null) void giveUp(host, lease, prefix, taking);
      throw lostIfGone(error);
    }
  } finally {
    wait.end();
  }
}

/** The oldest key under the prefix. @throws OpenClawError UNAVAILABLE, FORBIDDEN, … */
export async function ownerOf({ kv }: RecipeHost, prefix: Uint8Array): Promise<KeyValue | null> {
  return (await kv.range({ ...candidates(prefix, "ascending"), limit: 1 })).rows[0] ?? null;
}

/** @param isNew false: the key was there already */
interface Entered {
  readonly own: Ownership;
  readonly isNew: boolean;
}

/** The key of this lease under the prefix, which may be there: then it keeps its place. */
async function enter(host: RecipeHost, prefix: Uint8Array, lease: Lease, value: Uint8Array): Promise<Entered> {
  const key = keyUnder(prefix, lease);
  const isNew: Compare = { target: "createRevision", keys: { kind: "key", key }, result: "equal", number: revision(0) };
  const put: Operation = { kind: "put", key, value, lease: lease.id, previous: true };
  try {
    const { at, answer } = await attempted(host, { kind: "txn", compares: [isNew], success: [put], failure: [put] });
    const [done] = answer.responses;
    invariant(done?.kind === "put", "a put is answered as one");
    const own = new Ownership(host, lease, key, done.previous?.createRevision ?? at);
    return { own, isNew: done.previous === null };
  } catch (error) {
    throw lostIfGone(error);
  }
}

async function attempted(
  { kv }: RecipeHost,
  txn: Txn,
): Promise<{ readonly at: Revision; readonly answer: TxnResponse }> {
  const { site, response } = kv.attempt(txn);
  const [at, answer] = await Promise.all([site, response]);
  return { at, answer };
}

/** Deletes a key, if the compares hold. */
async function take({ kv }: RecipeHost, key: Uint8Array, compares: readonly Compare[]): Promise<void> {
  const gone: Operation = { kind: "deleteRange", keys: { kind: "key", key }, previous: false };
  await kv.attempt({ kind: "txn", compares, success: [gone], failure: [] }).site;
}

/**
 * Takes away what nobody waits for any more, though others wait behind it: again until the site has done so, or the lease is
 * over, and its keys with it. A key that was there before is whose it was.
 */
async function giveUp(
  host: RecipeHost,
  lease: Lease,
  prefix: Uint8Array,
  entering: Promise<Entered | null>,
): Promise<void> {
  const { clock, random } = host.ports;
  const backoff = new Backoff(clock, random, RETRY_MS_FIRST, RETRY_MS_MAX);
  let leave: () => Promise<void>;
  try {
    const entered = await entering;
    if (entered?.isNew !== true) return;
    leave = () => entered.own.release();
  } catch (error) {
    // Of any other refusal it is known that nothing was put.
    if (asOpenClawError(error).code !== "SESSION_EXPIRED") return;
    leave = () => take(host, keyUnder(prefix, lease), []);
  }
  while (lease.alive) {
    try {
      return await leave();
    } catch (error) {
      if (error instanceof InvariantViolation) throw error;
      await backoff.wait();
    }
  }
}

async function untilFirst(host: RecipeHost, prefix: Uint8Array, own: Ownership, wait: Wait): Promise<void> {
  const { clock, random } = host.ports;
  const backoff = new Backoff(clock, random, RETRY_MS_FIRST, RETRY_MS_MAX);
  // Who is first at once watches nothing: a subscription to another prefix is asked of the gateway.
  let news: News | null = null;
  try {
    for (;;) {
      news?.begin();
      let before: KeyValue | null;
      try {
        before = await wait.for(() => predecessor(host, prefix, own));
      } catch (error) {
        if (!asOpenClawError(error).retryable || !own.held) throw error;
        await wait.for(() => backoff.wait());
        continue;
      }
      if (before === null) return;
      const { key } = before;
      const watched: News | null = news;
      if (watched !== null) await wait.for(() => watched.of(key));
      // What ended before it was watched the next look tells.
      else news = new News(host, prefix);
    }
  } finally {
    backoff.wake();
    news?.end();
  }
}

/** The youngest key that is older than ours. @throws OpenClawError LEASE_LOST when ours is gone */
async function predecessor({ kv }: RecipeHost, prefix: Uint8Array, own: Ownership): Promise<KeyValue | null> {
  const none = revision(0);
  const bounds = { minModRevision: none, maxModRevision: none, minCreateRevision: none, maxCreateRevision: own.token };
  const { rows } = await kv.range({ ...candidates(prefix, "descending"), view: "keys", limit: 2, bounds });
  const ours = rows.find(({ key, createRevision }) => createRevision === own.token && equalBytes(key, own.key));
  if (ours === undefined) throw new OpenClawError("LEASE_LOST", "the key is gone");
  return rows.find((row) => row !== ours) ?? null;
}

const keyUnder = (prefix: Uint8Array, lease: Lease): Uint8Array => concatBytes([prefix, utf8(lease.id.toString(16))]);

const everyKey = (prefix: Uint8Array): Compare["keys"] => ({
  kind: "range",
  from: prefix,
  to: prefixEnd(prefix) ?? null,
});

const candidates = (prefix: Uint8Array, order: RangeRequest["sort"]["order"]): RangeRequest => ({
  keys: everyKey(prefix),
  limit: 0,
  sort: { target: "createRevision", order },
  view: "rows",
  counted: false,
  bounds: null,
});

const lostIfGone = (error: unknown): unknown =>
  error instanceof OpenClawError && error.code === "LEASE_NOT_FOUND"
    ? new OpenClawError("LEASE_LOST", "it ended at the site")
    : error;
