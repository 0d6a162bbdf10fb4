/** The session in which this replica runs what its callers ask for (Q1): opened when it is first needed, and after it expired. */
import { toHex } from "../bytes.ts";
import { invariant } from "../errors.ts";
import type { SessionId } from "../ids.ts";
import type { Random } from "../ports.ts";
import type { CommandResult, SystemCommand } from "../state-machine/command.ts";
import type { Proposals } from "./proposals.ts";

export class OwnSession {
  readonly #random: Random;
  readonly #proposals: Proposals;
  readonly #submit: (command: SystemCommand) => Promise<CommandResult>;
  #opening: Promise<void> | null = null;

  /** @param submit proposes until it succeeds or the replica stops */
  constructor(random: Random, proposals: Proposals, submit: (command: SystemCommand) => Promise<CommandResult>) {
    this.#random = random;
    this.#proposals = proposals;
    this.#submit = submit;
  }

  /** Resolves when there is one. One is opened at a time, for all who need it. */
  async ready(): Promise<void> {
    if (this.#proposals.session !== null) return;
    this.#opening ??= this.#open().finally(() => {
      this.#opening = null;
    });
    await this.#opening;
  }

  async #open(): Promise<void> {
    const session = toHex(this.#random.bytes(16)) as SessionId;
    const result = await this.#submit({ kind: "openSession", session });
    invariant(result.kind === "sessionOpened", "openSession was answered with something else");
    this.#proposals.adopt(session);
  }
}
