/**
 * Which commands make the state larger. While a disk budget is used up these are refused before they are proposed (S5);
 * what makes room, and the cluster's own upkeep, goes on. Apply never asks this: members' disks differ (R9).
 */
import type { IdempotentCommand, ImportedCommand, SystemCommand, UserCommand } from "./command.ts";
import type { Operation } from "./operation.ts";

export function needsRoom(command: UserCommand | IdempotentCommand | SystemCommand | ImportedCommand): boolean {
  switch (command.kind) {
    case "put":
    case "leaseGrant":
    case "change":
    case "importLedger":
    case "importSnapshot":
      return true;
    case "txn":
      return [...command.success, ...command.failure].some(puts);
    case "idempotent":
    case "addressed":
      return needsRoom(command.command);
    case "importCommands":
      return command.commands.some(needsRoom);
    case "deleteRange":
    case "leaseKeepAlive":
    case "leaseRevoke":
    case "compact":
    case "setHome":
    case "refused":
    case "subscribe":
    case "shed":
    case "openSession":
    case "parentHolds":
    case "parentLacks":
    case "succeedEpoch":
    case "settleEpoch":
    case "noteContender":
    case "uplinkUsed":
    case "allowUplink":
    case "noteMember":
    case "raiseVersion":
    case "compareStates":
    case "reportState":
    case "enrolSite":
    case "decideSite":
    case "stamp":
      return false;
  }
}

function puts(operation: Operation): boolean {
  switch (operation.kind) {
    case "put":
      return true;
    case "txn":
      return [...operation.success, ...operation.failure].some(puts);
    case "deleteRange":
    case "range":
      return false;
  }
}
