/**
 * Which meaning commands have (R9): a replicated number, so that all members change to another one at the same entry. It
 * goes up by one at a time, when every member has said that it supports the next.
 */
import { OpenClawError } from "../errors.ts";
import type { NodeId } from "../ids.ts";
import type { LedgerWriter } from "./ledger-writer.ts";
import { memberSupports, membersSupport } from "./members.ts";
import type { Transaction } from "./transaction.ts";

/** @throws OpenClawError NODE_TOO_OLD: this node must stop before it takes a command for something else */
export function requireSupported(version: number, newest: number): void {
  if (version > newest)
    throw new OpenClawError("NODE_TOO_OLD", `the cluster is at apply version ${version}, this node supports ${newest}`);
}

/**
 * Entries after this one have the meaning `to`. Nothing happens if that is not the next version (the proposal was
 * repeated), or not supported by `members`, those of the configuration that the leader saw, and by all that are now.
 */
export function raiseVersion(tx: Transaction, ledger: LedgerWriter, to: number, members: readonly NodeId[]): void {
  if (to !== ledger.position.applyVersion + 1) return;
  if (members.every((node) => memberSupports(tx, node, to)) && membersSupport(tx, to)) ledger.raise(to);
}
