/**
 * Linearizable reads without clocks (thesis §6.4): a leader notes its commit index, and a round of heartbeats then
 * proves that it still led when it did. Reads that arrive during a round wait for the next one: a round confirms only
 * what was asked before it started, one is in flight (rule R1), and none starts before an entry of the leader's own
 * term is committed (pitfall 2).
 *
 * A follower asks its leader, for all its readers at once, under a number of its own. The number starts at random: an
 * answer from before a restart must not answer a later read (pitfall 3).
 */
import type { Index, NodeId } from "../ids.ts";
import type { RaftMessage } from "./message.ts";
import type { NodeState } from "./node-state.ts";
import type { ReadState } from "./ready.ts";

type Of<Kind extends RaftMessage["kind"]> = Extract<RaftMessage, { kind: Kind }>;

/** Contexts that may wait for a round or for a leader; beyond it the oldest is dropped, and its caller told. */
const WAITING_MAX = 8_192;
/** A follower's question is repeated after this many ticks without an answer. */
const REPEAT_TICKS = 2;
/** First numbers are drawn below this; counting on from there stays exact for ever. */
const FIRST_NUMBER_BELOW = 2 ** 48;

interface Round {
  readonly number: number;
  /** The commit index when the round started. */
  readonly index: Index;
  readonly contexts: readonly number[];
  readonly followers: ReadonlyMap<NodeId, number>;
  readonly confirmed: Set<NodeId>;
}

interface Question {
  readonly number: number;
  readonly to: NodeId;
  readonly contexts: readonly number[];
  ticks: number;
}

export class ReadIndex {
  readonly #node: NodeState;
  readonly #sendHeartbeats: (round: number) => void;
  /** Asked here, not yet in a round or question. */
  #waiting: number[] = [];
  /** A leader's: the newest number each follower asks for, at most one a voter. */
  #followers = new Map<NodeId, number>();
  #round: Round | null = null;
  #lastRound = 0;
  /** A follower's. */
  #question: Question | null = null;
  #lastNumber: number;
  #readStates: ReadState[] = [];
  #dropped: number[] = [];

  constructor(node: NodeState, random: () => number, sendHeartbeats: (round: number) => void) {
    this.#node = node;
    this.#sendHeartbeats = sendHeartbeats;
    this.#lastNumber = Math.floor(random() * FIRST_NUMBER_BELOW);
  }

  /** What a heartbeat should confirm; 0 when no round is in flight. */
  get roundInFlight(): number {
    return this.#round?.number ?? 0;
  }

  /** Whether `flush` or the take methods have something to do. */
  get hasWork(): boolean {
    return this.#readStates.length > 0 || this.#dropped.length > 0 || this.#mayStartRound() || this.#mayAsk();
  }

  /** A local reader; it waits for a leader if there is none. */
  ask(context: number): void {
    if (this.#waiting.length >= WAITING_MAX) {
      const oldest = this.#waiting.shift();
      if (oldest !== undefined) this.#dropped.push(oldest);
    }
    this.#waiting.push(context);
  }

  /** A follower's question to us. It repeats one that is not answered, under the same number. */
  onReadIndex(message: Of<"readIndex">): void {
    if (this.#node.role !== "leader") return;
    if (this.#round?.followers.get(message.from) !== message.context)
      this.#followers.set(message.from, message.context);
  }

  onReadIndexResponse(message: Of<"readIndexResponse">): void {
    const question = this.#question;
    if (question === null || question.number !== message.context || question.to !== message.from) return;
    this.#question = null;
    for (const context of question.contexts) this.#readStates.push({ context, index: message.index });
  }

  onHeartbeatResponse(message: Of<"heartbeatResponse">): void {
    const round = this.#round;
    if (round === null || message.context !== round.number) return;
    round.confirmed.add(message.from);
    this.#finishRound(round);
  }

  tick(): void {
    // A membership change may have taken those away whose answer the round waits for.
    if (this.#round !== null) this.#finishRound(this.#round);
    const question = this.#question;
    if (question === null || ++question.ticks < REPEAT_TICKS) return;
    question.ticks = 0;
    this.#send(question);
  }

  /**
   * The leader or the term changed: what was asked under the old one is asked again by whoever still wants it (pitfall
   * 3).
   */
  leaderChanged(): void {
    const asked = [...(this.#round?.contexts ?? []), ...(this.#question?.contexts ?? [])];
    for (const context of asked) this.#dropped.push(context);
    this.#round = null;
    this.#question = null;
    this.#followers.clear();
  }

  /** Starts the round or the question that is due. */
  flush(): void {
    if (this.#mayStartRound()) this.#startRound();
    else if (this.#mayAsk()) this.#askLeader();
  }

  takeReadStates(): readonly ReadState[] {
    const readStates = this.#readStates;
    this.#readStates = [];
    return readStates;
  }

  takeDropped(): readonly number[] {
    const dropped = this.#dropped;
    this.#dropped = [];
    return dropped;
  }

  #mayStartRound(): boolean {
    const { role, log, term } = this.#node;
    if (role !== "leader" || this.#round !== null) return false;
    if (this.#waiting.length === 0 && this.#followers.size === 0) return false;
    return log.termAt(log.commit) === term;
  }

  #startRound(): void {
    const round: Round = {
      number: ++this.#lastRound,
      index: this.#node.log.commit,
      contexts: this.#waiting,
      followers: this.#followers,
      confirmed: new Set([this.#node.id]),
    };
    this.#round = round;
    this.#waiting = [];
    this.#followers = new Map();
    this.#sendHeartbeats(round.number);
    this.#finishRound(round);
  }

  #finishRound(round: Round): void {
    const node = this.#node;
    if (!node.quorum.reached((voter) => round.confirmed.has(voter))) return;
    this.#round = null;
    for (const context of round.contexts) this.#readStates.push({ context, index: round.index });
    for (const [to, context] of round.followers) {
      node.send({ kind: "readIndexResponse", ...node.envelope(to), context, index: round.index });
    }
  }

  #mayAsk(): boolean {
    const { role, leader } = this.#node;
    return role === "follower" && leader !== null && this.#question === null && this.#waiting.length > 0;
  }

  #askLeader(): void {
    const { leader } = this.#node;
    if (leader === null) return;
    this.#question = { number: ++this.#lastNumber, to: leader, contexts: this.#waiting, ticks: 0 };
    this.#waiting = [];
    this.#send(this.#question);
  }

  #send(question: Question): void {
    this.#node.send({ kind: "readIndex", ...this.#node.envelope(question.to), context: question.number });
  }
}
