/** A command that does nothing, wherever it runs: it stands for one that was dropped from a stream. */
import type { UserCommand } from "../state-machine/command.ts";

export const NOTHING: UserCommand = { kind: "txn", compares: [], success: [], failure: [] };

export const isNothing = (command: UserCommand): boolean =>
  command.kind === "txn" && command.compares.length + command.success.length + command.failure.length === 0;
