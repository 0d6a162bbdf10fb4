/** Clients' links: queued commands, in order, exactly once by their cursor (rules Q2, L4). */
import { decode, encode, TupleReader } from "../codec.ts";
import type { Index, Seq } from "../ids.ts";
import { seq } from "../ids.ts";
import { RESULTS_MAX } from "../limits.ts";
import { addUse, moveUse, useAt } from "./client-uses.ts";
import type { CommandResult, ImportedCommand, Outcome, SystemCommand } from "./command.ts";
import { clientLinkKey } from "./keyspace.ts";
import { NO_ROOM, Remembered, readRemembered, rememberedTuple } from "./remembered.ts";
import type { RowCodec, Transaction } from "./transaction.ts";

export type ImportCommands = Extract<SystemCommand, { kind: "importCommands" }>;

export interface ClientLinkRow {
  use: number;
  cursor: Seq;
  lowWater: Seq;
  readonly outcomes: Remembered;
}

export const clientLinkRow: RowCodec<ClientLinkRow> = {
  encode: (row) => encode([row.use, row.cursor, row.lowWater, ...rememberedTuple(row.outcomes)]),
  decode(bytes) {
    const reader = new TupleReader(decode(bytes), "client link row");
    return {
      use: reader.count(),
      cursor: seq(reader.count()),
      lowWater: seq(reader.count()),
      outcomes: readRemembered(reader),
    };
  },
};

/**
 * Runs the commands above the cursor and answers those at or below it as before. A link that nobody knows begins at 1:
 * one that goes on higher was known once and is forgotten, and running it again from 1 might double what it did.
 * One whose response finds no room keeps its place: it, and what follows it, runs when it is pushed again (S2).
 * @param run given the bytes of responses that there is room for; null when that is too little
 */
export function importCommands(
  tx: Transaction,
  command: ImportCommands,
  index: Index,
  run: (command: ImportedCommand, room: number) => Outcome | null,
): CommandResult {
  const key = clientLinkKey(command.link);
  const known = tx.read(key, clientLinkRow);
  const { from, commands } = command;
  const refuse = (code: "BAD_REQUEST" | "SESSION_EXPIRED" | "GAP" | "OVERLOADED", details: string): CommandResult => ({
    kind: "importRefused",
    code,
    cursor: known?.cursor ?? 0,
    details,
  });
  if (from < 1 || commands.length > RESULTS_MAX) return refuse("BAD_REQUEST", `1 to ${RESULTS_MAX} commands from 1 on`);
  if (known === undefined && from > 1) return refuse("SESSION_EXPIRED", "unknown link");
  if (known !== undefined && from > known.cursor + 1) return refuse("GAP", `${from} does not follow ${known.cursor}`);

  const use = useAt(index);
  const row = known ?? { use, cursor: seq(0), lowWater: seq(1), outcomes: new Remembered() };
  if (known === undefined) addUse(tx, key, use);
  else moveUse(tx, key, row.use, use);
  row.use = use;
  // Nothing above the cursor has reached anybody.
  const lowWater = seq(Math.min(command.lowWater, row.cursor + 1));
  if (lowWater > row.lowWater) {
    row.lowWater = lowWater;
    row.outcomes.forgetBelow(lowWater);
  }
  tx.write(key, clientLinkRow, row);
  const last = from + commands.length - 1;
  if (row.outcomes.size + Math.max(0, last - row.cursor) > RESULTS_MAX) {
    return refuse("OVERLOADED", `${RESULTS_MAX} results are not acknowledged`);
  }
  const outcomes: (Outcome | null)[] = [];
  for (const [i, queued] of commands.entries()) {
    const at = seq(from + i);
    if (at <= row.cursor) {
      outcomes.push(row.outcomes.get(at) ?? null);
      continue;
    }
    const outcome = run(queued, row.outcomes.room);
    if (outcome === null) return { kind: "importRefused", code: "OVERLOADED", cursor: row.cursor, details: NO_ROOM };
    row.outcomes.set(at, outcome);
    row.cursor = at;
    outcomes.push(outcome);
  }
  return { kind: "imported", cursor: row.cursor, outcomes };
}
