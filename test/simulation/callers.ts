/** Callers of a site's keys: each asks one thing at a time of a random member, and what they saw is the history. */
import { utf8, utf8Text } from "@openclaw/core/bytes.ts";
import { OpenClawError } from "@openclaw/core/errors.ts";
import { revision } from "@openclaw/core/ids.ts";
import type { Outcome, UserCommand } from "@openclaw/core/state-machine/command.ts";
import { compareAndSet, comparedOutcome } from "@openclaw/core/state-machine/compare-and-set.ts";
import type { Call, History } from "./checkers/history.ts";
import type { MemoryMember } from "./memory-cluster.ts";
import type { SeededRandom } from "./seeded-random.ts";
import type { VirtualClock } from "./virtual-clock.ts";

type Write = Exclude<Call["asked"], { kind: "read" }>;

export interface CallersOptions {
  readonly site: {
    readonly group: readonly MemoryMember[];
    /** With those that were taken out. */
    readonly members: readonly MemoryMember[];
    violation(text: string): void;
  };
  readonly clock: VirtualClock;
  readonly random: SeededRandom;
  readonly history: History;
  readonly keys: number;
  readonly thinkMs: number;
  /** What every value begins with; "v" unless given. */
  readonly values?: string;
}

/** Of writes, deletes are this share. */
const DELETES = 0.12;
/** What a caller that gave up, or whose member died, is told: whether it took effect is unknown. */
const EXPECTED = new Set(["UNAVAILABLE", "STOPPED", "OVERLOADED", "SESSION_EXPIRED", "DIVERGED"]);

export class Callers {
  readonly #options: CallersOptions;
  /** The revision that a caller last saw of a key: what a comparison expects. */
  readonly #known = new Map<string, number>();
  #lastValue = 0;
  #ended = false;

  constructor(options: CallersOptions, count: number) {
    this.#options = options;
    for (let i = 0; i < count; i++) this.#think(`caller ${i + 1}`);
  }

  end(): void {
    this.#ended = true;
  }

  /** Resolves when `member` answered a write, or a read; rejects with what it was refused with. */
  async write(process: string, member: MemoryMember, timeoutMs: number): Promise<void> {
    const { history, random, keys } = this.#options;
    const key = `k${random.below(keys)}`;
    const asked = this.#draw(key);
    const answered = history.begin(process, key, asked);
    const outcome = await this.#execute(member, commandOf(key, asked), timeoutMs);
    if (outcome.ok && outcome.response?.kind === "deleteRange" && outcome.response.deleted === 0) {
      answered({ kind: "saw", row: null, at: outcome.revision });
    } else if (outcome.ok) {
      answered({ kind: "wrote", revision: outcome.revision });
      this.#known.set(key, asked.kind === "delete" ? 0 : outcome.revision);
    } else if (outcome.code === "COMPARE_FAILED") answered({ kind: "differed" });
    else this.#options.site.violation(`${process}'s ${asked.kind} of ${key} was refused: ${outcome.code}`);
  }

  async read(process: string, member: MemoryMember, timeoutMs: number): Promise<void> {
    const { history, random, keys } = this.#options;
    const key = `k${random.below(keys)}`;
    const answered = history.begin(process, key, { kind: "read" });
    const { replica, clock } = member;
    await replica.barrier(timeoutMs);
    const { row, revision: at } = await replica.read({ kind: "get", origin: null, key: utf8(key) });
    // A process that lost its power tells nobody.
    if (clock.ended) return;
    this.#known.set(key, row?.modRevision ?? 0);
    const saw = row === null ? null : { value: utf8Text(row.value) ?? "", revision: row.modRevision };
    answered({ kind: "saw", row: saw, at });
  }

  /** Reports what no caller should ever be told. */
  unanswered(what: string, error: unknown): void {
    if (error instanceof OpenClawError && EXPECTED.has(error.code)) return;
    this.#options.site.violation(`${what}: ${error instanceof Error ? error.stack : String(error)}`);
  }

  #draw(key: string): Write {
    const { random } = this.#options;
    if (random.chance(DELETES)) return { kind: "delete" };
    const value = `${this.#options.values ?? "v"}${++this.#lastValue}`;
    if (!random.chance(0.4)) return { kind: "put", value };
    return { kind: "compareAndSet", value, expected: this.#known.get(key) ?? 0 };
  }

  async #execute(member: MemoryMember, command: UserCommand, timeoutMs: number): Promise<Outcome> {
    const { clock } = member;
    const outcome = await member.replica.execute(command, { principal: "caller", timeoutMs });
    if (clock.ended) throw new OpenClawError("STOPPED");
    return comparedOutcome(command, outcome);
  }

  #think(process: string): void {
    const { clock, random, thinkMs } = this.#options;
    clock.after(1 + random.below(2 * thinkMs), () => {
      if (!this.#ended) this.#call(process);
    });
  }

  #call(process: string): void {
    const { site, random, clock } = this.#options;
    const member = random.pick(random.chance(0.95) ? site.group : site.members);
    const timeoutMs = random.pick([100, 1_500, 6_000]);
    if (!member.ready || member.failure !== null) return this.#think(process);
    let over = false;
    const end = (): void => {
      if (over) return;
      over = true;
      this.#think(process);
    };
    // A caller whose member hangs hears nothing at all, and goes elsewhere.
    clock.after(timeoutMs + 500, end);
    const write = random.chance(0.65);
    const call = write ? this.write(process, member, timeoutMs) : this.read(process, member, timeoutMs);
    call.then(end, (error: unknown) => {
      this.unanswered(write ? "a write" : "a read", error);
      end();
    });
  }
}

function commandOf(key: string, asked: Write): UserCommand {
  if (asked.kind === "delete") return { kind: "deleteRange", keys: { kind: "key", key: utf8(key) } };
  const common = { key: utf8(key), value: utf8(asked.value) };
  return asked.kind === "put"
    ? { kind: "put", ...common }
    : compareAndSet(common.key, revision(asked.expected), common.value);
}
