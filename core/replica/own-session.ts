/** The session in which this replica runs what its callers ask for (Q1): opened when it is first needed, and after it expired. */
import { toHex } from "../bytes.ts";
import { InvariantViolation, invariant, OpenClawError } from "../errors.ts";
import type { SessionId } from "../ids.ts";
import type { Clock, Random } from "../ports.ts";
import type { CommandResult, IdempotentCommand, Outcome, UserCommand } from "../state-machine/command.ts";
import type { ProposeOptions } from "./contract.ts";
import type { Proposals, Proposed } from "./proposals.ts";
import { within } from "./within.ts";

export type IdempotentResult = Extract<CommandResult, { kind: "idempotent" }>;

export interface OwnSessionOptions {
  readonly clock: Clock;
  readonly random: Random;
  readonly proposals: Proposals;
  /** In whose name it is opened. */
  readonly principal: string;
  readonly submit: (command: Proposed, options: ProposeOptions) => Promise<CommandResult>;
}

export class OwnSession {
  readonly #options: OwnSessionOptions;
  #opening: Promise<void> | null = null;

  constructor(options: OwnSessionOptions) {
    this.#options = options;
  }

  /** Runs a command at most once. @throws OpenClawError OVERLOADED, UNAVAILABLE, SESSION_EXPIRED, STOPPED */
  async execute(command: UserCommand, options: ProposeOptions): Promise<Outcome> {
    const result = await this.#run(command, options);
    if (result.kind !== "outcome") throw new InvariantViolation(`a user command was answered ${result.kind}`);
    return result.outcome;
  }

  /** The same under an `Idempotency-Key`. @throws OpenClawError as `execute` */
  async executeIdempotent(command: IdempotentCommand, options: ProposeOptions): Promise<IdempotentResult> {
    const result = await this.#run(command, options);
    if (result.kind !== "idempotent") throw new InvariantViolation(`an idempotent command was answered ${result.kind}`);
    return result;
  }

  async #run(command: UserCommand | IdempotentCommand, options: ProposeOptions): Promise<CommandResult> {
    const { clock, proposals, submit } = this.#options;
    const deadline = clock.now() + options.timeoutMs;
    while (proposals.session === null) await within(clock, deadline - clock.now(), this.ready());
    const { session } = proposals;
    const result = await submit(command, { ...options, timeoutMs: deadline - clock.now() });
    const outcome = "outcome" in result ? result.outcome : null;
    if (outcome?.ok === false && outcome.code === "SESSION_EXPIRED") {
      proposals.expired(session);
      throw new OpenClawError("SESSION_EXPIRED");
    }
    return result;
  }

  /** Resolves when there is one. One is opened at a time, for all who need it. */
  async ready(): Promise<void> {
    if (this.#options.proposals.session !== null) return;
    this.#opening ??= this.#open().finally(() => {
      this.#opening = null;
    });
    await this.#opening;
  }

  /** Proposes until it succeeds or the replica stops. */
  async #open(): Promise<void> {
    const { random, proposals, principal, submit } = this.#options;
    const session = toHex(random.bytes(16)) as SessionId;
    const opening = { kind: "openSession", session } as const;
    const result = await submit(opening, { principal, timeoutMs: Number.POSITIVE_INFINITY });
    invariant(result.kind === "sessionOpened", "openSession was answered with something else");
    proposals.adopt(session);
  }
}
