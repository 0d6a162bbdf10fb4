/**
 * Commands on their way into the log, and the callers who wait for them. A command is offered again whenever its first
 * try may have been lost (leader changed, or no answer for a while): user commands carry a step of this replica's
 * session, so that they run at most once (Q1); system commands carry cursors, so that a repetition moves nothing.
 */

import { toHex } from "../bytes.ts";
import { invariant, OpenClawError, unreachable } from "../errors.ts";
import { type Seq, type SessionId, seq } from "../ids.ts";
import { BATCH_BYTES_MAX, BATCH_ITEMS_MAX, RESULTS_MAX } from "../limits.ts";
import type { Clock, Random } from "../ports.ts";
import { PROPOSAL_BYTES_MAX } from "../raft/raft.ts";
import type {
  Command,
  CommandResult,
  IdempotentCommand,
  SessionStep,
  SystemCommand,
  UserCommand,
} from "../state-machine/command.ts";
import { commandBytes, textBytes } from "../state-machine/command-size.ts";

/** Callers that may wait at once: those of the session (its window is RESULTS_MAX) plus the node's own. Beyond: OVERLOADED. */
const WAITING_MAX = RESULTS_MAX;
/** Command bytes that may wait at once; beyond: OVERLOADED. */
const WAITING_BYTES_MAX = 64 * BATCH_BYTES_MAX;
/** Bytes of one command: with its header it must fit an entry, and an entry a frame. */
const COMMAND_BYTES_MAX = PROPOSAL_BYTES_MAX - 65_536;
/** Of any command but an import of a ledger: the record it leaves is imported at every tier above, and grows a little at each. */
const WRITTEN_HERE_BYTES_MAX = COMMAND_BYTES_MAX - 65_536;
/** A command without an answer is offered again after this long, in ms. */
const RETRY_MS = 1_000;

/** What may be proposed. */
export type Proposed = UserCommand | IdempotentCommand | SystemCommand;

interface Waiter {
  readonly request: number;
  readonly principal: string;
  readonly body: Proposed;
  readonly bytes: number;
  readonly session: { readonly id: SessionId; readonly seq: Seq } | null;
  readonly salt: Uint8Array;
  readonly time: number;
  readonly deadline: number;
  /** Monotonic ms of the last offer; null while it waits in the queue. */
  offered: number | null;
  readonly resolve: (result: CommandResult) => void;
  readonly reject: (error: OpenClawError) => void;
}

export class Proposals {
  /** Finds our results among everyone's. */
  readonly proposer: string;
  readonly #clock: Clock;
  readonly #random: Random;
  readonly #waiting = new Map<number, Waiter>();
  /** Requests not yet offered, in order. */
  #queue: number[] = [];
  #bytes = 0;
  #lastRequest = 0;
  #session: SessionId | null = null;
  #lastSeq = 0;
  /** Unanswered steps of the session, ascending: the first one is the low-water mark. */
  readonly #openSeqs = new Set<Seq>();

  constructor(clock: Clock, random: Random) {
    this.#clock = clock;
    this.#random = random;
    this.proposer = toHex(random.bytes(8));
  }

  get waiting(): number {
    return this.#waiting.size;
  }

  get queued(): boolean {
    return this.#queue.length > 0;
  }

  /** The session of user commands, or null until one was opened. */
  get session(): SessionId | null {
    return this.#session;
  }

  /** Starts using `session`. Steps of an earlier one keep their own numbers. */
  adopt(session: SessionId): void {
    this.#use(session);
  }

  /** The cluster has forgotten `session`. A step of it may hear so late, when another has taken its place. */
  expired(session: SessionId | null): void {
    if (session === this.#session) this.#use(null);
  }

  #use(session: SessionId | null): void {
    this.#session = session;
    this.#lastSeq = 0;
    this.#openSeqs.clear();
  }

  /** @throws OpenClawError OVERLOADED at once; rejects with UNAVAILABLE after `timeoutMs`. */
  submit(body: Proposed, principal: string, timeoutMs: number): Promise<CommandResult> {
    const bytes = commandBytes(body) + textBytes(principal);
    const bytesMax =
      body.kind === "importLedger" || body.kind === "importSnapshot" ? COMMAND_BYTES_MAX : WRITTEN_HERE_BYTES_MAX;
    if (bytes > bytesMax) throw new OpenClawError("FRAME_TOO_LARGE", `a command is at most ${bytesMax} bytes`);
    if (this.#waiting.size >= WAITING_MAX) throw new OpenClawError("OVERLOADED", `${WAITING_MAX} commands are waiting`);
    if (this.#bytes + bytes > WAITING_BYTES_MAX)
      throw new OpenClawError("OVERLOADED", `${WAITING_BYTES_MAX} bytes are waiting`);
    const session = isUser(body) ? this.#nextStep() : null;
    const request = ++this.#lastRequest;
    const { promise, resolve, reject } = Promise.withResolvers<CommandResult>();
    this.#waiting.set(request, {
      request,
      principal,
      body,
      bytes,
      session,
      salt: this.#random.bytes(16),
      time: Math.trunc(this.#clock.wall()),
      deadline: this.#clock.now() + timeoutMs,
      offered: null,
      resolve,
      reject,
    });
    this.#bytes += bytes;
    this.#queue.push(request);
    return promise;
  }

  #nextStep(): { readonly id: SessionId; readonly seq: Seq } {
    invariant(this.#session !== null, "a user command before its session");
    const lowest = this.#openSeqs.values().next().value ?? this.#lastSeq + 1;
    if (this.#lastSeq + 1 - lowest >= RESULTS_MAX)
      throw new OpenClawError("OVERLOADED", "the session's window is full");
    this.#openSeqs.add(seq(++this.#lastSeq));
    return { id: this.#session, seq: seq(this.#lastSeq) };
  }

  /** The next batch to offer, in order; empty when nothing is queued. */
  take(): readonly Command[] {
    const batch: Command[] = [];
    let bytes = 0;
    let taken = 0;
    const now = this.#clock.now();
    for (const request of this.#queue) {
      const waiter = this.#waiting.get(request);
      if (waiter !== undefined) {
        if (batch.length > 0 && (batch.length === BATCH_ITEMS_MAX || bytes + waiter.bytes > BATCH_BYTES_MAX)) break;
        bytes += waiter.bytes;
        waiter.offered = now;
        batch.push(this.#command(waiter));
      }
      taken++;
    }
    this.#queue = this.#queue.slice(taken);
    return batch;
  }

  #command(waiter: Waiter): Command {
    return {
      ...waiter.body,
      header: {
        principal: waiter.principal,
        time: waiter.time,
        salt: waiter.salt,
        request: waiter.request,
        proposer: this.proposer,
        session: waiter.session === null ? null : this.#step(waiter.session),
      },
    };
  }

  #step(step: { readonly id: SessionId; readonly seq: Seq }): SessionStep {
    // A step of a session that was replaced is below every window that it may still meet: it answers SESSION_EXPIRED.
    const lowest = step.id === this.#session ? this.#openSeqs.values().next().value : undefined;
    return { ...step, lowWater: seq(lowest ?? step.seq) };
  }

  /** A committed command came by: answers its caller if that waits here. */
  settle(proposer: string, request: number, result: CommandResult): void {
    if (proposer !== this.proposer) return;
    const waiter = this.#waiting.get(request);
    if (waiter === undefined) return;
    this.#forget(waiter);
    waiter.resolve(result);
  }

  /** The leader changed: what was offered may be lost, so all of it is offered again, in its first order. */
  offerAllAgain(): void {
    for (const waiter of this.#waiting.values()) waiter.offered = null;
    this.#queue = [...this.#waiting.keys()];
  }

  /** Once a tick: gives up what is past its deadline, and queues again what had no answer for RETRY_MS. */
  tick(): void {
    if (this.#waiting.size === 0) return;
    const now = this.#clock.now();
    let changed = false;
    for (const waiter of this.#waiting.values()) {
      if (now >= waiter.deadline) {
        this.#forget(waiter);
        waiter.reject(new OpenClawError("UNAVAILABLE", "no answer in time"));
        changed = true;
      } else if (waiter.offered !== null && now - waiter.offered >= RETRY_MS) {
        waiter.offered = null;
        changed = true;
      }
    }
    if (!changed) return;
    this.#queue = [];
    for (const waiter of this.#waiting.values()) if (waiter.offered === null) this.#queue.push(waiter.request);
  }

  /** Rejects everyone who waits. */
  abandon(error: OpenClawError): void {
    for (const waiter of [...this.#waiting.values()]) {
      this.#forget(waiter);
      waiter.reject(error);
    }
    this.#queue = [];
  }

  #forget(waiter: Waiter): void {
    this.#waiting.delete(waiter.request);
    this.#bytes -= waiter.bytes;
    if (waiter.session?.id === this.#session) this.#openSeqs.delete(waiter.session.seq);
  }
}

/** Exhaustive: what is not asked for in a session runs again when it is offered again. */
function isUser(body: Proposed): body is UserCommand | IdempotentCommand {
  switch (body.kind) {
    case "put":
    case "deleteRange":
    case "txn":
    case "leaseGrant":
    case "leaseKeepAlive":
    case "leaseRevoke":
    case "compact":
    case "setHome":
    case "addressed":
    case "change":
    case "idempotent":
      return true;
    case "openSession":
    case "importLedger":
    case "importSnapshot":
    case "subscribe":
    case "shed":
    case "importCommands":
    case "parentHolds":
    case "succeedEpoch":
    case "settleEpoch":
    case "noteContender":
    case "uplinkUsed":
    case "allowUplink":
    case "noteMember":
    case "parentLacks":
    case "raiseVersion":
    case "enrolSite":
    case "decideSite":
    case "compareStates":
    case "reportState":
    case "stamp":
      return false;
    default:
      return unreachable(body);
  }
}
