/**
 * The parent's side of one sync connection: admits the child, proposes what it pushes in its order, streams events down,
 * answers questions. All state is the backend's; a connection that is cut loses nothing.
 */
import { InvariantViolation, OpenClawError } from "../errors.ts";
import { revision } from "../ids.ts";
import type { Subscription } from "../ledger/subscription.ts";
import type { Clock } from "../ports.ts";
import type { PresenceSession, SessionOptions } from "../presence/session.ts";
import type { ProvisionalSession, ViewerOptions } from "../provisional/gateway.ts";
import { mayAsk } from "./admission.ts";
import { answerTo } from "./answer.ts";
import type { Principal } from "./authority.ts";
import type { ParentBackend } from "./backend.ts";
import { type Admission, admitChild, authenticate } from "./child-admission.ts";
import { DownStream } from "./down-stream.ts";
import { LeaseUpkeep } from "./lease-upkeep.ts";
import { type ChildMessage, type ParentConnection, type ParentMessage, SYNC_VERSION } from "./message.ts";
import { PushIntake } from "./push-intake.ts";

type Hello = Extract<ChildMessage, { kind: "hello" }>;
type Ask = Extract<ChildMessage, { kind: "ask" }>;

/** A connection that has not said hello for so long is closed, ms. */
const HELLO_MS_MAX = 10_000;
/** A child says something every 20 s; one that is silent for so long is taken for dead, ms. */
const SILENCE_MS_MAX = 60_000;
/** Questions in work at once for one child; a further one is refused OVERLOADED. */
const ASKS_MAX = 64;
/** Longest a timer runs before it looks again, ms: what every runtime's timer can hold. */
const TIMER_MS_MAX = 86_400_000;

export interface ParentLinkOptions {
  readonly connection: ParentConnection;
  readonly backend: ParentBackend;
  readonly clock: Clock;
  /** Who the transport says is at the other end. */
  readonly remotePeer: string;
  /** Where its clients meet others (R11); without it nobody is told of anybody. */
  readonly presence?: PresenceDoor;
  /** Where its clients see what others are about to change (D5); without it they see what is committed. */
  readonly provisional?: ProvisionalDoor;
  /** The child is who it says; whether it may go on is another question (L3). */
  authenticated?(child: Hello): void;
  /** The child is in; tells who it is. */
  admitted?(child: Hello): void;
  /** Called once, last. Null when the child just left. */
  closed?(reason: OpenClawError | null): void;
}

export interface ProvisionalDoor {
  join(options: ViewerOptions): ProvisionalSession;
}

export interface PresenceDoor {
  join(options: SessionOptions): PresenceSession;
}

/** What a connection is once its child is admitted. */
interface Admitted {
  readonly hello: Hello;
  readonly principal: Principal;
  readonly down: DownStream | null;
  /** Null for a site. */
  readonly presence: PresenceSession | null;
  /** Null for a site. */
  readonly provisional: ProvisionalSession | null;
}

/** How far the parent's parent has its ledger, and in which of its epochs. */
type Upstream = Pick<Extract<ParentMessage, { kind: "holds" }>, "upstream" | "upstreamEpoch">;

export class ParentLink {
  readonly #options: ParentLinkOptions;
  readonly #connection: ParentConnection;
  readonly #backend: ParentBackend;
  readonly #clock: Clock;
  #phase: "waiting" | "admitting" | "open" | "closed" = "waiting";
  #admitted: Admitted | null = null;
  /** Of what its client sees provisional changes; null: of nothing. */
  #subscription: Subscription | null = null;
  readonly #pushes: PushIntake;
  #asks = 0;
  readonly #upkeep: LeaseUpkeep;
  #writable = true;
  readonly #waitingToWrite: (() => void)[] = [];
  #holdsSent: Upstream = { upstream: revision(0), upstreamEpoch: null };
  #unfollow: () => void = () => {};
  #cancelSilence: () => void = () => {};
  #cancelExpiry: () => void = () => {};

  constructor(options: ParentLinkOptions) {
    this.#options = options;
    this.#connection = options.connection;
    this.#backend = options.backend;
    this.#pushes = new PushIntake({
      backend: options.backend,
      open: () => this.#phase === "open",
      answer: (message) => this.#send(message),
      checked: (changes) => this.#admitted?.provisional?.offer(changes),
      failed: (error) => this.fail(error),
    });
    this.#upkeep = new LeaseUpkeep(options.backend, (kept) => this.#send(kept));
    this.#clock = options.clock;
    this.#cancelSilence = this.#clock.after(HELLO_MS_MAX, () =>
      this.fail(new OpenClawError("UNAVAILABLE", "no hello came")),
    );
    this.#connection.receive({
      message: (message) => this.#received(message),
      drained: () => this.#drained(),
      closed: (reason) => this.#end(reason instanceof OpenClawError ? reason : null),
    });
  }

  /** Says goodbye with the error's code, and closes. */
  fail(error: unknown): void {
    if (this.#phase === "closed") return;
    // A bug of ours is no reason to keep the child waiting; whoever runs the node still hears of it.
    const known = error instanceof OpenClawError ? error : new OpenClawError("INTERNAL", "", { cause: error });
    this.#send({ kind: "goodbye", code: known.code, details: known.details });
    this.#end(known);
    if (error instanceof InvariantViolation) throw error;
  }

  #received(message: ChildMessage): void {
    if (this.#phase === "closed") return;
    // The child has found why they cannot go on.
    if (message.kind === "goodbye") return this.#end(new OpenClawError(message.code, message.details));
    this.#cancelSilence();
    this.#cancelSilence = this.#clock.after(SILENCE_MS_MAX, () =>
      this.fail(new OpenClawError("UNAVAILABLE", "the child fell silent")),
    );
    if (this.#phase === "waiting") {
      if (message.kind !== "hello")
        return this.fail(new OpenClawError("MALFORMED_FRAME", `${message.kind} before hello`));
      this.#phase = "admitting";
      this.#admit(message).catch((error: unknown) => this.fail(error));
      return;
    }
    const admitted = this.#admitted;
    if (admitted === null) return this.fail(new OpenClawError("MALFORMED_FRAME", `${message.kind} before welcome`));
    if (this.#expired(admitted.principal)) return;
    switch (message.kind) {
      case "hello":
        return this.fail(new OpenClawError("MALFORMED_FRAME", "a second hello"));
      case "pushLedger":
      case "pushSnapshot":
      case "pushCommands":
        return this.#pushes.take(message, admitted);
      case "taken":
      case "snapshotTaken":
        try {
          return message.kind === "taken" ? admitted.down?.taken(message.cursor) : admitted.down?.snapshotTaken();
        } catch (error) {
          return this.fail(error);
        }
      case "subscribe":
        // What a site's cursor was reached with is replicated there: it says so with its cursor.
        if (admitted.down === null || admitted.hello.child.kind === "site")
          return this.fail(new OpenClawError("MALFORMED_FRAME", "a subscription to no stream, or a site's"));
        if (this.#subscription !== null) this.#subscription = message.subscription;
        return admitted.down.subscribe(message.subscription);
      case "ask":
        return this.#ask(message, admitted);
      case "keepAlive":
        return this.#settle(message.id, this.#upkeep.keepAlive(message, admitted.principal));
      case "presence":
      case "hear":
        try {
          return admitted.presence?.received(message);
        } catch (error) {
          return this.fail(error);
        }
    }
  }

  async #admit(hello: Hello): Promise<void> {
    const principal = await authenticate(this.#backend, hello, this.#options.remotePeer);
    this.#options.authenticated?.(hello);
    const admission = await admitChild(this.#backend, hello, principal);
    // Read in the turn in which it is told and followed: an advance between the two would be told by nobody.
    this.#holdsSent = this.#upstream();
    this.#welcome(hello, admission);
  }

  #welcome(hello: Hello, { principal, link, record, snapshot, down: wanted }: Admission): void {
    if (this.#phase !== "admitting") return;
    this.#phase = "open";
    const { cluster, epoch, ancestors } = this.#backend.position();
    const down =
      wanted === null
        ? null
        : new DownStream({
            backend: this.#backend,
            clock: this.#clock,
            principal,
            child: hello.child.kind === "site" ? hello.child.cluster : null,
            down: wanted,
            send: (message) => !this.#expired(principal) && this.#send(message),
            failed: (error) => this.fail(error),
          });
    const { link: name, child } = hello;
    const presence =
      child.kind === "client"
        ? (this.#options.presence?.join({ link: name, principal, send: (message) => this.#send(message) }) ?? null)
        : null;
    const provisional = child.kind === "client" ? this.#joinProvisional(principal, wanted) : null;
    this.#admitted = { hello, principal, down, presence, provisional };
    this.#send({
      kind: "welcome",
      version: SYNC_VERSION,
      cluster,
      epoch,
      ancestors,
      cursor: link?.cursor ?? 0,
      hash: link === null || link.epoch === null || link.cursor === 0 ? null : link.hash,
      record,
      outcomes: link?.outcomes ?? [],
      ...this.#holdsSent,
      snapshot,
    });
    this.#watchExpiry(principal);
    this.#unfollow = this.#backend.follow((advance) => {
      this.#sendHolds();
      down?.advanced(advance.records);
    });
    down?.wake();
    this.#options.admitted?.(hello);
  }

  #joinProvisional(principal: Principal, wanted: Hello["down"]): ProvisionalSession | null {
    const send: ViewerOptions["send"] = (changes) => {
      if (!this.#writable || this.#expired(principal)) return false;
      this.#send({ kind: "provisional", ...changes });
      return true;
    };
    this.#subscription = wanted?.provisional === true ? wanted.subscription : null;
    const subscription = (): Subscription | null => this.#subscription;
    return this.#options.provisional?.join({ principal, subscription, send }) ?? null;
  }

  #ask(ask: Ask, { hello, principal }: Admitted): void {
    const refuse = (error: OpenClawError): void => this.#settle(ask.id, Promise.reject(error));
    if (this.#asks >= ASKS_MAX) return refuse(new OpenClawError("OVERLOADED", `${ASKS_MAX} questions in work`));
    // A cluster gets what is streamed to it, and nothing that is private here (Q3).
    const isFor = hello.child.kind === "client" || ask.query.kind === "position";
    if (!isFor || !mayAsk(ask.query, principal))
      return refuse(new OpenClawError("FORBIDDEN", `asking for ${ask.query.kind}`));
    this.#asks++;
    const answered = this.#answer(ask, principal).finally(() => this.#asks--);
    this.#settle(ask.id, answered);
  }

  /** Tells the child what that failed with. */
  #settle(id: number, work: Promise<void>): void {
    work.catch((error: unknown) => {
      if (error instanceof OpenClawError)
        this.#send({ kind: "askFailed", id, code: error.code, details: error.details });
      else this.fail(error);
    });
  }

  async #answer(ask: Ask, { name }: Principal): Promise<void> {
    const { answer, seen } = await answerTo(this.#backend, ask, name);
    // A child that does not read what it asked for waits for itself; answers are the only frames without a credit.
    while (!this.#writable && this.#phase === "open")
      await new Promise<void>((resolve) => this.#waitingToWrite.push(resolve));
    this.#send({ kind: "answer", id: ask.id, answer, seen });
  }

  #upstream(): Upstream {
    const { parentHolds, parentEpoch } = this.#backend.position();
    return { upstream: parentHolds, upstreamEpoch: parentEpoch };
  }

  #sendHolds(): void {
    const now = this.#upstream();
    const { upstream, upstreamEpoch } = this.#holdsSent;
    // What cannot be written now is sent with the next advance or when the child reads again: only the newest counts.
    if ((now.upstream === upstream && now.upstreamEpoch === upstreamEpoch) || !this.#writable) return;
    this.#holdsSent = now;
    this.#send({ kind: "holds", ...now });
  }

  #drained(): void {
    this.#writable = true;
    if (this.#phase !== "open") return;
    this.#sendHolds();
    this.#admitted?.down?.wake();
    this.#admitted?.presence?.drained();
    for (const go of this.#waitingToWrite.splice(0)) go();
  }

  /** @throws OpenClawError FRAME_TOO_LARGE */
  #send(message: ParentMessage): boolean {
    if (this.#phase === "closed") return false;
    this.#writable = this.#connection.send(message);
    return this.#writable;
  }

  /** Says goodbye to one whose token ran out. */
  #expired(principal: Principal): boolean {
    if (principal.expires === null || this.#clock.wall() < principal.expires) return false;
    this.fail(new OpenClawError("UNAUTHENTICATED", "the token expired"));
    return true;
  }

  #watchExpiry(principal: Principal): void {
    if (principal.expires === null) return;
    const left = Math.max(0, Math.min(principal.expires - this.#clock.wall(), TIMER_MS_MAX));
    this.#cancelExpiry = this.#clock.after(left, () => {
      if (this.#phase === "open" && !this.#expired(principal)) this.#watchExpiry(principal);
    });
  }

  #end(reason: OpenClawError | null): void {
    if (this.#phase === "closed") return;
    this.#phase = "closed";
    this.#cancelSilence();
    this.#cancelExpiry();
    this.#unfollow();
    this.#admitted?.down?.close();
    this.#admitted?.presence?.close();
    this.#admitted?.provisional?.close();
    for (const go of this.#waitingToWrite.splice(0)) go();
    this.#connection.close();
    this.#options.closed?.(reason);
  }
}
