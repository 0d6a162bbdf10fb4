/** Every failure leaves as {code, message, retryable}, whatever threw it; and no request waits for ever. */
import { ERRORS } from "@openclaw/core/error-codes.ts";
import { textOf } from "@openclaw/core/error-texts.ts";
import { type ErrorCode, InvariantViolation, OpenClawError } from "@openclaw/core/errors.ts";
import type { FastifyInstance } from "fastify";

/** Ms a write or a barrier may take before UNAVAILABLE: longer than an election, shorter than a client's patience. */
export const REQUEST_TIMEOUT_MS = 10_000;
/** Ms until any request that is no stream is answered, whatever it waits for. */
const ANSWER_MS_MAX = 15_000;

export interface ErrorBody {
  readonly code: ErrorCode;
  readonly message: string;
  readonly retryable: boolean;
}

export const errorBody = ({ code, message, retryable }: OpenClawError): ErrorBody => ({ code, message, retryable });

export const errorSchema = {
  type: "object",
  required: ["code", "message", "retryable"],
  properties: {
    code: { type: "string", description: "A code of docs/errors.md" },
    message: { type: "string" },
    retryable: { type: "boolean", description: "True when the same request may succeed later" },
  },
} as const;

/** Turns whatever was thrown into one of our errors. */
export function expected(error: unknown): OpenClawError {
  if (error instanceof OpenClawError) return error;
  const { code, validation, message, statusCode } = fastifyFields(error);
  if (code === "FST_ERR_CTP_BODY_TOO_LARGE") return new OpenClawError("VALUE_TOO_LARGE", "", { cause: error });
  if (validation || (statusCode !== undefined && statusCode >= 400 && statusCode < 500)) {
    return new OpenClawError("BAD_REQUEST", message, { cause: error });
  }
  return new OpenClawError("INTERNAL", "", { cause: error });
}

function fastifyFields(error: unknown) {
  if (!(error instanceof Error)) return { code: undefined, validation: false, message: "", statusCode: undefined };
  return {
    code: "code" in error ? error.code : undefined,
    validation: "validation" in error && error.validation !== undefined,
    message: error.message,
    statusCode: "statusCode" in error && typeof error.statusCode === "number" ? error.statusCode : undefined,
  };
}

export function answerErrors(app: FastifyInstance, onFatal: (error: Error) => void): void {
  app.setErrorHandler((error, request, reply) => {
    const answer = expected(error);
    if (answer.code === "INTERNAL")
      request.log.error({ err: error, url: request.routeOptions.url }, "a request failed");
    void reply.code(answer.status).header("content-type", "application/json").send(errorBody(answer));
    if (error instanceof InvariantViolation) onFatal(error);
  });
  app.setNotFoundHandler((request, reply) => {
    const answer = new OpenClawError("NOT_FOUND", `${request.method} ${request.url.slice(0, 200)}`);
    void reply.code(answer.status).send(errorBody(answer));
  });
}

/** Bounds every handler in time, but for streams, which bound themselves, and for what an operator waits for. */
export function answerInTime(app: FastifyInstance): void {
  app.addHook("onRoute", (route) => {
    if (route.config?.stream === true || route.config?.patient === true) return;
    const { handler } = route;
    route.handler = function (request, reply) {
      const answer = handler.call(this, request, reply);
      return answer instanceof Promise ? within(answer, ANSWER_MS_MAX) : answer;
    };
  });
}

/** By hand: a race makes five promises of one, at every request. */
function within<T>(answer: Promise<T>, ms: number): Promise<T> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new OpenClawError("UNAVAILABLE", `no answer within ${ms} ms`)), ms);
    answer.then(
      (value) => {
        clearTimeout(timer);
        resolve(value);
      },
      (error: unknown) => {
        clearTimeout(timer);
        reject(error);
      },
    );
  });
}

/** Rows of the table for an OpenAPI answer: the codes a route may give, by status. */
export function failures(...codes: ErrorCode[]): Record<number, unknown> {
  const byStatus: Record<number, { description: string } & typeof errorSchema> = {};
  for (const code of ["UNAUTHENTICATED", "CROSS_SITE", "INTERNAL", ...codes] as const) {
    const { status } = ERRORS[code];
    const before = byStatus[status];
    const description = `${code}: ${textOf(code)}`;
    byStatus[status] = {
      ...errorSchema,
      description: before === undefined ? description : `${before.description}; ${description}`,
    };
  }
  return byStatus;
}
