/** Commands on this cluster's keys: a put, a delete of one key or many, a transaction; each atomic, at one revision. */
import { type ErrorCode, OpenClawError, unreachable } from "../errors.ts";
import type { Home } from "../ledger/record.ts";
import { TXN_RESPONSE_BYTES_MAX } from "../limits.ts";
import type { KeyCommand, Outcome } from "./command.ts";
import { responseBytesMax } from "./command-size.ts";
import { keyRefusal, valueRefusal } from "./key-check.ts";
import { KeyWrites } from "./key-writes.ts";
import type { Author, LedgerWriter } from "./ledger-writer.ts";
import type { Refusal } from "./outcome.ts";
import { accepted, refused } from "./outcome.ts";
import type { Transaction } from "./transaction.ts";
import { runTxn } from "./txn.ts";
import { selectorRefusal, txnRefusal } from "./txn-check.ts";

/**
 * Runs what `keyCommandRefusal` lets pass, on keys of one home. Null: it did not run, because its response finds no room.
 * Alone it would; so it may be asked for again later.
 * @param room bytes of responses that can still be remembered for whoever asks (Q1)
 */
export function runKeyCommand(
  tx: Transaction,
  ledger: LedgerWriter,
  author: Author,
  command: KeyCommand,
  room: number,
  home: Home,
): Outcome | null {
  const keys = new KeyWrites(tx, ledger);
  switch (command.kind) {
    case "put":
      // Nothing can stop it half-way, and most commands are puts: it needs no step that can be taken back.
      keys.put(command.key, command.value, null);
      return accepted(keys.commit(author, home));
    case "deleteRange":
      if (room < responseBytesMax(command)) return null;
      return step(tx, () => {
        const response = { kind: "deleteRange", deleted: keys.delete(command.keys).length, previous: [] } as const;
        return { ok: true, revision: keys.commit(author, home), response };
      });
    case "txn": {
      const outcome = step(tx, () => {
        const response = runTxn(keys, command, Math.min(room, TXN_RESPONSE_BYTES_MAX));
        return { ok: true, revision: keys.commit(author, home), response };
      });
      const isLarge = !outcome.ok && outcome.code === "RESPONSE_TOO_LARGE";
      return isLarge && room < TXN_RESPONSE_BYTES_MAX ? null : outcome;
    }
    default:
      return unreachable(command);
  }
}

/** Why this command cannot run whatever the state is, or null. */
export function keyCommandRefusal(command: KeyCommand): Refusal | null {
  switch (command.kind) {
    case "put":
      return keyRefusal(command.key) ?? valueRefusal(command.value);
    case "deleteRange":
      return selectorRefusal(command.keys);
    case "txn":
      return txnRefusal(command);
    default:
      return unreachable(command);
  }
}

function step(tx: Transaction, run: () => Outcome): Outcome {
  try {
    return tx.atomically(run);
  } catch (error) {
    // Any other error is not of the command: a row that does not pass its check must stop the node, not part it from the rest.
    if (error instanceof OpenClawError && REFUSALS.has(error.code)) return refused(error.code, error.details);
    throw error;
  }
}

/** What a step may be refused for, by what the state holds. */
const REFUSALS: ReadonlySet<ErrorCode> = new Set([
  "NOT_FOUND",
  "LEASE_NOT_FOUND",
  "LEASE_FULL",
  "TXN_TOO_LARGE",
  "RESPONSE_TOO_LARGE",
] as const);
