/**
 * Who writes at one cluster to keys that have homes, wherever those are just then (Q2, Q3): at once, or as a command that is
 * queued. Each looks now and then what became of what it asked.
 */
import { utf8 } from "@openclaw/core/bytes.ts";
import { OpenClawError } from "@openclaw/core/errors.ts";
import { type ClusterId, revision } from "@openclaw/core/ids.ts";
import type { KeyCommand, Outcome, UserCommand } from "@openclaw/core/state-machine/command.ts";
import type { Compare, Operation } from "@openclaw/core/state-machine/operation.ts";
import { query } from "@openclaw/core/state-machine/query-run.ts";
import { type HomeAsk, isQueued, markedValue, WRITER } from "../checkers/home-commands.ts";
import { SECRET } from "../checkers/private.ts";
import type { MemoryMember } from "../memory-cluster.ts";
import type { SeededRandom } from "../seeded-random.ts";
import { sha256 } from "../sha256.ts";
import type { VirtualClock } from "../virtual-clock.ts";
import { MOVABLE, movableKey, ownKey, PRIVATE, privateKey } from "./home-keys.ts";
import type { Life } from "./life.ts";

export interface HomeWritersOptions {
  readonly life: Life;
  readonly clock: VirtualClock;
  readonly random: SeededRandom;
  readonly thinkMs: number;
  /** Clusters that may be below it. */
  readonly below: readonly ClusterId[];
}

/** What was asked, and when. */
export interface TimedAsk extends HomeAsk {
  readonly began: number;
  /** Log time at its cluster, when it was asked or before. */
  readonly logTime: number;
}

const LOOK_MS = 500;
const RETRY_MS = 300;
const GIVES_UP_MS = 500;
/** Nothing is known of a command that is so old (SPEC.md, Q2). */
const HORIZON_MS = 90 * 86_400_000;
/** What a writer that gave up, or whose member died, is told: whether it was taken is unknown. */
const UNKNOWN = new Set(["UNAVAILABLE", "STOPPED", "OVERLOADED", "DIVERGED"]);

interface Drawn {
  readonly command: UserCommand;
  readonly ask: Pick<HomeAsk, "mark" | "key" | "compare" | "crosses" | "to">;
}

export class HomeWriters {
  readonly asks: TimedAsk[] = [];
  readonly #options: HomeWritersOptions;
  /** What a writer last put under a key: what a comparison expects. */
  readonly #known = new Map<string, string>();
  #isPrivate = false;
  #ended = false;

  constructor(options: HomeWritersOptions, count: number) {
    this.#options = options;
    if (count === 0) return;
    for (let i = 0; i < count; i++) this.#think(`writer ${i + 1}`);
    this.#declarePrivate();
    this.#look();
  }

  end(): void {
    this.#ended = true;
  }

  #think(process: string): void {
    const { clock, random, thinkMs } = this.#options;
    clock.after(1 + random.below(3 * thinkMs), () => {
      if (!this.#ended) this.#call(process);
    });
  }

  #call(process: string): void {
    const { life, random, clock } = this.#options;
    const member = random.pick(life.members);
    if (!member.ready || member.failure !== null) return this.#think(process);
    const mark = `${life.shown} ${process} ${this.asks.length + 1}`;
    const { command, ask: drawn } = this.#draw(mark);
    const timeoutMs = random.pick([300, 2_000, 6_000]);
    const ask: TimedAsk = {
      ...{ process, ...drawn, began: clock.now(), logTime: positionOf(member).logTime },
      ...{ answer: null, settled: null, forgotten: false },
    };
    this.asks.push(ask);
    let over = false;
    const end = (): void => {
      if (!over) this.#think(process);
      over = true;
    };
    clock.after(timeoutMs + GIVES_UP_MS, end);
    const asked = member.clock;
    member.replica.execute(command, { principal: WRITER, timeoutMs }).then(
      (outcome) => {
        // A process that lost its power tells nobody.
        if (!asked.ended) this.#answered(ask, outcome);
        end();
      },
      (error: unknown) => {
        if (!(error instanceof OpenClawError && UNKNOWN.has(error.code)))
          life.violation(`${ask.mark}: ${error instanceof Error ? error.stack : String(error)}`);
        end();
      },
    );
  }

  #answered(ask: TimedAsk, outcome: Outcome): void {
    ask.answer = outcome;
    if (outcome.ok || outcome.code === "OVERLOADED") return;
    const expected = outcome.code === "CROSS_HOME" ? ask.crosses : outcome.code === "UNKNOWN_CHILD" && ask.to !== null;
    if (!expected) this.#options.life.violation(`${ask.mark} was refused: ${outcome.code} ${outcome.details}`);
  }

  #draw(mark: string): Drawn {
    const { random, below } = this.#options;
    const kinds = [
      [() => this.#plain(mark), 6],
      [() => this.#compared(mark), 3],
      [() => this.#moved(mark), 2],
      [() => this.#crossing(mark), 1],
      [() => this.#secret(mark), this.#isPrivate ? 2 : 0],
      [() => this.#addressed(mark), below.length === 0 ? 0 : 3],
    ] as const;
    return random.weighted(kinds)();
  }

  #key(): string {
    const { random } = this.#options;
    return random.chance(0.85) ? movableKey(random, random.pick(MOVABLE)) : ownKey(random);
  }

  #plain(mark: string): Drawn {
    const key = this.#key();
    return { command: put(key, mark), ask: { mark, key, compare: null, crosses: false, to: null } };
  }

  #compared(mark: string): Drawn {
    const key = this.#key();
    const value = this.#known.get(key) ?? null;
    const at = { kind: "key", key: utf8(key) } as const;
    const compare: Compare =
      value === null
        ? { target: "version", keys: at, result: "equal", number: 0 }
        : { target: "value", keys: at, result: "equal", value: utf8(value) };
    this.#known.set(key, markedValue(mark, "success"));
    const branch = (of: "success" | "failure"): Operation => operation(key, markedValue(mark, of));
    return {
      command: { kind: "txn", compares: [compare], success: [branch("success")], failure: [branch("failure")] },
      ask: { mark, key, compare: { key, value }, crosses: false, to: null },
    };
  }

  /** Takes a key away, and puts another one of the same prefix. */
  #moved(mark: string): Drawn {
    const { random } = this.#options;
    const prefix = random.pick(MOVABLE);
    const [from, to] = random.chance(0.5) ? ["x", "y"] : ["y", "x"];
    const key = `${prefix}${to}`;
    return {
      command: both(`${prefix}${from}`, key, mark),
      ask: { mark, key, compare: null, crosses: false, to: null },
    };
  }

  #crossing(mark: string): Drawn {
    const { random } = this.#options;
    const [from, to] = random.pick([
      [MOVABLE[0], MOVABLE[2]],
      [MOVABLE[0], MOVABLE[1]],
      [MOVABLE[2], "a/"],
    ] as const);
    const key = `${to}z`;
    return { command: both(`${from}z`, key, mark), ask: { mark, key, compare: null, crosses: true, to: null } };
  }

  #secret(mark: string): Drawn {
    const secret = `${SECRET} ${mark}`;
    const key = privateKey(this.#options.random);
    return {
      command: put(key, secret),
      ask: { mark: secret, key, compare: null, crosses: false, to: null },
    };
  }

  #addressed(mark: string): Drawn {
    const { random, below } = this.#options;
    const to = random.pick(below);
    const key = random.chance(0.7) ? ownKey(random) : this.#key();
    return {
      command: { kind: "addressed", to, command: put(key, mark) },
      ask: { mark, key, compare: null, crosses: false, to },
    };
  }

  /** Before anything secret is written. */
  #declarePrivate(): void {
    const { life, clock, random } = this.#options;
    const again = (): void => void clock.after(RETRY_MS, () => this.#declarePrivate());
    if (this.#ended) return;
    const member = random.pick(life.members);
    if (!member.ready || member.failure !== null) return again();
    const command = { kind: "setHome", prefix: utf8(PRIVATE), home: "private", without: [] } as const;
    member.replica.execute(command, { principal: "operator", timeoutMs: 2_000 }).then(({ ok }) => {
      if (!ok) life.violation(`${PRIVATE} does not become private`);
      this.#isPrivate = ok;
    }, again);
  }

  /** What became of what was queued: once it is known it stays. */
  #look(): void {
    const { life, clock, random } = this.#options;
    if (life.over) return;
    const member = random.pick(life.members);
    if (member.ready && member.failure === null)
      for (const ask of this.asks) if (ask.answer !== null && isQueued(ask.answer)) this.#lookAt(ask, member);
    clock.after(LOOK_MS, () => this.#look());
  }

  #lookAt(ask: TimedAsk, { state }: MemoryMember): void {
    const { life } = this.#options;
    const handle = ask.answer?.ok === true ? ask.answer.revision : revision(0);
    const { logTime, revision: at } = query(state.view, { kind: "position" }, sha256);
    if (at < handle) return;
    const { command } = query(state.view, { kind: "command", revision: handle }, sha256);
    if (command === null) {
      if (ask.forgotten) return;
      ask.forgotten = true;
      if (logTime - ask.logTime < HORIZON_MS)
        life.violation(`${ask.mark}, queued at ${handle}, is forgotten after ${logTime - ask.logTime} ms`);
      return;
    }
    if (command.outcome === null) return;
    if (ask.settled !== null && !isSame(ask.settled, command.outcome))
      life.violation(
        `${ask.mark}, queued at ${handle}, was told ${shown(ask.settled)}, then ${shown(command.outcome)}`,
      );
    ask.settled = command.outcome;
  }
}

const put = (key: string, mark: string): KeyCommand => ({
  kind: "put",
  key: utf8(key),
  value: utf8(markedValue(mark, "success")),
});

const operation = (key: string, value: string): Operation => ({
  kind: "put",
  key: utf8(key),
  value: utf8(value),
  lease: null,
  previous: false,
});

const both = (from: string, to: string, mark: string): KeyCommand => ({
  kind: "txn",
  compares: [],
  success: [
    { kind: "deleteRange", keys: { kind: "key", key: utf8(from) }, previous: false },
    operation(to, markedValue(mark, "success")),
  ],
  failure: [],
});

const positionOf = ({ state }: MemoryMember) => query(state.view, { kind: "position" }, sha256);

const isSame = (a: Outcome, b: Outcome): boolean => shown(a) === shown(b);
const shown = (outcome: Outcome): string => (outcome.ok ? `done at ${outcome.revision}` : outcome.code);
