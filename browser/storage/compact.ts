/** Bytes as they are stored: by themselves. */
import type { OutboxRow } from "@openclaw/core/client/store.ts";
import type { DocumentChange } from "@openclaw/core/ledger/record.ts";
import type { UserCommand } from "@openclaw/core/state-machine/command.ts";
import { mapCommand } from "@openclaw/core/state-machine/operation-bytes.ts";

/** A view into a received frame would be stored with the whole frame: structured clone copies the buffer, not the view. */
export const compact = (bytes: Uint8Array): Uint8Array =>
  bytes.byteLength === bytes.buffer.byteLength ? bytes : bytes.slice();
export const compactChange = (change: DocumentChange): DocumentChange => ({ ...change, bytes: compact(change.bytes) });
export const compactRow = (row: OutboxRow): OutboxRow => ({ ...row, command: compactCommand(row.command) });

function compactCommand(command: UserCommand): UserCommand {
  switch (command.kind) {
    case "put":
    case "deleteRange":
    case "txn":
      return mapCommand(command, compact);
    case "leaseGrant":
    case "leaseKeepAlive":
    case "leaseRevoke":
    case "compact":
    case "setHome":
      return command;
    case "addressed":
      return { ...command, command: mapCommand(command.command, compact) };
    case "change":
      return { ...command, changes: command.changes.map(compactChange) };
  }
}
