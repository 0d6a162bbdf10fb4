/** The way of every user command that comes by HTTP: within this gateway's session, bounded in time, measured. */
import { equalBytes } from "@openclaw/core/bytes.ts";
import { type ErrorCode, OpenClawError } from "@openclaw/core/errors.ts";
import type { IdempotencyKey, Outcome, UserCommand } from "@openclaw/core/state-machine/command.ts";
import { commandRefusal, type Refusal } from "@openclaw/core/sync/admission.ts";
import type { FastifyReply, FastifyRequest } from "fastify";
import { requireAdmin } from "./admin.ts";
import { expected, REQUEST_TIMEOUT_MS } from "./answers.ts";
import type { ApiDeps } from "./deps.ts";
import { idempotencyOf, rememberedHeader } from "./idempotency.ts";

type Done = Extract<Outcome, { ok: true }>;

/** A request, and where it is answered. */
export interface Exchange {
  readonly request: FastifyRequest;
  readonly reply: FastifyReply;
}

/**
 * What a command did that the request alone decides, if its principal may do it.
 * @throws OpenClawError what the command was refused with, FORBIDDEN, UNAVAILABLE, OVERLOADED, STOPPED, BAD_REQUEST,
 * IDEMPOTENCY_KEY_REUSED
 */
export async function perform(deps: ApiDeps, command: UserCommand, exchange: Exchange): Promise<Done> {
  const idempotency = idempotencyOf(exchange.request, { command });
  return (await performAs(deps, command, idempotency, exchange, refusalOf(command, exchange))).outcome;
}

/** The same for what only an operator may. @throws OpenClawError as `perform` */
export async function performByOperator(
  deps: ApiDeps,
  command: Extract<UserCommand, { kind: "compact" | "setHome" }>,
  exchange: Exchange,
): Promise<Done> {
  requireAdmin(exchange.request);
  return (await performAs(deps, command, idempotencyOf(exchange.request, { command }), exchange, null)).outcome;
}

/**
 * The same for a command that holds something which was drawn for this request. `note`: of the request that ran, which is
 * this one, or the first under its `Idempotency-Key`.
 */
export async function performDrawn(
  deps: ApiDeps,
  command: UserCommand,
  note: string,
  exchange: Exchange,
): Promise<{ readonly outcome: Done; readonly note: string }> {
  const idempotency = idempotencyOf(exchange.request, { body: exchange.request.body }, note);
  const done = await performAs(deps, command, idempotency, exchange, refusalOf(command, exchange));
  return { outcome: done.outcome, note: done.note ?? note };
}

/**
 * What the first request under this one's `Idempotency-Key` did; null when there was none. For a route that has to make
 * something of the present state before it knows its command: a repeat would make another one, or find nothing to do.
 * @throws OpenClawError as `perform`
 */
export async function firstOutcome(
  deps: ApiDeps,
  request: FastifyRequest,
  reply: FastifyReply,
): Promise<{ readonly outcome: Done; readonly note: string } | null> {
  const idempotency = idempotencyOf(request, { body: request.body });
  if (idempotency === null) return null;
  await deps.replica.barrier(REQUEST_TIMEOUT_MS);
  const { key } = idempotency;
  const { first } = await deps.replica.read({ kind: "idempotency", principal: request.principal.name, key });
  if (first === null) return null;
  if (!equalBytes(first.request, idempotency.request)) throw new OpenClawError("IDEMPOTENCY_KEY_REUSED");
  deps.metrics.idempotent("repeated");
  rememberedHeader(deps, first.until, reply);
  return { outcome: done(first.outcome), note: first.note };
}

async function performAs(
  deps: ApiDeps,
  command: UserCommand,
  idempotency: IdempotencyKey | null,
  { request, reply }: Exchange,
  refusal: Refusal | null,
): Promise<{ readonly outcome: Done; readonly note: string | null }> {
  const started = performance.now();
  let result: ErrorCode | "ok" = "ok";
  try {
    if (refusal !== null) throw new OpenClawError(refusal.code, refusal.details);
    const options = { principal: request.principal.name, timeoutMs: REQUEST_TIMEOUT_MS };
    if (idempotency === null) return { outcome: done(await deps.replica.execute(command, options)), note: null };
    const { outcome, until, note, repeated } = await deps.replica.executeIdempotent(
      { kind: "idempotent", idempotency, command },
      options,
    );
    if (until !== null) deps.metrics.idempotent(repeated ? "repeated" : "ran");
    rememberedHeader(deps, until, reply);
    return { outcome: done(outcome), note };
  } catch (error) {
    result = expected(error).code;
    throw error;
  } finally {
    deps.metrics.proposed(command.kind, result, (performance.now() - started) / 1_000);
  }
}

const refusalOf = (command: UserCommand, { request }: Exchange): Refusal | null =>
  commandRefusal(command, request.principal);

/** @throws OpenClawError what it was refused with */
function done(outcome: Outcome): Done {
  if (!outcome.ok) throw new OpenClawError(outcome.code, outcome.details);
  return outcome;
}
