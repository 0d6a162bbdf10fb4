/**
 * Follows the unique keys through all faults, at one node after another, each time from where it got to: every write must
 * come once, in the order of revisions, and none may be left out (etcd's guarantees for a watch). At a hub it can follow
 * those of a site: there they come in the order of the site's revisions, too (L4).
 */
import { setTimeout as sleep } from "node:timers/promises";
import type { Random } from "@openclaw/core/ports.ts";
import { serverEvents } from "@openclaw/edge-runtime/cli/server-events.ts";
import { z } from "zod";
import { anyOf } from "./choice.ts";
import type { RealCluster } from "./cluster.ts";
import type { Versioned } from "./key-value-client.ts";
import { UNIQUE_PREFIX } from "./unique-keys.ts";

/** Ms that it stays at one node, from and to: to resume is what it is here for. */
const STAY_MS = { from: 1_000, to: 6_000 };
const PAUSE_MS = 200;
/** Ms at the end until it must have seen everything. */
const CATCH_UP_MS = 30_000;
/** Findings that are kept: one broken watch makes many. */
const FINDINGS_MAX = 10;

const put = z.object({
  key: z.string(),
  revision: z.number(),
  origin: z.object({ revision: z.number() }).nullable(),
});
const progress = z.object({ revision: z.number() });
const failure = z.object({ code: z.string() });
const codeOf = (text: string): string => failure.parse(JSON.parse(text)).code;

export class Watcher {
  readonly #cluster: RealCluster;
  readonly #random: Random;
  /** Whose keys; null: the cluster's own. */
  readonly #origin: string | null;
  readonly #seen = new Map<string, number>();
  readonly #findings: string[] = [];
  readonly #stopping = new AbortController();
  readonly #following: Promise<void>;
  /** Up to here everything was seen: what the watch resumes after. */
  #revision = 0;
  /** Of the last write that was seen, where it was made. */
  #made = 0;

  constructor(cluster: RealCluster, random: Random, origin: string | null = null) {
    this.#cluster = cluster;
    this.#random = random;
    this.#origin = origin;
    this.#following = this.#follow();
  }

  /** At rest, with what is there of the unique keys. @returns what the watch got wrong, in words */
  async conclude(stored: ReadonlyMap<string, Versioned>): Promise<readonly string[]> {
    const last = Math.max(0, ...[...stored.values()].map(({ revision }) => revision));
    for (const deadline = performance.now() + CATCH_UP_MS; this.#made < last; await sleep(PAUSE_MS))
      if (performance.now() > deadline) {
        this.#complain(`it is at revision ${this.#made} and does not get to ${last}`);
        break;
      }
    await this.stop();
    for (const [key, { revision }] of stored) {
      const seen = this.#seen.get(key);
      if (seen !== revision) this.#complain(`it saw ${key} at revision ${seen}, and it is at ${revision}`);
    }
    for (const key of this.#seen.keys()) if (!stored.has(key)) this.#complain(`it saw ${key}, which is not there`);
    return this.#findings;
  }

  async stop(): Promise<void> {
    this.#stopping.abort();
    await this.#following;
  }

  async #follow(): Promise<void> {
    while (!this.#stopping.signal.aborted) {
      const { http } = anyOf(this.#random, this.#cluster.members);
      const stayMs = Math.round(STAY_MS.from + this.#random.unit() * (STAY_MS.to - STAY_MS.from));
      try {
        await this.#watch(http, AbortSignal.any([this.#stopping.signal, AbortSignal.timeout(stayMs)]));
      } catch (error) {
        // The node is gone, or we left it: what came so far counts. Anything else is a finding.
        if (!isEndOfConnection(error)) this.#complain(`it failed: ${error}`);
      }
      await sleep(PAUSE_MS);
    }
  }

  async #watch(http: string, signal: AbortSignal): Promise<void> {
    const whose = this.#origin === null ? "" : `&origin=${this.#origin}`;
    const response = await fetch(`${http}/v1/watch?prefix=${UNIQUE_PREFIX}&from=1${whose}`, {
      headers: {
        authorization: `Bearer ${this.#cluster.token}`,
        ...(this.#revision === 0 ? {} : { "last-event-id": String(this.#revision) }),
      },
      signal,
    });
    if (response.body === null) throw new Error("an answer has a body");
    if (!response.ok) {
      const text = await response.text();
      // It is behind, has nobody to ask, or is out: another time, or another node.
      if (!["REVISION_AHEAD", "UNAVAILABLE", "OVERLOADED", "STOPPED", "REMOVED"].includes(codeOf(text)))
        this.#complain(`it was answered with status ${response.status}: ${text}`);
      return;
    }
    for await (const { event, data } of serverEvents(response.body)) {
      switch (event) {
        case "put":
          this.#put(put.parse(data));
          break;
        case "progress":
          // It may repeat what the last event said.
          this.#revision = Math.max(this.#revision, progress.parse(data).revision);
          break;
        case "hello":
          break;
        case "closed":
          return;
        default:
          this.#complain(`it got ${event}: ${JSON.stringify(data)}`);
      }
    }
  }

  #put({ key, revision, origin }: z.infer<typeof put>): void {
    const made = origin?.revision ?? revision;
    if (revision <= this.#revision || made <= this.#made)
      this.#complain(`${key} of revision ${made} came after ${this.#made}, at ${revision} after ${this.#revision}`);
    this.#revision = revision;
    this.#made = made;
    this.#seen.set(key, made);
  }

  /** In words, with what it followed. */
  #complain(text: string): void {
    if (this.#findings.length >= FINDINGS_MAX) return;
    const what = this.#origin === null ? this.#cluster.name : `${this.#origin} at ${this.#cluster.name}`;
    this.#findings.push(`the watch of ${what}: ${text}`);
  }
}

/** As fetch tells it: a TypeError for a connection that failed or broke, and the names of our own signals. */
const isEndOfConnection = (error: unknown): boolean =>
  error instanceof Error &&
  (error.name === "AbortError" ||
    error.name === "TimeoutError" ||
    error.message === "fetch failed" ||
    error.message === "terminated");
