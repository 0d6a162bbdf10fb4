/**
 * The state machine: committed entries in, rows and records out (rule R9). Pure, synchronous, and blind to how entries
 * are batched: replicas cut the log into different runs and must end with equal rows.
 */
import { invariant, unreachable } from "../errors.ts";
import type { ClusterId, Index, Revision } from "../ids.ts";
import { derivedSalt } from "../ledger/chain.ts";
import { TXN_RESPONSE_BYTES_MAX } from "../limits.ts";
import type { Sha256 } from "../ports.ts";
import type { Entry } from "../raft/message.ts";
import { raiseVersion, requireSupported } from "./apply-version.ts";
import { importCommands } from "./client-links.ts";
import type { Command, CommandHeader, CommandResult, IdempotentCommand, Outcome, UserCommand } from "./command.ts";
import { readableCommands } from "./command-codec.ts";
import { compact, shed } from "./compact.ts";
import { beginComparison, noteFinding } from "./comparison.ts";
import { runChangeCommand } from "./documents.ts";
import { Handover } from "./handover.ts";
import { IDEMPOTENCY_ROOM, rememberedOf, runIdempotent } from "./idempotency.ts";
import { expireLeases, runLeaseCommand } from "./leases.ts";
import { type Importing, importLedger } from "./ledger-imports.ts";
import type { Author } from "./ledger-writer.ts";
import { LedgerWriter } from "./ledger-writer.ts";
import { noteContender, settleEpoch, succeedEpoch } from "./link-epochs.ts";
import { parentOf } from "./link-rows.ts";
import type { Refused } from "./member.ts";
import { noteConfiguration, noteMember } from "./members.ts";
import { refused } from "./outcome.ts";
import { noteParentHolds } from "./position.ts";
import { QueuedCommands } from "./queued-commands.ts";
import { inSession, openSession } from "./sessions.ts";
import { toldParent } from "./shed.ts";
import { decideSite, enrolSite } from "./sites.ts";
import { importSnapshot } from "./snapshot-imports.ts";
import { subscribe } from "./subscribe.ts";
import { Transaction } from "./transaction.ts";
import { allowUplinkUse, noteUplinkUse } from "./uplink-use.ts";
import type { Apply, CommandAnswer } from "./view.ts";

/** One meaning of entries: runs what it holds, and adds a result for each command. */
export type ApplyEntry = (machine: Machine, entry: Entry, results: CommandAnswer[]) => void;

/** At position p is the meaning of version p + 1: append only (R9). What a version does is fixed when it is released. */
export type ApplyVersions = readonly ApplyEntry[];

export const APPLY_VERSIONS: ApplyVersions = [applyEntry];

/**
 * The state machine of one cluster. What it returns reads no clock and no random source, and keeps nothing between calls.
 * It throws NODE_TOO_OLD at an entry of a version that is not among `versions`.
 */
export function createApply(sha256: Sha256, cluster: ClusterId, versions: ApplyVersions): Apply {
  return (view, entries) => {
    const tx = new Transaction(view);
    const ledger = new LedgerWriter(tx, sha256);
    invariant(ledger.position.cluster === cluster, "the state is this cluster's");
    const machine = new Machine(tx, ledger, sha256, cluster);
    const results: CommandAnswer[] = [];
    let applied = 0;
    for (const entry of entries) {
      const { applyVersion } = ledger.position;
      requireSupported(applyVersion, versions.length);
      ledger.stamp(entry.stamp);
      versions[applyVersion - 1]?.(machine, entry, results);
      applied++;
      if (machine.comparison !== null) break;
    }
    ledger.close();
    const { comparison } = machine;
    return { entries: applied, comparison, writes: tx.writes(), records: ledger.records, results };
  };
}

/** Version 1. */
export function applyEntry(machine: Machine, entry: Entry, results: CommandAnswer[]): void {
  machine.expire();
  switch (entry.kind) {
    case "noop":
      return;
    case "configuration":
      // Raft's own: the store keeps the membership beside the applied index. Here it tells who was removed.
      machine.configure(entry.data);
      return;
    case "commands":
      for (const command of readableCommands(entry.data)) {
        const { proposer, request } = command.header;
        results.push({ proposer, request, result: machine.run(command, entry.index) });
      }
      return;
    default:
      unreachable(entry.kind);
  }
}

class Machine {
  /** The entry that began a comparison. */
  comparison: Index | null = null;
  readonly #tx: Transaction;
  readonly #ledger: LedgerWriter;
  readonly #sha256: Sha256;
  readonly #cluster: ClusterId;
  readonly #commands: QueuedCommands;
  readonly #handover: Handover;

  constructor(tx: Transaction, ledger: LedgerWriter, sha256: Sha256, cluster: ClusterId) {
    this.#tx = tx;
    this.#ledger = ledger;
    this.#sha256 = sha256;
    this.#cluster = cluster;
    this.#commands = new QueuedCommands(tx, ledger, cluster);
    this.#handover = new Handover(tx, ledger, this.#commands, cluster);
  }

  configure(data: Uint8Array): void {
    noteConfiguration(this.#tx, data);
  }

  /** What is due by now ends before the entry's own commands. */
  expire(): void {
    expireLeases(this.#tx, this.#ledger, this.#sha256);
  }

  run(command: Command, index: Index): CommandResult {
    const { header } = command;
    switch (command.kind) {
      case "put":
      case "deleteRange":
      case "txn":
      case "leaseGrant":
      case "leaseKeepAlive":
      case "leaseRevoke":
      case "compact":
      case "setHome":
      case "addressed":
      case "change": {
        const author = this.#author(header, () => header.salt);
        const run = (room: number): Outcome | null => this.#runUser(command, header, author, room);
        return { kind: "outcome", outcome: this.#once(header, index, run) };
      }
      case "idempotent":
        return this.#idempotent(command, header, index);
      case "openSession":
        openSession(this.#tx, command.session, index);
        return { kind: "sessionOpened" };
      case "importLedger":
        return importLedger(this.#importing(header), command);
      case "importSnapshot":
        return importSnapshot(this.#importing(header), header, command);
      case "subscribe":
        return subscribe(this.#importing(header), header, command);
      case "shed":
        return { kind: "outcome", outcome: shed(this.#tx, this.#ledger, command.revision, header.time) };
      case "importCommands": {
        const author = this.#author(header, this.#salts(header));
        return importCommands(this.#tx, command, index, (queued, room) =>
          queued.kind === "refused"
            ? refused(queued.code, queued.details)
            : this.#runUser(queued, header, author, room),
        );
      }
      case "parentHolds":
        noteParentHolds(this.#tx, command, this.#ledger.position.revision);
        return { kind: "noted" };
      case "succeedEpoch":
        return this.#towardsParent(header, () =>
          succeedEpoch(this.#tx, this.#ledger.position.revision, this.#sha256, command),
        );
      case "settleEpoch": {
        const author = { principal: header.principal, time: header.time, salt: this.#salts(header) };
        return this.#towardsParent(header, () => settleEpoch(this.#tx, this.#ledger, this.#sha256, command, author));
      }
      case "noteContender":
        noteContender(this.#tx, command);
        return { kind: "noted" };
      case "parentLacks":
        noteParentHolds(this.#tx, command, this.#ledger.position.revision);
        toldParent(this.#tx);
        return { kind: "noted" };
      case "uplinkUsed":
        noteUplinkUse(this.#tx, command.day, command.bytes);
        return { kind: "noted" };
      case "allowUplink":
        allowUplinkUse(this.#tx, command.day, command.bytes);
        return { kind: "noted" };
      case "noteMember":
        return { kind: "memberNoted", refused: this.#noteMember(command, index) };
      case "raiseVersion":
        raiseVersion(this.#tx, this.#ledger, command.to, command.members);
        return { kind: "noted" };
      case "enrolSite": {
        const decider = { by: header.principal, at: header.time };
        return { kind: "siteNoted", refused: enrolSite(this.#tx, this.#cluster, command.site, decider) };
      }
      case "decideSite": {
        const decider = { by: header.principal, at: header.time };
        return { kind: "siteNoted", refused: decideSite(this.#tx, command.cluster, command.decision, decider) };
      }
      case "stamp":
        return { kind: "stamped", logTime: this.#ledger.position.logTime };
      case "compareStates": {
        this.comparison = index;
        const comparison = beginComparison(this.#tx, index, this.#ledger.position, command.voters);
        return { kind: "compared", comparison, begun: true };
      }
      case "reportState": {
        const comparison = noteFinding(this.#tx, command.round, command.node, command.finding);
        return { kind: "compared", comparison, begun: false };
      }
      default:
        return unreachable(command);
    }
  }

  #once({ session }: CommandHeader, index: Index, run: (room: number) => Outcome | null): Outcome {
    const outcome = session === null ? run(TXN_RESPONSE_BYTES_MAX) : inSession(this.#tx, session, index, run);
    invariant(outcome !== null, "there is room for what is not remembered");
    return outcome;
  }

  #idempotent({ idempotency, command }: IdempotentCommand, header: CommandHeader, index: Index): CommandResult {
    const author = this.#author(header, () => header.salt);
    const { logTime } = this.#ledger.position;
    const now = { logTime, room: IDEMPOTENCY_ROOM };
    let ran = false;
    const outcome = this.#once(header, index, (room) =>
      runIdempotent(this.#tx, header.principal, idempotency, now, () => {
        ran = true;
        return this.#runUser(command, header, author, room);
      }),
    );
    const remembered = rememberedOf(this.#tx, header.principal, idempotency);
    const { until, note } = remembered ?? { until: null, note: idempotency.note };
    return { kind: "idempotent", outcome, until, note, repeated: !ran && remembered !== null };
  }

  /** Where another cluster is the parent from here on, nothing more comes of what was between the one before and us. */
  #towardsParent(header: CommandHeader, run: () => CommandResult): CommandResult {
    const before = parentOf(this.#tx);
    const result = run();
    if (before === null || parentOf(this.#tx) === before) return result;
    const author = this.#authors(header)(`cluster:${this.#cluster}`);
    this.#commands.forgetParent(author);
    this.#handover.leaveParent(author);
    return result;
  }

  #noteMember({ node, place, supports }: Extract<Command, { kind: "noteMember" }>, index: Index): Refused | null {
    const { applyVersion } = this.#ledger.position;
    if (supports < applyVersion)
      return { code: "NODE_TOO_OLD", details: `${node} supports apply version ${supports}, needed is ${applyVersion}` };
    return noteMember(this.#tx, node, { ...place, supports }, index);
  }

  #runUser(command: UserCommand, header: CommandHeader, author: Author, room: number): Outcome | null {
    switch (command.kind) {
      case "change":
        return runChangeCommand(this.#tx, this.#ledger, author, command);
      case "leaseGrant":
      case "leaseKeepAlive":
      case "leaseRevoke":
        return runLeaseCommand(this.#tx, this.#ledger, this.#sha256, author, command);
      case "compact":
        return compact(this.#tx, this.#ledger, command.revision);
      case "setHome":
        return this.#handover.set(this.#authors(header), header.principal, command);
      case "addressed":
        return this.#commands.runAddressed(author, command.to, command.command, room);
      default:
        return this.#commands.run(author, command, room);
    }
  }

  #importing(header: CommandHeader): Importing {
    return {
      tx: this.#tx,
      ledger: this.#ledger,
      sha256: this.#sha256,
      cluster: this.#cluster,
      salt: this.#salts(header),
      authorOf: this.#authors(header),
      commands: this.#commands,
      handover: this.#handover,
    };
  }

  #author({ principal, time }: CommandHeader, salt: (at: Revision) => Uint8Array): Author {
    return { principal, time, salt };
  }

  /** Of several revisions, for whoever each of them is. */
  #authors(header: CommandHeader): (principal: string) => Author {
    const salt = this.#salts(header);
    return (principal) => ({ principal, time: header.time, salt });
  }

  /** A command of several revisions has one salt of its own for each (L2). */
  #salts({ salt }: CommandHeader): (at: Revision) => Uint8Array {
    return (at) => derivedSalt(this.#sha256, salt, at);
  }
}
