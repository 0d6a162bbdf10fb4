import { OpenClawError } from "@openclaw/core/errors.ts";

/** The code a promise is rejected with, or "ok". */
export const codeOf = (promise: Promise<unknown>): Promise<string> =>
  promise.then(
    () => "ok",
    (error: unknown) => (error instanceof OpenClawError ? error.code : String(error)),
  );
