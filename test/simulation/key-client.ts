/** Asks a site's keys and leases in names of its own, one a request, and notes what it is told. */
import { hash } from "node:crypto";
import { OpenClawError } from "@openclaw/core/errors.ts";
import { revision } from "@openclaw/core/ids.ts";
import type { Command, Range } from "../model/etcd.ts";
import { type Answer, answerOf, commandOf, rangeRequestOf, responseOf } from "../model/translation.ts";
import type { Requests, Told } from "./checkers/requests.ts";
import type { Knowledge } from "./drawn-requests.ts";
import type { MemoryMember } from "./memory-cluster.ts";
import type { SeededRandom } from "./seeded-random.ts";
import type { SimulatedCluster } from "./simulated-cluster.ts";
import type { VirtualClock } from "./virtual-clock.ts";

export interface KeyClientOptions {
  readonly site: SimulatedCluster;
  readonly clock: VirtualClock;
  readonly random: SeededRandom;
  readonly requests: Requests;
  readonly known: Knowledge;
}

/** What a caller that gave up, or whose member died, is told: whether it took effect is unknown. */
const EXPECTED = new Set(["UNAVAILABLE", "STOPPED", "OVERLOADED", "SESSION_EXPIRED"]);

export class KeyClient {
  readonly name: string;
  readonly #options: KeyClientOptions;
  #asked = 0;

  constructor(name: string, options: KeyClientOptions) {
    this.name = name;
    this.#options = options;
  }

  /** Resolves with the answer of some member, or null where nobody knows. */
  async execute(command: Command): Promise<Answer | null> {
    const told = await this.#ask(this.#next(), command, async ({ replica }, timeoutMs, principal) => {
      const outcome = await replica.execute(commandOf(command), { principal, timeoutMs });
      return { kind: "outcome", answer: answerOf(command, outcome) };
    });
    if (told?.kind !== "outcome") return null;
    if ("revision" in told.answer) this.#learn(told.answer.revision);
    return told.answer;
  }

  /** Asks several members, one after the other, for the same under one `Idempotency-Key` (Q1), answered or not. */
  async insist(command: Command): Promise<void> {
    const idempotency = { key: this.#next(), request: hash("sha256", JSON.stringify(command), "buffer"), note: "" };
    for (let times = this.#options.random.below(4, 1); times > 0; times--) {
      const idempotent = { kind: "idempotent", idempotency, command: commandOf(command) } as const;
      await this.#ask(idempotency.key, command, async ({ replica }, timeoutMs, principal) => {
        const { outcome } = await replica.executeIdempotent(idempotent, { principal, timeoutMs });
        return { kind: "outcome", answer: answerOf(command, outcome) };
      });
    }
  }

  async read(range: Range): Promise<void> {
    const told = await this.#ask(this.#next(), range, async ({ replica }, timeoutMs) => {
      // Nothing newer is asked for than somebody knows of: behind a barrier every member has that.
      await replica.barrier(timeoutMs);
      if (range.at > 0) {
        const past = { kind: "range", origin: null, at: revision(range.at), ...rangeRequestOf(range) } as const;
        return { kind: "was", response: responseOf({ kind: "range", ...(await replica.history(past)) }) };
      }
      const answer = await replica.read({ kind: "range", origin: null, ...rangeRequestOf(range) });
      return { kind: "saw", response: responseOf({ kind: "range", ...answer }), at: answer.revision };
    });
    if (told?.kind === "saw") this.#learn(told.at);
  }

  #learn(revision: number): void {
    const { known } = this.#options;
    known.revision = Math.max(known.revision, revision);
  }

  #next(): string {
    return `${this.name} ${++this.#asked}`;
  }

  async #ask(
    principal: string,
    request: Command | Range,
    ask: (member: MemoryMember, timeoutMs: number, principal: string) => Promise<Told>,
  ): Promise<Told | null> {
    const { site, random, clock, requests } = this.#options;
    const member = random.pick(random.chance(0.95) ? site.group : site.members);
    const timeoutMs = random.pick([100, 1_500, 6_000]);
    if (!member.ready || member.failure !== null) return null;
    const { clock: process } = member;
    const noted = requests.begin(principal, request);
    const answered = ask(member, timeoutMs, principal).then(
      (told) => {
        // A process that lost its power tells nobody.
        if (process.ended) return null;
        noted(told);
        return told;
      },
      (error: unknown) => {
        if (!(error instanceof OpenClawError) || !EXPECTED.has(error.code))
          site.violation(`${principal}: ${error instanceof Error ? error.stack : String(error)}`);
        return null;
      },
    );
    // One whose member hangs hears nothing at all, and goes elsewhere.
    const givenUp = new Promise<null>((resolve) => void clock.after(timeoutMs + 500, () => resolve(null)));
    return Promise.race([answered, givenUp]);
  }
}
