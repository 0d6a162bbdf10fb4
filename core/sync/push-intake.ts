/**
 * What a child pushes: proposed in the order in which it came, and answered in it. A command that may not run has its
 * refusal proposed in its place.
 */
import { InvariantViolation, OpenClawError } from "../errors.ts";
import { seq } from "../ids.ts";
import type { DocumentChange } from "../ledger/record.ts";
import { BATCH_ITEMS_MAX, PROVISIONAL_CHANGES_MAX } from "../limits.ts";
import type { ProvisionalChanges } from "../provisional/message.ts";
import type { CommandResult, ImportedCommand, Outcome } from "../state-machine/command.ts";
import { commandRefusal, type Refusal } from "./admission.ts";
import type { Principal } from "./authority.ts";
import type { Import, ParentBackend } from "./backend.ts";
import { type ChildMessage, type ParentMessage, PUSHES_IN_FLIGHT_MAX } from "./message.ts";
import { requireSameLedger } from "./overlap.ts";

type Hello = Extract<ChildMessage, { kind: "hello" }>;
export type PushMessage = Extract<ChildMessage, { kind: "pushLedger" | "pushSnapshot" | "pushCommands" }>;
type PushCommands = Extract<ChildMessage, { kind: "pushCommands" }>;

/** Characters that are remembered of why a command was refused: it may quote a name as long as a frame. */
const DETAILS_MAX = 512;

export interface PushIntakeOptions {
  readonly backend: Pick<ParentBackend, "propose" | "checkChanges" | "senderHash">;
  readonly open: () => boolean;
  readonly answer: (message: ParentMessage) => void;
  /** Checked changes of one command, in a push of few: it is about to be proposed (D5). */
  readonly checked: (changes: ProvisionalChanges) => void;
  /** The connection cannot go on. */
  readonly failed: (error: unknown) => void;
}

/** Who pushes. */
export interface Pusher {
  readonly hello: Hello;
  readonly principal: Principal;
}

type Proposed = { readonly result: CommandResult } | { readonly error: unknown };

export class PushIntake {
  readonly #options: PushIntakeOptions;
  #pushes = 0;
  #lastProposed: Promise<void> = Promise.resolve();
  #lastAnswered: Promise<void> = Promise.resolve();

  constructor(options: PushIntakeOptions) {
    this.#options = options;
  }

  take(message: PushMessage, pusher: Pusher): void {
    const { open, failed } = this.#options;
    if (this.#pushes >= PUSHES_IN_FLIGHT_MAX)
      return failed(new OpenClawError("OVERLOADED", `${PUSHES_IN_FLIGHT_MAX} pushes in flight`));
    if ((message.kind !== "pushCommands") !== (pusher.hello.child.kind === "site")) {
      return failed(new OpenClawError("MALFORMED_FRAME", `${message.kind} from a ${pusher.hello.child.kind}`));
    }
    this.#pushes++;
    const proposed = this.#lastProposed.then(() => this.#propose(message, pusher));
    this.#lastProposed = proposed.then(() => undefined);
    this.#lastAnswered = this.#lastAnswered
      .then(async () => {
        const { outcome } = await proposed;
        const done = await outcome;
        this.#pushes--;
        if (!open()) return;
        if ("error" in done) return failed(done.error);
        if (message.kind === "pushLedger")
          await requireSameLedger(this.#options.backend, pusher.hello.link, message, done.result);
        this.#answer(message, done.result);
      })
      .catch((error: unknown) => {
        if (error instanceof InvariantViolation) throw error;
        failed(error);
      });
  }

  /** Resolves when the import is on its way; its outcome comes later, so that the next one can follow at once. */
  async #propose(message: PushMessage, pusher: Pusher): Promise<{ readonly outcome: Promise<Proposed> }> {
    try {
      const command = await this.#importOf(message, pusher);
      if (!this.#options.open()) throw new OpenClawError("STOPPED", "the connection closed");
      if (command.kind === "importSnapshot") {
        const done = { result: await this.#wholly(command, pusher.principal) };
        return { outcome: Promise.resolve(done) };
      }
      const result = this.#options.backend.propose(command, pusher.principal.name);
      return {
        outcome: result
          .then((first) => (first.kind === "unfinished" ? this.#wholly(command, pusher.principal) : first))
          .then(
            (done) => ({ result: done }),
            (error: unknown) => ({ error }),
          ),
      };
    } catch (error) {
      return { outcome: Promise.resolve({ error }) };
    }
  }

  /** What is too much for one command goes on where it stopped, before anything that follows it. */
  async #wholly(command: Import, principal: Principal): Promise<CommandResult> {
    for (;;) {
      const result = await this.#options.backend.propose(command, principal.name);
      const isDone = result.kind === "snapshotTaken" ? !result.more : result.kind !== "unfinished";
      if (isDone) return result;
    }
  }

  async #importOf(message: PushMessage, { hello, principal }: Pusher): Promise<Import> {
    const { child, link } = hello;
    switch (message.kind) {
      case "pushLedger": {
        if (child.kind !== "site") throw new OpenClawError("MALFORMED_FRAME", "a ledger from a client");
        const { cluster, epoch } = child;
        const { items, hash, after } = message;
        return { kind: "importLedger", side: "child", link, cluster, epoch, items, hash, after };
      }
      case "pushSnapshot": {
        if (child.kind !== "site") throw new OpenClawError("MALFORMED_FRAME", "a snapshot from a client");
        const { cluster, epoch } = child;
        return { kind: "importSnapshot", side: "child", link, cluster, epoch, step: message.step };
      }
      case "pushCommands": {
        const commands = await this.#judged(message.commands, principal);
        return { kind: "importCommands", link, from: message.from, lowWater: message.lowWater, commands };
      }
    }
  }

  /** Puts a refusal in the place of each command that may not run. */
  async #judged(commands: PushCommands["commands"], principal: Principal): Promise<readonly ImportedCommand[]> {
    const { backend } = this.#options;
    const judged: ImportedCommand[] = commands.map((command) => {
      const refusal = commandRefusal(command, principal);
      return refusal === null ? command : refused(refusal);
    });
    const changes = judged.flatMap(changesOf);
    if (changes.length === 0) return judged;
    // D1. All at once when they are all good, which is nearly always; else one command after another finds the bad ones.
    const isGood = changes.length <= BATCH_ITEMS_MAX && (await backend.checkChanges(changes)) === null;
    if (!isGood)
      for (const [at, command] of judged.entries()) {
        const refusal = await backend.checkChanges(changesOf(command));
        if (refusal !== null) judged[at] = refused(refusal);
      }
    if (changes.length <= PROVISIONAL_CHANGES_MAX) this.#tell(judged);
    return judged;
  }

  #tell(judged: readonly ImportedCommand[]): void {
    const { open, checked } = this.#options;
    if (open()) for (const command of judged) if (command.kind === "change") checked(command);
  }

  #answer(message: PushMessage, result: CommandResult): void {
    const { answer, failed } = this.#options;
    switch (result.kind) {
      case "importRefused": {
        const { code, details, cursor } = result;
        // The steps behind it belong to it: the next connection goes on where the replicated place stands.
        if (message.kind === "pushSnapshot") return failed(new OpenClawError(code, details));
        return answer({ kind: "refused", code, details, cursor });
      }
      case "imported": {
        const outcomes =
          message.kind === "pushCommands"
            ? result.outcomes.flatMap((outcome, i) => numbered(outcome, message.from + i))
            : [];
        return answer({ kind: "pushed", cursor: result.cursor, outcomes });
      }
      case "snapshotTaken":
        return answer({ kind: "pushed", cursor: result.cursor, outcomes: [] });
      default:
        failed(new InvariantViolation(`an import was answered ${result.kind}`));
    }
  }
}

const refused = ({ code, details }: Refusal): ImportedCommand => ({
  kind: "refused",
  code,
  details: details.slice(0, DETAILS_MAX),
});

const changesOf = (command: ImportedCommand): readonly DocumentChange[] =>
  command.kind === "change" ? command.changes : [];

const numbered = (outcome: Outcome | null, at: number): { seq: ReturnType<typeof seq>; outcome: Outcome }[] =>
  outcome === null ? [] : [{ seq: seq(at), outcome }];
