/** The way of every user command that comes by HTTP: within this gateway's session, bounded in time, measured. */
import { type ErrorCode, OpenClawError } from "@openclaw/core/errors.ts";
import type { Outcome, UserCommand } from "@openclaw/core/state-machine/command.ts";
import { commandRefusal } from "@openclaw/core/sync/admission.ts";
import { expected, REQUEST_TIMEOUT_MS } from "./answers.ts";
import type { ApiDeps, ApiPrincipal } from "./deps.ts";

/**
 * What it did, if this principal may do it.
 * @throws OpenClawError what the command was refused with, FORBIDDEN, UNAVAILABLE, OVERLOADED, STOPPED
 */
export async function perform(
  deps: ApiDeps,
  command: UserCommand,
  principal: ApiPrincipal,
): Promise<Extract<Outcome, { ok: true }>> {
  const started = performance.now();
  let result: ErrorCode | "ok" = "ok";
  try {
    const refusal = commandRefusal(command, principal);
    if (refusal !== null) throw new OpenClawError(refusal.code, refusal.details);
    const options = { principal: principal.name, timeoutMs: REQUEST_TIMEOUT_MS };
    const outcome = await deps.replica.execute(command, options);
    if (!outcome.ok) throw new OpenClawError(outcome.code, outcome.details);
    return outcome;
  } catch (error) {
    result = expected(error).code;
    throw error;
  } finally {
    deps.metrics.proposed(command.kind, result, (performance.now() - started) / 1_000);
  }
}
