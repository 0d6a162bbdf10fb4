/**
 * K1–K6: the committed commands, in their order, on etcd in a plain map (test/model): what each of them was answered, and
 * each revision with its events, must be the model's; and so must the rows that are left, at every replica.
 *
 * The tap: every state store of a cluster shows the entries that it applies, with results and records, at the moment it
 * does (MemoryStateStore.witness). Of each entry the first showing counts; that the others do the same is the business of
 * StateAgreement. Of core it uses the decoding of what is in an entry, and nothing of what an entry does.
 */
import { hash } from "node:crypto";
import { isDeepStrictEqual } from "node:util";
import { equalBytes } from "@openclaw/core/bytes.ts";
import { revision } from "@openclaw/core/ids.ts";
import { derivedSalt } from "@openclaw/core/ledger/chain.ts";
import { isKeyEvent, type LedgerRecord } from "@openclaw/core/ledger/record.ts";
import { decodeRecord } from "@openclaw/core/ledger/record-codec.ts";
import type { Applied, Sha256 } from "@openclaw/core/ports.ts";
import type { Entry } from "@openclaw/core/raft/message.ts";
import type { Command, CommandHeader, Outcome } from "@openclaw/core/state-machine/command.ts";
import { readableCommands } from "@openclaw/core/state-machine/command-codec.ts";
import { asAsked, type KeyOrLeaseCommand, requestOf } from "../../model/committed.ts";
import {
  EtcdModel,
  type Event,
  type KeyedRow,
  type Command as Request,
  type Result,
  type Row,
} from "../../model/etcd.ts";
import { type Answer, answerOf, eventOf, expectedAnswer } from "../../model/translation.ts";
import { SECOND } from "../second-version.ts";

const sha256: Sha256 = (bytes) => hash("sha256", bytes, "buffer");

/** In whose name a lease ends by itself (K6). */
const LEASE = /^lease:(\d+)$/;

/** A command in the order of all of them. */
export interface Place {
  readonly sequence: number;
  readonly request: Request;
  readonly answer: Answer;
}

type ImportCommands = Extract<Command, { kind: "importCommands" }>;

export class SerialModel {
  /** By principal, the last one of it that ran. */
  readonly places = new Map<string, Place>();
  /** How often there was what: requests by kind and by refusal, and leases that ended by themselves. */
  readonly counts = new Map<string, number>();
  readonly #model = new EtcdModel();
  readonly #violation: (text: string) => void;
  readonly #expired: (lease: number) => void;
  #index = 0;
  #sequence = 0;
  /** Commands of each entry. */
  readonly #counts: number[] = [];
  /** What a step of a session, and a request under an `Idempotency-Key`, was answered when it ran (Q1). */
  readonly #known = new Map<string, Answer>();
  /** By client's link: the last command that ran (Q2). */
  readonly #cursors = new Map<string, number>();
  /** By revision, the place of what made it. */
  readonly #sequences: number[] = [0];
  /** Of the batch that is being looked at. */
  #records: ReadonlyMap<number, LedgerRecord> = new Map();

  /** @param expired a record says that this lease ended by itself */
  constructor(violation: (text: string) => void, expired: (lease: number) => void) {
    this.#violation = violation;
    this.#expired = expired;
  }

  /** Leases that have not ended. */
  get leases(): number {
    return this.#model.leases.size;
  }

  rows(): readonly KeyedRow[] {
    return this.#model.sorted();
  }

  /**
   * The state at a revision, and the places between which it was the newest; null where nothing is known of it. Between
   * leases that end at one entry there is no place.
   */
  at(
    revisionOf: number,
  ): { readonly rows: ReadonlyMap<string, Row>; readonly from: number; readonly to: number } | null {
    const [sequence, rows] = [this.#sequences[revisionOf], this.#model.past[revisionOf]];
    if (sequence === undefined || rows === undefined) return null;
    const next = this.#sequences[revisionOf + 1] ?? Number.POSITIVE_INFINITY;
    return { rows, from: sequence + 0.5, to: next - 0.5 };
  }

  /** What happened to this cluster's keys at a revision; null where nothing is known of it. */
  eventsAt(revisionOf: number): readonly Event[] | null {
    return this.#model.events[revisionOf] ?? null;
  }

  /** A store applies these entries. */
  applied(entries: readonly Entry[], { results, records, position }: Applied): void {
    const last = entries.at(-1)?.index ?? 0;
    if (last <= this.#index) return;
    const fresh = records.filter((record) => record.revision > this.#model.revision);
    this.#records = new Map(fresh.map(({ revision: at, record }) => [at, decodeRecord(record)]));
    for (const { principal } of this.#records.values()) {
      const lease = LEASE.exec(principal)?.[1];
      if (lease !== undefined) this.#expired(Number(lease));
    }
    let next = 0;
    for (const entry of entries) {
      if (entry.index <= this.#index) {
        next += this.#counts[entry.index] ?? 0;
        continue;
      }
      if (entry.index !== this.#index + 1) return this.#violation(`nobody was seen to apply entry ${this.#index + 1}`);
      this.#index = entry.index;
      this.#pass(entry.stamp);
      const commands = entry.kind === "commands" ? readableCommands(entry.data) : [];
      this.#counts[entry.index] = commands.length;
      for (const command of commands) this.#run(command, results[next++]?.result);
    }
    const { revision: at, logTime } = position;
    if (at !== this.#model.revision || logTime !== this.#model.time)
      this.#violation(`at index ${last} the model has revision ${this.#model.revision}, the replica ${at}`);
  }

  /** An entry's stamp: what is due by then ends. */
  #pass(ms: number): void {
    const before = this.#model.revision;
    const alive = [...this.#model.leases.keys()];
    const ended = this.#model.run({ op: "pass", ms });
    if ("error" in ended || ended.records.length === 0) return;
    this.#sequence++;
    this.#count("end of a lease", ended.records.length);
    const names = new Set(alive.filter((id) => !this.#model.leases.has(id)).map((id) => `lease:${id}`));
    this.#compare(before, ended, (record) => names.has(record.principal), `what is due at index ${this.#index}`);
  }

  #run(command: Command, result: Applied["results"][number]["result"] | undefined): void {
    const { header } = command;
    switch (command.kind) {
      case "put":
      case "deleteRange":
      case "txn":
      case "leaseGrant":
      case "leaseKeepAlive":
      case "leaseRevoke": {
        const outcome = result?.kind === "outcome" ? result.outcome : null;
        return this.#step(command, header, outcome, null);
      }
      case "idempotent": {
        const { command: inner, idempotency } = command;
        const outcome = result?.kind === "idempotent" ? result.outcome : null;
        if (inner.kind === "change") return this.#foreign((record) => equalBytes(record.salt, header.salt));
        return this.#step(inner, header, outcome, `${header.principal} ${idempotency.key}`);
      }
      case "importCommands":
        return this.#imported(command, result?.kind === "imported" ? result.outcomes : []);
      case "change":
        return this.#foreign((record) => equalBytes(record.salt, header.salt));
      case "importLedger":
      case "importSnapshot":
      case "subscribe":
        return this.#foreign((record) => isDerived(record, header));
      default:
        return;
    }
  }

  /** Once, in its session, and under its `Idempotency-Key`. */
  #step(command: KeyOrLeaseCommand, header: CommandHeader, outcome: Outcome | null, key: string | null): void {
    const { session } = header;
    const names = [...(session === null ? [] : [`step ${session.id} ${session.seq}`]), ...(key === null ? [] : [key])];
    const known = names.map((name) => this.#known.get(name)).find((answer) => answer !== undefined);
    // What is refused by the session itself did not run (Q1).
    if (outcome?.ok === false && outcome.code === "SESSION_EXPIRED") return;
    if (known !== undefined) {
      const again = outcome === null ? null : answerOf(requestOf(command), outcome);
      if (!isDeepStrictEqual(again, known))
        this.#violation(`${header.principal}'s ${names} was ${shown(known)}, and asked again ${shown(again)}`);
      for (const name of names) this.#known.set(name, known);
      return;
    }
    const answer = this.#execute(command, header.principal, outcome, (record) => equalBytes(record.salt, header.salt));
    for (const name of names) this.#known.set(name, answer);
  }

  #imported({ link, from, commands, header }: ImportCommands, outcomes: readonly (Outcome | null)[]): void {
    let cursor = this.#cursors.get(link) ?? 0;
    if (from > cursor + 1) return;
    for (const [i, command] of commands.entries()) {
      if (from + i <= cursor) continue;
      cursor = from + i;
      const own = (record: LedgerRecord): boolean => isDerived(record, header);
      const outcome = outcomes[i] ?? null;
      if (command.kind === "change") {
        // Some change nothing, and all that a client sent together has salts of one kind.
        if (outcome?.ok === true && outcome.revision > this.#model.revision) this.#foreign(own, 1);
      } else if (command.kind !== "refused") this.#execute(command, header.principal, outcome, own);
    }
    this.#cursors.set(link, cursor);
  }

  /** @param own whether it is this command's record */
  #execute(
    command: KeyOrLeaseCommand,
    principal: string,
    outcome: Outcome | null,
    own: (record: LedgerRecord) => boolean,
  ): Answer {
    const request = requestOf(command);
    const before = this.#model.revision;
    const result = this.#model.run(request);
    const answer = asAnswered(command, expectedAnswer(result));
    this.#count("error" in answer ? answer.error : request.op, 1);
    this.places.set(principal, { sequence: ++this.#sequence, request, answer });
    const what = `${principal}'s ${shown(request)} at index ${this.#index}`;
    const told = outcome === null ? null : answerOf(request, outcome);
    if (!isDeepStrictEqual(told, answer))
      this.#violation(`${what} is answered ${shown(told)}, the model says ${shown(answer)}`);
    this.#compare(before, result, (record) => plain(record.principal) === principal && own(record), what);
    return answer;
  }

  /** The records from `before` on are what the model wrote. */
  #compare(before: number, result: Result, own: (record: LedgerRecord) => boolean, what: string): void {
    if ("error" in result) return;
    for (const [i, events] of result.records.entries()) {
      const at = before + i + 1;
      const record = this.#records.get(at);
      const written = record?.events.map((event) => (isKeyEvent(event) ? eventOf(event) : event.kind));
      if (record === undefined || !own(record) || !isDeepStrictEqual(written, events))
        this.#violation(
          `${what} writes ${shown(events)} at ${at}, where ${record?.principal} wrote ${shown(written ?? null)}`,
        );
      this.#sequences[at] = this.#sequence;
    }
  }

  #count(what: string, by: number): void {
    this.counts.set(what, (this.counts.get(what) ?? 0) + by);
  }

  /** What is no key's or lease's business takes revisions, too: those whose records are its own. */
  #foreign(own: (record: LedgerRecord) => boolean, most = Number.POSITIVE_INFINITY): void {
    this.#sequence++;
    for (let taken = 0; taken < most; taken++) {
      const record = this.#records.get(this.#model.revision + 1);
      if (record === undefined || !own(record)) break;
      this.#model.take();
      this.#sequences[this.#model.revision] = this.#sequence;
    }
  }
}

const isDerived = (record: LedgerRecord, { salt }: CommandHeader): boolean =>
  equalBytes(record.salt, derivedSalt(sha256, salt, revision(record.revision)));

/** A later release puts something before it. */
const plain = (principal: string): string =>
  principal.startsWith(SECOND) ? principal.slice(SECOND.length) : principal;

const asAnswered = (command: KeyOrLeaseCommand, answer: Answer): Answer =>
  "error" in answer ? answer : { ...answer, response: asAsked(command, answer.response) };

const shown = (value: unknown): string => JSON.stringify(value);
