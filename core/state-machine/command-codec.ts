/**
 * Commands as tuples. A Raft entry of kind "commands" is one packed batch: [version, commands].
 */

import { utf8 } from "../bytes.ts";
import type { Encodable } from "../codec.ts";
import { decode, encode, TupleReader } from "../codec.ts";
import { invariant, OpenClawError } from "../errors.ts";
import { index, isClusterId, isLinkId, isNodeId, isNonce, isSessionId, type Revision, revision, seq } from "../ids.ts";
import { epochTuple, lineageFields, readEpoch, readLineage } from "../ledger/epoch-codec.ts";
import { encodeRun, readRun } from "../ledger/link-run.ts";
import { isKeyEvent, type KeyEvent } from "../ledger/record.ts";
import { eventTuple, readEvent, readHash, SALT_BYTES } from "../ledger/record-codec.ts";
import { readSnapshotStep, snapshotStepTuple } from "../ledger/snapshot-codec.ts";
import { readSubscription, subscriptionTuple } from "../ledger/subscription-codec.ts";
import { readWitness, witnessTuple } from "../ledger/witness.ts";
import { IDEMPOTENCY_KEY_CHARS_MAX } from "../limits.ts";
import type {
  Command,
  CommandHeader,
  IdempotentCommand,
  ImportedCommand,
  SystemCommand,
  UserCommand,
} from "./command.ts";
import { findingFields, readFinding, readNodes } from "./comparison.ts";
import { contenderFields, readContender } from "./life-rows.ts";
import { placeFields, readPlace } from "./member.ts";
import { readErrorCode } from "./outcome-codec.ts";
import { enrolmentFields, isSiteDecision, readEnrolment } from "./site.ts";
import { readUserBody, readUserCommand, USER_COMMAND, userCommandTuple } from "./user-command-codec.ts";

const BATCH_VERSION = 1;
/** Characters of what an idempotent request is told again. */
const NOTE_MAX = 64;

const COMMAND = {
  ...USER_COMMAND,
  refused: 4,
  openSession: 16,
  importLedger: 17,
  importCommands: 18,
  parentHolds: 19,
  noteMember: 20,
  stamp: 21,
  raiseVersion: 22,
  idempotent: 23,
  compareStates: 24,
  reportState: 25,
  uplinkUsed: 26,
  allowUplink: 27,
  succeedEpoch: 28,
  settleEpoch: 29,
  enrolSite: 30,
  decideSite: 31,
  noteContender: 32,
  importSnapshot: 40,
  subscribe: 41,
  shed: 42,
  parentLacks: 43,
} as const satisfies Record<Command["kind"] | ImportedCommand["kind"], number>;

export const encodeCommands = (commands: readonly Command[]): Uint8Array<ArrayBuffer> =>
  encode([BATCH_VERSION, commands.map((command) => [headerTuple(command.header), bodyTuple(command)])]);

/** @throws OpenClawError MALFORMED_FRAME, UNKNOWN_VERSION */
export const decodeCommands = (bytes: Uint8Array): Command[] => commandTuples(bytes).map(readCommand);

/**
 * What apply runs: a committed entry cannot be refused any more, so what cannot be decoded has no effect and no result,
 * the same at every replica, because decoding is a function of the bytes alone.
 */
export function readableCommands(bytes: Uint8Array): Command[] {
  const readable: Command[] = [];
  for (const tuple of orNothing(() => commandTuples(bytes)) ?? []) {
    const command = orNothing(() => readCommand(tuple));
    if (command !== undefined) readable.push(command);
  }
  return readable;
}

function orNothing<T>(read: () => T): T | undefined {
  try {
    return read();
  } catch (error) {
    if (error instanceof OpenClawError) return undefined;
    throw error;
  }
}

function commandTuples(bytes: Uint8Array): readonly Encodable[] {
  const reader = new TupleReader(decode(bytes), "batch");
  const version = reader.count();
  if (version !== BATCH_VERSION) throw new OpenClawError("UNKNOWN_VERSION", `a batch of version ${version}`);
  const tuples = reader.list();
  reader.end();
  return tuples;
}

function readCommand(tuple: Encodable): Command {
  const reader = new TupleReader(tuple, "command");
  const header = readHeader(reader.any());
  const body = new TupleReader(reader.any(), "command body");
  reader.end();
  const kind = body.count();
  const command = readUserBody(kind, body) ?? readIdempotentBody(kind, body) ?? readSystemBody(kind, body);
  body.end();
  return { header, ...command };
}

function headerTuple(header: CommandHeader): Encodable {
  // What apply could not read would have no effect and no answer: fail at the proposer, not there.
  invariant(header.salt.length === SALT_BYTES, "a salt has 16 bytes");
  return [
    header.principal,
    header.time,
    header.salt,
    header.request,
    header.proposer,
    header.session === null ? null : [header.session.id, header.session.seq, header.session.lowWater],
  ];
}

function readHeader(value: Encodable): CommandHeader {
  const reader = new TupleReader(value, "command header");
  const principal = reader.text();
  const time = reader.integer();
  const salt = reader.bytes();
  if (salt.length !== SALT_BYTES) throw new OpenClawError("MALFORMED_FRAME", "a salt has 16 bytes");
  const header: CommandHeader = {
    principal,
    time,
    salt,
    request: reader.count(),
    proposer: reader.text(),
    session: reader.orNull((field) => {
      const step = new TupleReader(field.any(), "session step");
      const id = step.that(isSessionId, "a session");
      const read = { id, seq: seq(step.count()), lowWater: seq(step.count()) };
      step.end();
      return read;
    }),
  };
  reader.end();
  return header;
}

function bodyTuple(command: UserCommand | IdempotentCommand | SystemCommand): Encodable {
  switch (command.kind) {
    case "idempotent": {
      const { key, request, note } = command.idempotency;
      return [COMMAND.idempotent, key, request, note, userCommandTuple(command.command)];
    }
    case "openSession":
      return [COMMAND.openSession, command.session];
    case "importLedger":
      return [
        COMMAND.importLedger,
        SIDES.indexOf(command.side),
        command.link,
        command.cluster,
        epochTuple(command.epoch),
        encodeRun(command.items),
        command.hash,
        command.after,
      ];
    case "importCommands":
      return [
        COMMAND.importCommands,
        command.link,
        command.from,
        command.lowWater,
        command.commands.map(importedCommandTuple),
      ];
    case "importSnapshot":
      return [
        COMMAND.importSnapshot,
        SIDES.indexOf(command.side),
        command.link,
        command.cluster,
        epochTuple(command.epoch),
        snapshotStepTuple(command.step),
      ];
    case "subscribe":
      return [COMMAND.subscribe, command.link, command.cluster, subscriptionTuple(command.subscription)];
    case "shed":
      return [COMMAND.shed, command.revision];
    case "parentHolds":
    case "parentLacks":
      return [COMMAND[command.kind], command.parent, command.epoch, command.revision];
    case "succeedEpoch":
      return [COMMAND.succeedEpoch, command.link, command.cluster, ...lineageFields(command.lineage), command.holds];
    case "settleEpoch":
      return [
        COMMAND.settleEpoch,
        command.link,
        command.cluster,
        command.from,
        command.cursor,
        command.parting,
        command.kept === null ? null : witnessTuple(command.kept),
        ...lineageFields(command.lineage),
        command.holds,
        command.changes === null ? null : command.changes.map(eventTuple),
      ];
    case "noteContender":
      return [COMMAND.noteContender, command.link, ...contenderFields(command.contender)];
    case "uplinkUsed":
    case "allowUplink":
      return [COMMAND[command.kind], command.day, command.bytes];
    case "noteMember":
      return [COMMAND.noteMember, command.node, ...placeFields(command.place), command.supports];
    case "raiseVersion":
      return [COMMAND.raiseVersion, command.to, command.members];
    case "enrolSite":
      return [COMMAND.enrolSite, ...enrolmentFields(command.site)];
    case "decideSite":
      return [COMMAND.decideSite, command.cluster, command.decision];
    case "stamp":
      return [COMMAND.stamp];
    case "compareStates":
      return [COMMAND.compareStates, command.voters];
    case "reportState":
      return [COMMAND.reportState, command.round, command.node, ...findingFields(command.finding)];
    default:
      return userCommandTuple(command);
  }
}

function readIdempotentBody(kind: number, reader: TupleReader): IdempotentCommand | undefined {
  if (kind !== COMMAND.idempotent) return undefined;
  const key = reader.text();
  const request = reader.bytes();
  const note = reader.text();
  if (key.length < 1 || utf8(key).length > IDEMPOTENCY_KEY_CHARS_MAX || request.length !== 32 || note.length > NOTE_MAX)
    throw new OpenClawError("MALFORMED_FRAME", "no idempotency key");
  return { kind: "idempotent", idempotency: { key, request, note }, command: readUserCommand(reader.any()) };
}

function readSystemBody(kind: number, reader: TupleReader): SystemCommand {
  switch (kind) {
    case COMMAND.openSession:
      return { kind: "openSession", session: reader.that(isSessionId, "a session") };
    case COMMAND.importLedger:
      return {
        kind: "importLedger",
        side: readSide(reader),
        link: reader.that(isLinkId, "a link"),
        cluster: reader.that(isClusterId, "a cluster"),
        epoch: readEpoch(reader.any()),
        items: readRun(reader),
        hash: readHash(reader),
        after: reader.orNull(readHash),
      };
    case COMMAND.importCommands:
      return {
        kind: "importCommands",
        link: reader.that(isLinkId, "a link"),
        from: seq(reader.count()),
        lowWater: seq(reader.count()),
        commands: reader.list().map(readImportedCommand),
      };
    case COMMAND.importSnapshot:
      return {
        kind: "importSnapshot",
        side: readSide(reader),
        link: reader.that(isLinkId, "a link"),
        cluster: reader.that(isClusterId, "a cluster"),
        epoch: readEpoch(reader.any()),
        step: readSnapshotStep(reader.any()),
      };
    case COMMAND.subscribe:
      return {
        kind: "subscribe",
        link: reader.that(isLinkId, "a link"),
        cluster: reader.that(isClusterId, "a cluster"),
        subscription: readSubscription(reader.any()),
      };
    case COMMAND.shed:
      return { kind: "shed", revision: revision(reader.count()) };
    case COMMAND.parentHolds:
    case COMMAND.parentLacks:
      return {
        kind: kind === COMMAND.parentHolds ? "parentHolds" : "parentLacks",
        parent: reader.that(isClusterId, "a cluster"),
        epoch: reader.that(isNonce, "a nonce"),
        revision: revision(reader.count()),
      };
    case COMMAND.succeedEpoch:
      return {
        kind: "succeedEpoch",
        link: reader.that(isLinkId, "a link"),
        cluster: reader.that(isClusterId, "a cluster"),
        lineage: readLineage(reader),
        holds: readHolds(reader),
      };
    case COMMAND.settleEpoch:
      return {
        kind: "settleEpoch",
        link: reader.that(isLinkId, "a link"),
        cluster: reader.that(isClusterId, "a cluster"),
        from: reader.orNull((field) => field.that(isNonce, "a nonce")),
        cursor: revision(reader.count()),
        parting: revision(reader.count()),
        kept: reader.orNull((field) => readWitness(field.any())),
        lineage: readLineage(reader),
        holds: readHolds(reader),
        changes: reader.orNull((field) => field.list().map(readKeyEvent)),
      };
    case COMMAND.noteContender:
      return {
        kind: "noteContender",
        link: reader.that(isLinkId, "a link"),
        contender: readContender(reader),
      };
    case COMMAND.uplinkUsed:
      return { kind: "uplinkUsed", day: reader.count(), bytes: reader.count() };
    case COMMAND.allowUplink:
      return { kind: "allowUplink", day: reader.count(), bytes: reader.count() };
    case COMMAND.noteMember:
      return {
        kind: "noteMember",
        node: reader.that(isNodeId, "a node"),
        place: readPlace(reader),
        supports: reader.count(),
      };
    case COMMAND.raiseVersion:
      return { kind: "raiseVersion", to: reader.count(), members: readNodes(reader) };
    case COMMAND.enrolSite:
      return { kind: "enrolSite", site: readEnrolment(reader) };
    case COMMAND.decideSite:
      return {
        kind: "decideSite",
        cluster: reader.that(isClusterId, "a cluster"),
        decision: reader.that(isSiteDecision, "a decision"),
      };
    case COMMAND.stamp:
      return { kind: "stamp" };
    case COMMAND.compareStates:
      return { kind: "compareStates", voters: readNodes(reader) };
    case COMMAND.reportState:
      return {
        kind: "reportState",
        round: index(reader.count()),
        node: reader.that(isNodeId, "a node"),
        finding: readFinding(reader),
      };
    default:
      throw new OpenClawError("MALFORMED_FRAME", `a command of unknown kind ${kind}`);
  }
}

const readHolds = (reader: TupleReader): Revision | null => reader.orNull((field) => revision(field.count()));

/** @throws OpenClawError MALFORMED_FRAME */
function readKeyEvent(value: Encodable): KeyEvent {
  const event = readEvent(value);
  if (!isKeyEvent(event)) throw new OpenClawError("MALFORMED_FRAME", "no change of a mirror's keys");
  return event;
}

const SIDES = ["child", "parent"] as const;

function readSide(reader: TupleReader): (typeof SIDES)[number] {
  const side = SIDES[reader.count()];
  if (side === undefined) throw new OpenClawError("MALFORMED_FRAME", "a link to nobody");
  return side;
}

const importedCommandTuple = (command: ImportedCommand): Encodable =>
  command.kind === "refused" ? [COMMAND.refused, command.code, command.details] : userCommandTuple(command);

/** @throws OpenClawError MALFORMED_FRAME */
function readImportedCommand(value: Encodable): ImportedCommand {
  const reader = new TupleReader(value, "imported command");
  if (reader.count() !== COMMAND.refused) return readUserCommand(value);
  const command: ImportedCommand = { kind: "refused", code: readErrorCode(reader), details: reader.text() };
  reader.end();
  return command;
}
