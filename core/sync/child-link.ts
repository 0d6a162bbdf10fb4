/**
 * The child's side of one sync connection, the same for a client and for a site's uplink: says hello, pushes what waits
 * in order with a window, rewinds when a push is refused, hands on events, and asks. It keeps nothing: what waits, and
 * what was taken, is its owner's.
 */
import { asOpenClawError, InvariantViolation, OpenClawError } from "../errors.ts";
import type { LeaseId, Revision } from "../ids.ts";
import type { LinkItem } from "../ledger/record.ts";
import type { SnapshotStep } from "../ledger/snapshot.ts";
import type { Subscription } from "../ledger/subscription.ts";
import type { Clock } from "../ports.ts";
import type { PresenceSaid, PresenceTold } from "../presence/session.ts";
import type { ProvisionalChanges } from "../provisional/message.ts";
import type { ReadMode } from "../replica/read-mode.ts";
import { type Asked, ChildQuestions } from "./child-questions.ts";
import {
  type ChildConnection,
  type ChildMessage,
  type ChildQuery,
  EVENTS_IN_FLIGHT_MAX,
  type ParentMessage,
  PUSHES_IN_FLIGHT_MAX,
  SYNC_VERSION,
} from "./message.ts";
import { runEnd } from "./run.ts";

export type Hello = Extract<ChildMessage, { kind: "hello" }>;
export type Welcome = Extract<ParentMessage, { kind: "welcome" }>;
export type Pushed = Extract<ParentMessage, { kind: "pushed" }>;
type PushMessage = Extract<ChildMessage, { kind: "pushLedger" | "pushSnapshot" | "pushCommands" }>;

/** One frame of the child's stream: everything after the last one up to `to`; a snapshot's only at its end. */
export interface Push {
  readonly to: number;
  readonly message: PushMessage;
}

/** What waits to be pushed. Asked again from an earlier place after a rewind. */
export interface PushSource {
  /**
   * The frame that starts at `after + 1`, or null if nothing waits that is worth a frame behind `inFlight` others: it is
   * asked again when one of those is answered; call `wake` when more waits.
   */
  next(after: number, inFlight: number): Promise<Push | null>;
  /** The lowest `after` it can still serve: what lies below was acknowledged, and is gone. */
  oldest(): number;
}

export interface EventRun {
  readonly items: readonly LinkItem[];
  /** Last revision of the run. */
  readonly to: Revision;
  /** The parent's ledger hash at `to`. */
  readonly hash: Uint8Array;
}

/** None may throw. */
export interface ChildLinkOwner {
  readonly source: PushSource;
  welcomed(welcome: Welcome): void;
  /** @param to last item of the push that this answers; every earlier push is answered, too */
  pushed(pushed: Pushed, to: number): void;
  /** Answer with `taken` when it is stored. */
  events(run: EventRun): void;
  /** Answer with `snapshotTaken` when it is stored. */
  snapshot(step: SnapshotStep): void;
  /** `epoch`: the nonce in which the parent's parent said so. */
  holds(upstream: Revision, epoch: string | null): void;
  /** Others where this client is (R11). Left out by an owner that never asks. */
  presence?(told: PresenceTold): void;
  /** Others' changes that are not committed (D5). Left out by an owner that never asks. */
  provisional?(changes: ProvisionalChanges): void;
  /** Called once, last. The reason is null when `close` was called here. */
  closed(reason: OpenClawError | null): void;
}

/** A parent that has not answered a hello, a push or a keep-alive for so long is taken for dead, ms. */
const ANSWER_MS_MAX = 15_000;
/** How often the child asks for the parent's position, so that a dead parent is noticed and a live stream stays open, ms. */
const KEEP_ALIVE_MS = 20_000;
/** Refused pushes, without one that was taken, after which the connection is given up. */
const REFUSALS_MAX = 3;
export class ChildLink {
  readonly #connection: ChildConnection;
  readonly #owner: ChildLinkOwner;
  readonly #clock: Clock;
  #phase: "hello" | "open" | "closed" = "hello";
  /** Last item sent; the next push follows it. */
  #sentTo = 0;
  /** The `to` of each push that is not answered, in order. */
  readonly #inFlight: number[] = [];
  /** Where to go on once every push in flight is answered; null when nothing was refused. */
  #rewindTo: number | null = null;
  /** Refusals since the cursor last moved. */
  #refusals = 0;
  #writable = true;
  #pumping = false;
  #pumpAgain = false;
  /** Last revision received; the next events follow it. */
  #downTo: Revision | null;
  #untaken: Revision[] = [];
  /** Steps of a snapshot received, and not stored yet. */
  #untakenSteps = 0;
  readonly #questions: ChildQuestions;
  #cancelDeadline: () => void = () => {};
  #cancelKeepAlive: () => void = () => {};

  constructor(options: {
    readonly connection: ChildConnection;
    readonly hello: Omit<Hello, "kind" | "version">;
    readonly clock: Clock;
    readonly owner: ChildLinkOwner;
  }) {
    this.#connection = options.connection;
    this.#owner = options.owner;
    this.#clock = options.clock;
    this.#downTo = options.hello.down?.cursor ?? null;
    this.#questions = new ChildQuestions({
      clock: options.clock,
      open: () => this.#phase === "open",
      send: (message) => this.#connection.send(message),
      malformed: (what) => this.#malformed(what),
    });
    this.#connection.receive({
      message: (message) => this.#received(message),
      drained: () => {
        this.#writable = true;
        this.wake();
      },
      closed: (reason) => this.#end(closingReason(reason)),
    });
    this.#expectAnswer();
    this.#writable = this.#connection.send({ kind: "hello", version: SYNC_VERSION, ...options.hello });
  }

  get open(): boolean {
    return this.#phase === "open";
  }

  /** Says that something waits to be pushed. */
  wake(): void {
    if (this.#pumping) this.#pumpAgain = true;
    else void this.#pump();
  }

  /** Everything up to `cursor` is stored here. */
  taken(cursor: Revision): void {
    if (this.#phase !== "open") return;
    const untaken = this.#untaken.filter((to) => to > cursor);
    // It was told already.
    if (untaken.length === this.#untaken.length) return;
    this.#untaken = untaken;
    this.#connection.send({ kind: "taken", cursor });
  }

  /** The next step of the parent's snapshot is stored here. */
  snapshotTaken(): void {
    if (this.#phase !== "open") return;
    this.#untakenSteps--;
    this.#connection.send({ kind: "snapshotTaken" });
  }

  /** From now on the stream is to bring that; said of a stream that brings something. */
  subscribe(subscription: Subscription): void {
    if (this.#phase === "open") this.#connection.send({ kind: "subscribe", subscription });
  }

  /** @throws OpenClawError UNAVAILABLE, OVERLOADED, and what the parent refuses it with */
  ask<Q extends ChildQuery>(query: Q, mode: ReadMode, timeoutMs: number): Promise<Asked<Q>> {
    return this.#questions.ask(query, mode, timeoutMs);
  }

  /** Past everything that waits to be pushed. @throws OpenClawError UNAVAILABLE, OVERLOADED, LEASE_NOT_FOUND, FORBIDDEN */
  keepAlive(lease: LeaseId, timeoutMs: number): Promise<void> {
    return this.#questions.keepAlive(lease, timeoutMs);
  }

  /** Says it if it can be said now: presence has no place in the stream, and what waits is replaced by what is newer. */
  say(message: PresenceSaid): boolean {
    if (this.#phase !== "open" || !this.#writable) return false;
    this.#writable = this.#connection.send(message);
    return true;
  }

  close(): void {
    this.#end(null);
  }

  /** Ends the connection for that reason, and tells the parent of one that another try would not mend. */
  fail(error: OpenClawError): void {
    if (this.#phase === "open" && !error.retryable)
      this.#connection.send({ kind: "goodbye", code: error.code, details: error.details });
    this.#end(error);
  }

  #received(message: ParentMessage): void {
    if (this.#phase === "closed") return;
    if (message.kind === "goodbye") return this.#end(new OpenClawError(message.code, message.details));
    if (this.#phase === "hello") {
      if (message.kind !== "welcome") return this.#malformed(`${message.kind} before welcome`);
      return this.#welcomed(message);
    }
    switch (message.kind) {
      case "welcome":
        return this.#malformed("a second welcome");
      case "pushed":
        return this.#pushed(message);
      case "refused":
        return this.#refused(message.code, message.details, message.cursor);
      case "events":
        return this.#events(message.items, message.hash);
      case "holds":
        return this.#owner.holds(message.upstream, message.upstreamEpoch);
      case "snapshot":
        return this.#snapshot(message.step);
      case "answer":
      case "kept":
      case "askFailed":
        return this.#questions.answered(message);
      case "present":
      case "presenceRefused":
        return this.#owner.presence?.(message);
      case "provisional":
        return this.#owner.provisional?.(message);
      case "missing":
        // An outcome MISSING says the same for what this child pushed; a parent that asks others comes with D3's second half.
        return;
    }
  }

  #welcomed(welcome: Welcome): void {
    if (welcome.version !== SYNC_VERSION) {
      return this.#end(
        new OpenClawError("UNKNOWN_VERSION", `the parent speaks ${welcome.version}, this side ${SYNC_VERSION}`),
      );
    }
    this.#phase = "open";
    this.#cancelDeadline();
    this.#keepAlive();
    this.#sentTo = Math.max(welcome.cursor, this.#owner.source.oldest());
    this.#owner.welcomed(welcome);
    this.wake();
  }

  async #pump(): Promise<void> {
    this.#pumping = true;
    try {
      do {
        this.#pumpAgain = false;
        while (this.#mayPush()) {
          const after = this.#sentTo;
          const push = await this.#owner.source.next(after, this.#inFlight.length);
          if (push === null) break;
          // Refused or closed meanwhile: the source is asked again from where the stream goes on.
          if (!this.#mayPush() || this.#sentTo !== after) continue;
          if (this.#inFlight.length === 0) this.#expectAnswer();
          this.#inFlight.push(push.to);
          this.#sentTo = push.to;
          this.#writable = this.#connection.send(push.message);
        }
      } while (this.#pumpAgain);
    } catch (error) {
      if (error instanceof InvariantViolation) throw error;
      this.fail(asOpenClawError(error));
    } finally {
      this.#pumping = false;
    }
  }

  #mayPush(): boolean {
    return (
      this.#phase === "open" &&
      this.#writable &&
      this.#rewindTo === null &&
      this.#inFlight.length < PUSHES_IN_FLIGHT_MAX
    );
  }

  #pushed(pushed: Pushed): void {
    const to = this.#inFlight.shift();
    if (to === undefined) return this.#malformed("an answer to no push");
    if (pushed.cursor < to) return this.#malformed(`a push up to ${to} was answered with cursor ${pushed.cursor}`);
    this.#refusals = 0;
    this.#answered();
    // Behind a refused push an earlier connection of ours may have filled the gap: those outcomes come when it is pushed again.
    if (this.#rewindTo === null) this.#owner.pushed(pushed, to);
    this.#resume();
  }

  /** S2: order is never traded. Pushes behind a refused one are refused, too; the stream goes on when all are answered. */
  #refused(code: OpenClawError["code"], details: string, cursor: number): void {
    if (this.#inFlight.shift() === undefined) return this.#malformed("a refusal of no push");
    // A parent that has nothing of this link cannot tell a lost push from a forgotten link; who still has all of it can.
    const isGap = code === "GAP" || (code === "SESSION_EXPIRED" && cursor >= this.#owner.source.oldest());
    if (!isGap) return this.fail(new OpenClawError(code, details));
    this.#answered();
    if (this.#rewindTo === null && ++this.#refusals > REFUSALS_MAX) {
      const oldest = this.#owner.source.oldest();
      if (cursor >= oldest) return this.fail(new OpenClawError("GAP", details));
      // Not a late answer: it stands. What lies between was acknowledged to us, and we no longer have it.
      return this.fail(
        new OpenClawError("SESSION_EXPIRED", `the parent is at ${cursor}, and acknowledged ${oldest} before`),
      );
    }
    this.#rewindTo = cursor;
    this.#resume();
  }

  #resume(): void {
    if (this.#rewindTo !== null && this.#inFlight.length === 0) {
      this.#sentTo = Math.max(this.#rewindTo, this.#owner.source.oldest());
      this.#rewindTo = null;
    }
    this.wake();
  }

  #events(items: readonly LinkItem[], hash: Uint8Array): void {
    if (this.#downTo === null) return this.#malformed("events that nobody wanted");
    if (this.#untakenSteps + this.#untaken.length >= EVENTS_IN_FLIGHT_MAX)
      return this.#malformed("more events in flight than agreed");
    let to: Revision;
    try {
      to = runEnd(items, this.#downTo);
    } catch (error) {
      return this.fail(closingReason(error) ?? new OpenClawError("GAP"));
    }
    this.#downTo = to;
    this.#untaken.push(to);
    this.#owner.events({ items, to, hash });
  }

  #snapshot(step: SnapshotStep): void {
    if (this.#downTo === null) return this.#malformed("a snapshot that nobody wanted");
    if (this.#untakenSteps + this.#untaken.length >= EVENTS_IN_FLIGHT_MAX)
      return this.#malformed("more of a snapshot in flight than agreed");
    if (step.kind === "end") this.#downTo = step.at;
    this.#untakenSteps++;
    this.#owner.snapshot(step);
  }

  #expectAnswer(): void {
    this.#cancelDeadline();
    this.#cancelDeadline = this.#clock.after(ANSWER_MS_MAX, () => {
      this.fail(new OpenClawError("UNAVAILABLE", `the parent did not answer for ${ANSWER_MS_MAX} ms`));
    });
  }

  #answered(): void {
    if (this.#inFlight.length > 0) this.#expectAnswer();
    else this.#cancelDeadline();
  }

  /** Whatever else goes by: a child that only listens would be taken for dead (parent-link). */
  #keepAlive(): void {
    this.#cancelKeepAlive = this.#clock.after(KEEP_ALIVE_MS, () => {
      if (this.#phase !== "open") return;
      this.ask({ kind: "position" }, { kind: "local" }, ANSWER_MS_MAX).then(
        () => this.#keepAlive(),
        (error: unknown) => {
          const failure = closingReason(error);
          if (failure?.code === "UNAVAILABLE") this.fail(failure);
          else this.#keepAlive();
        },
      );
    });
  }

  #malformed(what: string): void {
    this.fail(new OpenClawError("MALFORMED_FRAME", what));
  }

  #end(reason: OpenClawError | null): void {
    if (this.#phase === "closed") return;
    this.#phase = "closed";
    this.#cancelDeadline();
    this.#cancelKeepAlive();
    this.#questions.close();
    this.#connection.close();
    this.#owner.closed(reason);
  }
}

/** A connection may close without a reason of ours; the reader of a status still gets a code. */
function closingReason(reason: unknown): OpenClawError | null {
  if (reason instanceof OpenClawError) return reason;
  if (reason === null) return new OpenClawError("UNAVAILABLE", "the parent closed the connection");
  return new OpenClawError("UNAVAILABLE", reason instanceof Error ? reason.message : String(reason), { cause: reason });
}
