/**
 * What an operator asks of the group: other members, another leader. A follower's request is lost when its leader is, so
 * it is asked again until it is seen to be done; asking twice changes nothing.
 */
import { type ErrorCode, OpenClawError } from "../errors.ts";
import type { NodeId } from "../ids.ts";
import type { Clock } from "../ports.ts";
import { isMade, type MembershipChange, type Refused, stepped } from "../raft/membership.ts";
import type { Raft } from "../raft/raft.ts";

/** Requests that may wait at once; beyond: OVERLOADED. */
const REQUESTS_MAX = 64;
/** Asked again after this long, ms. */
const RETRY_MS = 500;

/** What asking again does not change. */
const FINAL: ReadonlySet<ErrorCode> = new Set(["MEMBERSHIP_INVALID", "NODE_TOO_OLD", "TRANSFER_REFUSED"]);

/** Null: not done yet. */
type Asked = OpenClawError | null;

interface Request {
  readonly deadline: number;
  readonly done: (raft: Raft) => boolean;
  readonly ask: (raft: Raft) => Asked;
  readonly resolve: () => void;
  readonly reject: (error: OpenClawError) => void;
  askedAt: number;
  /** Why it is not done, as far as is known. */
  reason: OpenClawError;
}

export class GroupRequests {
  readonly #clock: Clock;
  readonly #refusal: (node: NodeId, raft: Raft) => Refused | null;
  #waiting: Request[] = [];

  /** @param refusal why a node must not be taken in; null when it may */
  constructor(clock: Clock, refusal: (node: NodeId, raft: Raft) => Refused | null) {
    this.#clock = clock;
    this.#refusal = refusal;
  }

  /** @throws OpenClawError MEMBERSHIP_INVALID, MEMBERSHIP_PENDING, MEMBERSHIP_UNHEALTHY, NODE_TOO_OLD, OVERLOADED, UNAVAILABLE */
  change(change: MembershipChange, timeoutMs: number): Promise<void> {
    return this.#wait(
      timeoutMs,
      (raft) => isMade(raft.status().committedMembership, change),
      (raft) => {
        // What is plainly wrong is said at once, also by a follower, whose leader does not answer.
        const here = stepped(raft.status().committedMembership, change);
        if (!here.ok && here.code === "MEMBERSHIP_INVALID") return new OpenClawError(here.code, here.details);
        const refused = change.kind === "add" ? this.#refusal(change.node, raft) : null;
        if (refused !== null) return new OpenClawError(refused.code, refused.details);
        const asked = raft.changeMembership(change);
        if (asked.ok || asked.code === "NOT_LEADER") return null;
        return new OpenClawError(asked.code, asked.details);
      },
    );
  }

  /** @throws OpenClawError TRANSFER_REFUSED, OVERLOADED, UNAVAILABLE */
  transfer(to: NodeId, timeoutMs: number): Promise<void> {
    return this.#wait(
      timeoutMs,
      (raft) => raft.leader === to,
      (raft) => {
        const asked = raft.transferLeadership(to);
        return asked.ok || asked.code === "NOT_LEADER" ? null : new OpenClawError(asked.code, asked.details);
      },
    );
  }

  /** After everything that happens to the replica. */
  look(raft: Raft): void {
    if (this.#waiting.length === 0) return;
    const now = this.#clock.now();
    this.#waiting = this.#waiting.filter((request) => !this.#isOver(request, raft, now));
  }

  abandon(error: OpenClawError): void {
    for (const { reject } of this.#waiting) reject(error);
    this.#waiting = [];
  }

  #wait(timeoutMs: number, done: Request["done"], ask: Request["ask"]): Promise<void> {
    if (this.#waiting.length >= REQUESTS_MAX) throw new OpenClawError("OVERLOADED", `${REQUESTS_MAX} are waiting`);
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const deadline = this.#clock.now() + timeoutMs;
    const reason = new OpenClawError("UNAVAILABLE", "the leader has not done it in time");
    this.#waiting.push({ deadline, done, ask, resolve, reject, askedAt: Number.NEGATIVE_INFINITY, reason });
    return promise;
  }

  #isOver(request: Request, raft: Raft, now: number): boolean {
    if (request.done(raft)) {
      request.resolve();
      return true;
    }
    if (now >= request.deadline) {
      request.reject(request.reason);
      return true;
    }
    if (now - request.askedAt < RETRY_MS) return false;
    request.askedAt = now;
    const error = request.ask(raft);
    if (error === null) return false;
    request.reason = error;
    if (!FINAL.has(error.code)) return false;
    request.reject(error);
    return true;
  }
}
