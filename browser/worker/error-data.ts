/** An error on its way between threads and tabs: only its code and details cross, as on any wire. */
import { InvariantViolation, isErrorCode, OpenClawError } from "@openclaw/core/errors.ts";

export interface ErrorData {
  readonly code: string;
  readonly details: string;
}

/** What was thrown. A broken invariant does not cross: it ends the thread that it is of. @throws InvariantViolation */
export function errorData(error: unknown): ErrorData {
  if (error instanceof InvariantViolation) throw error;
  if (error instanceof OpenClawError) return { code: error.code, details: error.details };
  return { code: "INTERNAL", details: error instanceof Error ? `${error.name}: ${error.message}` : String(error) };
}

/** Another tab may run another version of the app, with codes that this one does not know. */
export const errorOf = ({ code, details }: ErrorData): OpenClawError =>
  isErrorCode(code) ? new OpenClawError(code, details) : new OpenClawError("INTERNAL", `${code}: ${details}`);

export const isErrorData = (value: unknown): value is ErrorData =>
  typeof value === "object" &&
  value !== null &&
  "code" in value &&
  typeof value.code === "string" &&
  "details" in value &&
  typeof value.details === "string";
