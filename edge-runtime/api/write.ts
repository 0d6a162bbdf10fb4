/** The way of every user command that comes by HTTP: within this gateway's session, bounded in time, measured. */
import { type ErrorCode, OpenClawError } from "@openclaw/core/errors.ts";
import type { Revision } from "@openclaw/core/ids.ts";
import type { UserCommand } from "@openclaw/core/state-machine/command.ts";
import { expected, REQUEST_TIMEOUT_MS } from "./answers.ts";
import type { ApiDeps, ApiPrincipal } from "./deps.ts";

/** The revision it took. @throws OpenClawError what the command was refused with, or UNAVAILABLE, OVERLOADED, STOPPED */
export async function perform(deps: ApiDeps, command: UserCommand, principal: ApiPrincipal): Promise<Revision> {
  const started = performance.now();
  let result: ErrorCode | "ok" = "ok";
  try {
    const outcome = await deps.replica.execute(command, { principal: principal.name, timeoutMs: REQUEST_TIMEOUT_MS });
    if (!outcome.ok) throw new OpenClawError(outcome.code, outcome.details);
    return outcome.revision;
  } catch (error) {
    result = expected(error).code;
    throw error;
  } finally {
    deps.metrics.proposed(command.kind, result, (performance.now() - started) / 1_000);
  }
}
