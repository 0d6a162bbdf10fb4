/** Commands of people and apps as tuples: in an entry, in a frame of sync, and in an event that waits for its home. */
import type { Encodable } from "../codec.ts";
import { TupleReader } from "../codec.ts";
import { OpenClawError, unreachable } from "../errors.ts";
import { isClusterId, isLeaseId, revision } from "../ids.ts";
import { HOMES } from "../ledger/record.ts";
import { documentChangeTuple, readClusters, readDocumentChange, readHome } from "../ledger/record-codec.ts";
import type { KeyCommand, UserCommand } from "./command.ts";
import { readSelector, readTxn, selectorTuple, txnFields } from "./operation-codec.ts";

/** Numbers of user commands, which share one space with the others' (command-codec.ts). */
export const USER_COMMAND = {
  put: 0,
  deleteRange: 1,
  txn: 2,
  change: 3,
  leaseGrant: 5,
  leaseKeepAlive: 6,
  leaseRevoke: 7,
  compact: 8,
  setHome: 9,
  addressed: 10,
} as const satisfies Record<UserCommand["kind"], number>;

export function userCommandTuple(command: UserCommand): Encodable {
  switch (command.kind) {
    case "put":
      return [USER_COMMAND.put, command.key, command.value];
    case "deleteRange":
      return [USER_COMMAND.deleteRange, selectorTuple(command.keys)];
    case "txn":
      return [USER_COMMAND.txn, ...txnFields(command)];
    case "leaseGrant":
      return [USER_COMMAND.leaseGrant, command.lease, command.ttlMs];
    case "leaseKeepAlive":
      return [USER_COMMAND.leaseKeepAlive, command.lease];
    case "leaseRevoke":
      return [USER_COMMAND.leaseRevoke, command.lease];
    case "compact":
      return [USER_COMMAND.compact, command.revision];
    case "setHome":
      return [USER_COMMAND.setHome, command.prefix, HOMES.indexOf(command.home), command.without];
    case "addressed":
      return [USER_COMMAND.addressed, command.to, userCommandTuple(command.command)];
    case "change":
      return [USER_COMMAND.change, command.collection, command.document, command.changes.map(documentChangeTuple)];
    default:
      return unreachable(command);
  }
}

/** @throws OpenClawError MALFORMED_FRAME */
export function readUserCommand(value: Encodable): UserCommand {
  const reader = new TupleReader(value, "user command");
  const kind = reader.count();
  const command = readUserBody(kind, reader);
  if (command === undefined) throw new OpenClawError("MALFORMED_FRAME", `a user command of unknown kind ${kind}`);
  reader.end();
  return command;
}

/** Reads the fields of one whose number was read; undefined where that is no user command's. */
export function readUserBody(kind: number, reader: TupleReader): UserCommand | undefined {
  switch (kind) {
    case USER_COMMAND.put:
      return { kind: "put", key: reader.bytes(), value: reader.bytes() };
    case USER_COMMAND.deleteRange:
      return { kind: "deleteRange", keys: readSelector(reader.any()) };
    case USER_COMMAND.txn:
      return readTxn(reader);
    case USER_COMMAND.leaseGrant:
      return { kind: "leaseGrant", lease: reader.that(isLeaseId, "a lease"), ttlMs: reader.count() };
    case USER_COMMAND.leaseKeepAlive:
      return { kind: "leaseKeepAlive", lease: reader.that(isLeaseId, "a lease") };
    case USER_COMMAND.leaseRevoke:
      return { kind: "leaseRevoke", lease: reader.that(isLeaseId, "a lease") };
    case USER_COMMAND.compact:
      return { kind: "compact", revision: revision(reader.count()) };
    case USER_COMMAND.setHome:
      return { kind: "setHome", prefix: reader.bytes(), home: readHome(reader), without: readClusters(reader) };
    case USER_COMMAND.addressed:
      return { kind: "addressed", to: reader.that(isClusterId, "a cluster"), command: readKeyCommand(reader.any()) };
    case USER_COMMAND.change: {
      const collection = reader.text();
      const document = reader.text();
      const changes = reader.list().map(readDocumentChange);
      return { kind: "change", collection, document, changes };
    }
    default:
      return undefined;
  }
}

/** @throws OpenClawError MALFORMED_FRAME */
export function readKeyCommand(value: Encodable): KeyCommand {
  const command = readUserCommand(value);
  switch (command.kind) {
    case "put":
    case "deleteRange":
    case "txn":
      return command;
    default:
      throw new OpenClawError("MALFORMED_FRAME", `a ${command.kind} where a command on keys belongs`);
  }
}
