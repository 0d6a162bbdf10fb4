/** What a child may do, question by question and command by command: asked each time, not only at the door (pitfall 50). */
import { type ErrorCode, unreachable } from "../errors.ts";
import type { LedgerEvent } from "../ledger/record.ts";
import { CHANGE_BYTES_MAX } from "../limits.ts";
import type { UserCommand } from "../state-machine/command.ts";
import { keyCommandRefusal } from "../state-machine/key-values.ts";
import { leaseCommandRefusal } from "../state-machine/leases.ts";
import type { Principal } from "./authority.ts";
import { lackedRight, mayRead, mayUseLeases } from "./key-rights.ts";
import type { ChildQuery } from "./message.ts";

/** Bytes of all changes of one command: its record must fit a frame on every later link. */
const COMMAND_CHANGE_BYTES_MAX = 2 * CHANGE_BYTES_MAX;

export interface Refusal {
  readonly code: ErrorCode;
  readonly details: string;
}

/** Why this command may not run, or null if it may. */
export function commandRefusal(command: UserCommand, principal: Principal): Refusal | null {
  switch (command.kind) {
    case "put":
    case "deleteRange":
    case "txn": {
      const wrong = keyCommandRefusal(command);
      if (wrong !== null) return wrong;
      const lacked = lackedRight(command, principal);
      return lacked === null ? null : { code: "FORBIDDEN", details: lacked };
    }
    case "leaseGrant":
    case "leaseKeepAlive":
    case "leaseRevoke": {
      if (!mayUseLeases(principal)) return { code: "FORBIDDEN", details: "leases, without writing every key" };
      return leaseCommandRefusal(command);
    }
    case "compact":
    case "setHome":
      return { code: "FORBIDDEN", details: `${command.kind} is for the cluster's operator` };
    case "addressed":
      return commandRefusal(command.command, principal);
    case "change": {
      if (!principal.mayWriteDocument(command.collection, command.document)) {
        return { code: "FORBIDDEN", details: `writing ${command.collection}/${command.document}` };
      }
      const bytes = command.changes.reduce((sum, change) => sum + change.bytes.length, 0);
      if (bytes > COMMAND_CHANGE_BYTES_MAX)
        return { code: "CHANGE_TOO_LARGE", details: `${bytes} bytes in one command` };
      if (command.changes.length === 0) return { code: "BAD_REQUEST", details: "a command without a change" };
      return null;
    }
    default:
      return unreachable(command);
  }
}

export function mayAsk(query: ChildQuery, principal: Principal): boolean {
  switch (query.kind) {
    case "get":
      return principal.mayReadKey(query.key);
    case "range":
      return mayRead(query.keys, principal);
    case "document":
    case "changes":
      return principal.mayReadDocument(query.collection, query.document);
    case "documents":
      return principal.mayReadCollection(query.collection);
    case "lease":
      // Its keys may be anybody's (K6).
      return mayUseLeases(principal) && principal.mayReadPrefix(new Uint8Array(0));
    case "command": // its own only, which the answer tells
    case "position":
      return true;
    default:
      return unreachable(query);
  }
}

export function mayReadEvent(event: LedgerEvent, principal: Principal): boolean {
  switch (event.kind) {
    case "put":
    case "delete":
      return principal.mayReadKey(event.key);
    case "change":
      return principal.mayReadDocument(event.collection, event.document);
    case "home":
      return principal.mayReadPrefix(event.prefix);
    case "command":
    case "result":
      // They may hold anybody's values.
      return principal.mayReadPrefix(new Uint8Array(0));
    default:
      return unreachable(event);
  }
}
