/** Who may do what only an operator may. */
import { OpenClawError } from "@openclaw/core/errors.ts";
import type { FastifyRequest } from "fastify";

/** @throws OpenClawError FORBIDDEN */
export function requireAdmin(request: FastifyRequest): void {
  if (!request.principal.mayAdminister) throw new OpenClawError("FORBIDDEN", "the token has no admin claim");
}
