/** Results of commands as tuples. */
import type { Encodable } from "../codec.ts";
import { TupleReader } from "../codec.ts";
import { OpenClawError, unreachable } from "../errors.ts";
import { revision } from "../ids.ts";
import type { CommandResult } from "./command.ts";
import { comparisonTuple, readComparisonTuple } from "./comparison.ts";
import type { Refused } from "./member.ts";
import { outcomeTuple, readErrorCode, readOutcome } from "./outcome-codec.ts";

const RESULT = {
  outcome: 0,
  sessionOpened: 1,
  imported: 2,
  importRefused: 3,
  noted: 4,
  memberNoted: 5,
  stamped: 6,
  idempotent: 7,
  compared: 8,
  snapshotTaken: 9,
  siteNoted: 12,
  unfinished: 13,
} as const satisfies Record<CommandResult["kind"], number>;

export function resultTuple(result: CommandResult): Encodable {
  switch (result.kind) {
    case "outcome":
      return [RESULT.outcome, outcomeTuple(result.outcome)];
    case "idempotent":
      return [RESULT.idempotent, outcomeTuple(result.outcome), result.until, result.note, result.repeated];
    case "sessionOpened":
      return [RESULT.sessionOpened];
    case "imported":
      return [RESULT.imported, result.cursor, result.outcomes.map((one) => (one === null ? null : outcomeTuple(one)))];
    case "unfinished":
      return [RESULT.unfinished, result.cursor];
    case "importRefused":
      return [RESULT.importRefused, result.code, result.cursor, result.details];
    case "snapshotTaken":
      return [RESULT.snapshotTaken, result.cursor, result.more];
    case "noted":
      return [RESULT.noted];
    case "memberNoted":
      return [RESULT.memberNoted, refusedTuple(result.refused)];
    case "siteNoted":
      return [RESULT.siteNoted, refusedTuple(result.refused)];
    case "stamped":
      return [RESULT.stamped, result.logTime];
    case "compared":
      return [RESULT.compared, comparisonTuple(result.comparison), result.begun];
    default:
      return unreachable(result);
  }
}

/** @throws OpenClawError MALFORMED_FRAME */
export function readResult(value: Encodable): CommandResult {
  const reader = new TupleReader(value, "result");
  const result = readResultOfKind(reader);
  reader.end();
  return result;
}

function readResultOfKind(reader: TupleReader): CommandResult {
  const kind = reader.count();
  switch (kind) {
    case RESULT.outcome:
      return { kind: "outcome", outcome: readOutcome(reader.any()) };
    case RESULT.idempotent: {
      const outcome = readOutcome(reader.any());
      const until = reader.orNull((field) => field.count());
      return { kind: "idempotent", outcome, until, note: reader.text(), repeated: reader.flag() };
    }
    case RESULT.sessionOpened:
      return { kind: "sessionOpened" };
    case RESULT.imported: {
      const cursor = reader.count();
      const outcomes = reader.list().map((one) => (one === null ? null : readOutcome(one)));
      return { kind: "imported", cursor, outcomes };
    }
    case RESULT.unfinished:
      return { kind: "unfinished", cursor: reader.count() };
    case RESULT.importRefused: {
      const code = readErrorCode(reader);
      return { kind: "importRefused", code, cursor: reader.count(), details: reader.text() };
    }
    case RESULT.snapshotTaken:
      return { kind: "snapshotTaken", cursor: revision(reader.count()), more: reader.flag() };
    case RESULT.noted:
      return { kind: "noted" };
    case RESULT.memberNoted:
      return { kind: "memberNoted", refused: reader.orNull((field) => readRefused(field.any())) };
    case RESULT.siteNoted:
      return { kind: "siteNoted", refused: reader.orNull((field) => readRefused(field.any())) };
    case RESULT.stamped:
      return { kind: "stamped", logTime: reader.count() };
    case RESULT.compared:
      return { kind: "compared", comparison: readComparisonTuple(reader.any()), begun: reader.flag() };
    default:
      throw new OpenClawError("MALFORMED_FRAME", `a result of unknown kind ${kind}`);
  }
}

const refusedTuple = (refused: Refused | null): Encodable =>
  refused === null ? null : [refused.code, refused.details];

function readRefused(value: Encodable): Refused {
  const reader = new TupleReader(value, "refusal");
  const refused = { code: readErrorCode(reader), details: reader.text() };
  reader.end();
  return refused;
}
