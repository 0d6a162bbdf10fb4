/** The two kinds of failure: what callers can expect, with a code of error-codes.ts, and a bug in us. */

import { textOf } from "#error-texts";
import { ERRORS, type ErrorCode } from "./error-codes.ts";

export { type ErrorCode, isErrorCode } from "./error-codes.ts";

/** An expected failure. Only `code` and `details` cross a wire; the receiver looks the rest up in its own table. */
export class OpenClawError extends Error {
  readonly code: ErrorCode;
  readonly retryable: boolean;
  readonly status: number;
  /** What was being done or found, in words; never a secret. */
  readonly details: string;

  constructor(code: ErrorCode, details = "", options?: { cause?: unknown }) {
    const text = textOf(code);
    super(details === "" ? text : `${text} (${details})`, options);
    this.name = "OpenClawError";
    this.code = code;
    this.retryable = ERRORS[code].retryable;
    this.status = ERRORS[code].status;
    this.details = details;
  }
}

/** What was thrown, as an error of ours: INTERNAL unless it is one already. */
export const asOpenClawError = (error: unknown): OpenClawError =>
  error instanceof OpenClawError ? error : new OpenClawError("INTERNAL", String(error), { cause: error });

/** A bug in us. Whoever runs the node stops it; nothing catches this and goes on. */
export class InvariantViolation extends Error {
  constructor(message: string) {
    super(message);
    this.name = "InvariantViolation";
  }
}

/** States an invariant. @throws InvariantViolation */
export function invariant(condition: boolean, message: string): asserts condition {
  if (!condition) throw new InvariantViolation(message);
}

/** Makes a `switch` over a union exhaustive at compile time. */
export function unreachable(value: never): never {
  throw new InvariantViolation(`unreachable: ${String(value)}`);
}
