/** Outcomes of commands as tuples. */
import type { Encodable } from "../codec.ts";
import { TupleReader } from "../codec.ts";
import type { ErrorCode } from "../errors.ts";
import { isErrorCode } from "../errors.ts";
import { revision } from "../ids.ts";
import type { CommandResponse, Outcome } from "./command.ts";
import { readResponse, responseTuple } from "./operation-codec.ts";

/** In the place of a response, which is a tuple. */
const QUEUED = 0;

export const outcomeTuple = (outcome: Outcome): Encodable =>
  outcome.ok
    ? [true, outcome.revision, outcome.response === null ? null : commandResponseTuple(outcome.response)]
    : [false, outcome.code, outcome.details];

const commandResponseTuple = (response: CommandResponse): Encodable =>
  response.kind === "queued" ? QUEUED : responseTuple(response);

const readCommandResponse = (value: Encodable): CommandResponse =>
  value === QUEUED ? { kind: "queued" } : readResponse(value);

/** @throws OpenClawError MALFORMED_FRAME */
export function readOutcome(value: Encodable): Outcome {
  const reader = new TupleReader(value, "outcome");
  const outcome: Outcome = reader.flag()
    ? {
        ok: true,
        revision: revision(reader.count()),
        response: reader.orNull((field) => readCommandResponse(field.any())),
      }
    : { ok: false, code: readErrorCode(reader), details: reader.text() };
  reader.end();
  return outcome;
}

/** @throws OpenClawError MALFORMED_FRAME */
export const readErrorCode = (reader: TupleReader): ErrorCode => reader.that(isErrorCode, "an error code");
