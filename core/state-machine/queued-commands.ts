/**
 * Commands on keys, at their home (Q2, Q3). Where that is here, one runs. Where it is elsewhere, one becomes an event of the
 * ledger, and waits in a row until its result comes back the same way. In between the links' cursors see to it that it
 * runs once: a neighbour's command is run, or handed on, in the import that moves past it.
 */
import { decode, encode } from "../codec.ts";
import { OpenClawError, unreachable } from "../errors.ts";
import { type ClusterId, isClusterId, type Revision } from "../ids.ts";
import type { LedgerEvent, Seen } from "../ledger/record.ts";
import { EVENTS_MAX, RECORD_BYTES_MAX, TXN_RESPONSE_BYTES_MAX } from "../limits.ts";
import type { KeyCommand, Outcome } from "./command.ts";
import {
  addSettled,
  addWaiting,
  isForgotten,
  type Relay,
  takeWaiting,
  type WaitingCommand,
  waitingCommands,
  waitingRefusal,
  waitsAt,
} from "./command-rows.ts";
import { homesOf, type Place } from "./homes.ts";
import { keyCommandRefusal, runKeyCommand } from "./key-values.ts";
import type { Author, LedgerWriter } from "./ledger-writer.ts";
import { isChild, linkTowards, unsureUpTo } from "./link-rows.ts";
import type { Operation, Txn } from "./operation.ts";
import { refused } from "./outcome.ts";
import { outcomeTuple, readOutcome } from "./outcome-codec.ts";
import { seenOfOurs, seenOfParent } from "./seen.ts";
import type { Transaction } from "./transaction.ts";
import { readKeyCommand, userCommandTuple } from "./user-command-codec.ts";

type CommandEvent = Extract<LedgerEvent, { kind: "command" }>;
type ResultEvent = Extract<LedgerEvent, { kind: "result" }>;

/** Around the bytes of an outcome in its event. */
const EVENT_OVERHEAD_BYTES = 128;

/** Who wrote a command that a link brings. */
export interface Sender {
  readonly cluster: ClusterId;
  readonly side: "child" | "parent";
  readonly epoch: string;
  readonly revision: Revision;
}

/** @param cluster ours */
export class QueuedCommands {
  readonly #tx: Transaction;
  readonly #ledger: LedgerWriter;
  readonly #cluster: ClusterId;
  /** What neighbours are to be told. */
  #results: ResultEvent[] = [];

  constructor(tx: Transaction, ledger: LedgerWriter, cluster: ClusterId) {
    this.#tx = tx;
    this.#ledger = ledger;
    this.#cluster = cluster;
  }

  /** Runs a command, or queues it: then its outcome is that. Null as of `runKeyCommand`. */
  run(author: Author, command: KeyCommand, room: number): Outcome | null {
    return this.#runAt(homesOf(this.#tx).placeOf(command), author, command, room, null);
  }

  /** One that is meant for the keys of a cluster below this one. */
  runAddressed(author: Author, to: ClusterId, command: KeyCommand, room: number): Outcome | null {
    if (to === this.#cluster) return this.run(author, command, room);
    return keyCommandRefusal(command) ?? this.#handDown(author, to, command, null);
  }

  /** A neighbour's command: its result is told by `tellResults`, or when it comes back from where it was handed to. */
  take(author: Author, sender: Sender, { to, seen, command }: CommandEvent): void {
    const back: Relay = {
      to: sender.side === "parent" ? null : sender.cluster,
      epoch: sender.epoch,
      revision: sender.revision,
    };
    const read = readCommand(command);
    const outcome =
      read === null ? refused("BAD_REQUEST", "no command on keys") : this.#takeRead(author, back, to, seen, read);
    if (!isQueued(outcome)) this.#tell(back, outcome);
  }

  /** True if it was a result that somebody here waited for, from the neighbour that has the command. */
  settle({ side, cluster }: Sender, { epoch, revision: at, outcome }: ResultEvent): boolean {
    // An earlier epoch's: what it asked for is not known any more, and its number may be another command's (L3).
    if (epoch !== this.#ledger.position.epoch.nonce) return false;
    if (waitsAt(this.#tx, at) !== (side === "parent" ? null : cluster)) return false;
    const read = readResult(outcome);
    return this.#settle(at, read ?? refused("INTERNAL", "the result cannot be read"));
  }

  /** There is another parent: what the one before was handed has run there or not, and no word of it will come. */
  forgetParent(author: Author): void {
    for (const { at, row } of waitingCommands(this.#tx)) if (row.via === null) this.#settle(at, UNKNOWN);
    this.tellResults(author);
  }

  /**
   * Its home has come back, and whether the parent has run it is not known: it does not run again. It is told before what
   * makes the neighbour that it came from run its own.
   */
  giveUpUnsure(author: Author): void {
    this.giveUp(author, unsureUpTo(this.#tx));
  }

  /** The same of all that was handed to the parent up to there. */
  giveUp(author: Author, upTo: Revision): void {
    if (upTo === 0) return;
    for (const { at, row } of waitingCommands(this.#tx))
      if (at <= upTo && row.via === null && this.#isHere(row)) this.#settle(at, UNKNOWN);
    this.tellResults(author);
  }

  /** What was held for a home that has gone to the parent: there it is written from now on. */
  refuseHeld(): void {
    for (const { at, row } of waitingCommands(this.#tx)) {
      if (row.via !== this.#cluster) continue;
      const command = readCommand(row.command);
      if (command !== null && homesOf(this.#tx).placeOf(command).kind === "parent")
        this.#settle(at, refused("READ_ONLY", "the home of these keys has gone to the parent"));
    }
  }

  /** Runs what was held for a home that is here by now, or was handed to the parent and has not run there. */
  runWaiting(authorOf: (principal: string) => Author, via: ClusterId | null): void {
    const { logTime } = this.#ledger.position;
    for (const { at, row } of waitingCommands(this.#tx)) {
      // Whoever asks is told that nothing is known of it.
      if (row.via !== via || isForgotten(row, logTime)) continue;
      const command = readCommand(row.command);
      const place = command === null ? null : homesOf(this.#tx).placeOf(command);
      // Both prefixes were held, and one has gone elsewhere: the parent answers what it has.
      if (command !== null && place?.kind === "crossing" && via !== null && !homesOf(this.#tx).isHeld(command))
        this.#settle(at, refused("CROSS_HOME"));
      if (command === null || place?.kind !== "here") continue;
      // A child to which the home has come back runs its own.
      if (row.relay !== null && row.relay.to !== null && place.home !== "hub") takeWaiting(this.#tx, at);
      else this.#settle(at, this.#runHere(place, authorOf(row.principal), command));
    }
  }

  /** Writes the results that neighbours wait for: of many commands in one revision. */
  tellResults(author: Author): void {
    let events: ResultEvent[] = [];
    let bytes = 0;
    for (const event of this.#results) {
      const more = EVENT_OVERHEAD_BYTES + event.outcome.length;
      if (events.length === EVENTS_MAX || (events.length > 0 && bytes + more > RECORD_BYTES_MAX)) {
        this.#ledger.append(author, events, "site");
        events = [];
        bytes = 0;
      }
      events.push(event);
      bytes += more;
    }
    if (events.length > 0) this.#ledger.append(author, events, "site");
    this.#results = [];
  }

  #takeRead(author: Author, back: Relay, to: ClusterId | null, seen: Seen | null, command: KeyCommand): Outcome {
    const wrong = keyCommandRefusal(command);
    if (wrong !== null) return wrong;
    // A child asks for keys whose home is upwards: over its siblings it has no say.
    if (to !== null && back.to !== null) return refused("FORBIDDEN", "keys of another cluster, from below");
    if (to !== null && to !== this.#cluster) return this.#handDown(author, to, command, back);
    const place = homesOf(this.#tx).placeOf(command);
    const strayed = back.to === null ? strayedDown(place) : (strayedUp(place) ?? this.#stale(command, seen));
    return strayed ?? this.#runAt(place, author, command, TXN_RESPONSE_BYTES_MAX, back) ?? NO_ROOM;
  }

  /**
   * A child queued this when its home was here before, and runs it, or those below it do, when it hears that the home had
   * left. That it has released the prefix since then does not tell: another life of it may have (L3).
   */
  #stale(command: KeyCommand, seen: Seen | null): Outcome | null {
    const since = homesOf(this.#tx).hubSince(command);
    return seenOfOurs(this.#tx, this.#ledger.position, seen) < since
      ? refused("READ_ONLY", "the home of these keys was elsewhere meanwhile")
      : null;
  }

  #runAt(place: Place, author: Author, command: KeyCommand, room: number, back: Relay | null): Outcome | null {
    const wrong = keyCommandRefusal(command);
    if (wrong !== null) return wrong;
    switch (place.kind) {
      case "here":
        return runKeyCommand(this.#tx, this.#ledger, author, command, room, place.home);
      case "held":
        return this.#queue(author, this.#cluster, null, command, back);
      case "parent":
        return this.#queue(author, null, null, command, back);
      case "crossing":
        return refused("CROSS_HOME");
      default:
        return unreachable(place);
    }
  }

  #runHere(place: Place & { kind: "here" }, author: Author, command: KeyCommand): Outcome {
    return this.#runAt(place, author, command, TXN_RESPONSE_BYTES_MAX, null) ?? NO_ROOM;
  }

  #isHere({ command }: WaitingCommand): boolean {
    const read = readCommand(command);
    return read !== null && homesOf(this.#tx).placeOf(read).kind === "here";
  }

  #handDown(author: Author, to: ClusterId, command: KeyCommand, back: Relay | null): Outcome {
    const via = this.#childTowards(to);
    return via === null ? refused("UNKNOWN_CHILD", to) : this.#queue(author, via, to, command, back);
  }

  #childTowards(to: ClusterId): ClusterId | null {
    if (isChild(this.#tx, to)) return to;
    const link = linkTowards(this.#tx, to);
    return isClusterId(link) && isChild(this.#tx, link) ? link : null;
  }

  #queue(
    author: Author,
    via: ClusterId | null,
    to: ClusterId | null,
    command: KeyCommand,
    relay: Relay | null,
  ): Outcome {
    if (command.kind === "txn" && usesLease(command))
      return refused("CROSS_HOME", "a lease holds keys of its own cluster only");
    const bytes = encode(userCommandTuple(command));
    const full = waitingRefusal(this.#tx, bytes.length);
    if (full !== null) return full;
    const { logTime } = this.#ledger.position;
    // Down there, and here, it is not asked.
    const seen = via === null ? seenOfParent(this.#tx) : null;
    const at = this.#ledger.append(author, [{ kind: "command", via, to, seen, command: bytes }], "site");
    addWaiting(this.#tx, at, { since: logTime, principal: author.principal, via, command: bytes, relay });
    return { ok: true, revision: at, response: { kind: "queued" } };
  }

  #settle(at: Revision, outcome: Outcome): boolean {
    const row = takeWaiting(this.#tx, at);
    if (row === undefined) return false;
    if (row.relay === null) addSettled(this.#tx, at, row, outcome);
    else this.#tell(row.relay, outcome);
    return true;
  }

  #tell({ to, epoch, revision }: Relay, outcome: Outcome): void {
    this.#results.push({ kind: "result", to, epoch, revision, outcome: encode(outcomeTuple(outcome)) });
  }
}

const UNKNOWN = refused("OUTCOME_UNKNOWN", "no answer of the parent will come");
const NO_ROOM = refused("RESPONSE_TOO_LARGE");

const isQueued = (outcome: Outcome): boolean => outcome.ok && outcome.response?.kind === "queued";

/** A child takes us for the home of what is each cluster's own: its home moved before the command came. */
const strayedUp = (place: Place): Outcome | null =>
  place.kind === "here" && place.home !== "hub" ? refused("READ_ONLY", "the home of these keys is not here") : null;

/** What the parent asks of our own keys. It is told nothing of what is private, and what is its own it runs itself. */
function strayedDown(place: Place): Outcome | null {
  if (place.kind === "here" && place.home === "private") return refused("FORBIDDEN", "private keys");
  return place.kind === "parent" ? refused("READ_ONLY", "the home of these keys is the hub") : null;
}

function readCommand(bytes: Uint8Array): KeyCommand | null {
  return readable(() => readKeyCommand(decode(bytes)));
}

function readResult(bytes: Uint8Array): Outcome | null {
  return readable(() => readOutcome(decode(bytes)));
}

function readable<T>(read: () => T): T | null {
  try {
    return read();
  } catch (error) {
    if (error instanceof OpenClawError) return null;
    throw error;
  }
}

const usesLease = ({ success, failure }: Txn): boolean =>
  [...success, ...failure].some((operation: Operation) =>
    operation.kind === "put"
      ? operation.lease !== null && operation.lease !== "keep"
      : operation.kind === "txn" && usesLease(operation),
  );
