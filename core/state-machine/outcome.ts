/** The outcomes of a user command that has nothing to tell but its revision, or why it was refused. */
import type { ErrorCode } from "../errors.ts";
import type { Revision } from "../ids.ts";
import type { Outcome } from "./command.ts";

export type Refusal = Extract<Outcome, { ok: false }>;

export const accepted = (revision: Revision): Outcome => ({ ok: true, revision, response: null });
export const refused = (code: ErrorCode, details = ""): Refusal => ({ ok: false, code, details });
