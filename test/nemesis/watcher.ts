/**
 * Follows the unique keys through all faults, at one node after another, each time from where it got to: every write must
 * come once, in the order of revisions, and none may be left out (etcd's guarantees for a watch).
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

const put = z.object({ key: z.string(), revision: z.number() });
const progress = z.object({ revision: z.number() });
const failure = z.object({ code: z.string() });
const codeOf = (text: string): string => failure.parse(JSON.parse(text)).code;

export class Watcher {
  readonly #cluster: RealCluster;
  readonly #random: Random;
  readonly #seen = new Map<string, number>();
  readonly #findings: string[] = [];
  readonly #stopping = new AbortController();
  readonly #following: Promise<void>;
  /** Up to here everything was seen. */
  #revision = 0;

  constructor(cluster: RealCluster, random: Random) {
    this.#cluster = cluster;
    this.#random = random;
    this.#following = this.#follow();
  }

  /** At rest, with what is there of the unique keys. @returns what the watch got wrong, in words */
  async conclude(stored: ReadonlyMap<string, Versioned>): Promise<readonly string[]> {
    const last = Math.max(0, ...[...stored.values()].map(({ revision }) => revision));
    for (const deadline = performance.now() + CATCH_UP_MS; this.#revision < last; await sleep(PAUSE_MS))
      if (performance.now() > deadline) {
        this.#complain(`the watch is at revision ${this.#revision} and does not get to ${last}`);
        break;
      }
    await this.stop();
    for (const [key, { revision }] of stored) {
      const seen = this.#seen.get(key);
      if (seen !== revision) this.#complain(`the watch saw ${key} at revision ${seen}, and it is at ${revision}`);
    }
    for (const key of this.#seen.keys())
      if (!stored.has(key)) this.#complain(`the watch saw ${key}, which is not there`);
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
        if (!isEndOfConnection(error)) this.#complain(`the watch failed: ${error}`);
      }
      await sleep(PAUSE_MS);
    }
  }

  async #watch(http: string, signal: AbortSignal): Promise<void> {
    const response = await fetch(`${http}/v1/watch?prefix=${UNIQUE_PREFIX}&from=1`, {
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
        this.#complain(`a watch was answered with status ${response.status}: ${text}`);
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
          this.#complain(`the watch got ${event}: ${JSON.stringify(data)}`);
      }
    }
  }

  #put({ key, revision }: z.infer<typeof put>): void {
    if (revision <= this.#revision)
      this.#complain(`the watch saw ${key} of revision ${revision} after it had got to ${this.#revision}`);
    this.#revision = revision;
    this.#seen.set(key, revision);
  }

  #complain(text: string): void {
    if (this.#findings.length < FINDINGS_MAX) this.#findings.push(text);
  }
}

/** As fetch tells it: a TypeError for a connection that failed or broke, and the names of our own signals. */
const isEndOfConnection = (error: unknown): boolean =>
  error instanceof Error &&
  (error.name === "AbortError" ||
    error.name === "TimeoutError" ||
    error.message === "fetch failed" ||
    error.message === "terminated");
