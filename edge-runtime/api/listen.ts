/** Where the API listens: http, or https with the site's certificate. */
import { createServer, type Server } from "node:http";
import { createServer as createSecureServer, Server as SecureServer } from "node:https";
import { OpenClawError } from "@openclaw/core/errors.ts";
import type { FastifyInstance, FastifyServerFactoryHandler } from "fastify";
import type { Pem } from "../certificate.ts";

/** Ms a client may take to send a request: a slow sender holds a socket, not a handler. */
const RECEIVE_MS_MAX = 30_000;
/** Ms that an idle socket is kept for its client's next request. */
const IDLE_MS_MAX = 72_000;
/** Sockets of one node; Node closes what comes beyond. */
const CONNECTIONS_MAX = 4_096;

/** @param certificate null: plain http */
export function createApiServer(certificate: Pem | null, handler: FastifyServerFactoryHandler): Server {
  const server = certificate === null ? createServer(handler) : createSecureServer({ ...certificate }, handler);
  server.requestTimeout = RECEIVE_MS_MAX;
  server.keepAliveTimeout = IDLE_MS_MAX;
  server.maxConnections = CONNECTIONS_MAX;
  return server;
}

/** Connections from here on get the new certificate; those that are open keep theirs. */
export function renewCertificate(app: FastifyInstance, { cert, key }: Pem): void {
  if (app.server instanceof SecureServer) app.server.setSecureContext({ cert, key });
}

/** Resolves to the URL at which it listens. @throws OpenClawError PORT_IN_USE */
export async function listen(
  app: FastifyInstance,
  { host, port }: { readonly host: string; readonly port: number },
): Promise<string> {
  try {
    const url = await app.listen({ host, port });
    // Fastify takes a server that it did not make for a plain one.
    return app.server instanceof SecureServer ? url.replace(/^http:/, "https:") : url;
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "EADDRINUSE") {
      throw new OpenClawError("PORT_IN_USE", `http ${host}:${port}`, { cause: error });
    }
    throw error;
  }
}
