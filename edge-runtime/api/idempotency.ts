/**
 * `Idempotency-Key` of a request that changes something (draft-ietf-httpapi-idempotency-key-header): a repeat of it gets
 * the first outcome, at whatever node it comes to, and does not run (Q1).
 */
import { createHash } from "node:crypto";
import { encode } from "@openclaw/core/codec.ts";
import { OpenClawError } from "@openclaw/core/errors.ts";
import { IDEMPOTENCY_KEY_CHARS_MAX, IDEMPOTENCY_MS } from "@openclaw/core/limits.ts";
import type { IdempotencyKey, UserCommand } from "@openclaw/core/state-machine/command.ts";
import { userCommandTuple } from "@openclaw/core/state-machine/user-command-codec.ts";
import type { FastifyReply, FastifyRequest } from "fastify";
import type { ApiDeps } from "./deps.ts";

const MUTATING: ReadonlySet<string> = new Set(["PUT", "POST", "DELETE"]);

const parameter = {
  "idempotency-key": {
    type: "string",
    description:
      `Drawn by the caller, 1 to ${IDEMPOTENCY_KEY_CHARS_MAX} characters, in quotes or without. A repeat under the same ` +
      `key gets the first outcome and does not run, for ${IDEMPOTENCY_MS / 3_600_000} hours of the cluster's log time; ` +
      "another request under it is refused IDEMPOTENCY_KEY_REUSED. An answer that is remembered says in " +
      "X-Openclaw-Idempotency-Remembered-Ms for how long at least",
  },
} as const;

/** A route's description: no validator is built of it, as every put would pay for that. A watch changes no state. */
export const describesIdempotency = (method: string | readonly string[], url: string, schema: object): object =>
  [method].flat().some((one) => MUTATING.has(one)) && !url.startsWith("/v1/watch")
    ? { ...schema, headers: parameter }
    : schema;

/**
 * The key of a request, or null where it carries none.
 * @param what was asked, whatever was drawn for it: the request's body, or the command that it is
 * @param note what a repeat has to be told of what was drawn
 * @throws OpenClawError BAD_REQUEST
 */
export function idempotencyOf(
  request: FastifyRequest,
  what: { readonly command: UserCommand } | { readonly body: unknown },
  note = "",
): IdempotencyKey | null {
  const header = request.headers["idempotency-key"];
  if (header === undefined) return null;
  const asked = "command" in what ? userCommandTuple(what.command) : JSON.stringify(what.body ?? null);
  const hash = createHash("sha256")
    .update(encode([request.method, request.url, asked]))
    .digest();
  return { key: keyOf(header), request: new Uint8Array(hash), note };
}

/** Of a request whose repetition changes nothing anyway: its key has to be one, and nothing is kept. @throws OpenClawError BAD_REQUEST */
export function acceptIdempotencyKey({ headers }: FastifyRequest): void {
  const header = headers["idempotency-key"];
  if (header !== undefined) keyOf(header);
}

/** Says for how long the outcome is remembered. @param until log time */
export function rememberedHeader(deps: ApiDeps, until: number | null, reply: FastifyReply): void {
  if (until === null) return;
  // Log time may go slower than this, never faster (T1): so it is no less.
  const left = Math.max(0, until - deps.replica.position().logTime);
  void reply.header("x-openclaw-idempotency-remembered-ms", left);
}

/** A string of structured fields (RFC 9651 §3.3.3), as the draft has it, or the bare text that many send. */
function keyOf(header: string | string[]): string {
  const text = typeof header === "string" ? header.trim() : "";
  const quoted = /^"((?:[\x20-\x21\x23-\x5b\x5d-\x7e]|\\["\\])*)"$/.exec(text)?.[1];
  const key = quoted?.replaceAll(/\\(["\\])/g, "$1") ?? text;
  const isKey = quoted !== undefined ? key.length > 0 : /^[\x21\x23-\x2b\x2d-\x7e]+$/.test(key);
  if (!isKey || key.length > IDEMPOTENCY_KEY_CHARS_MAX)
    throw new OpenClawError("BAD_REQUEST", `Idempotency-Key is 1 to ${IDEMPOTENCY_KEY_CHARS_MAX} characters of ASCII`);
  return key;
}
