/** The HTTP API of one node. Routes that a tier adds (the hub's) go through the same hooks: guard, authority, time, errors. */
import swagger from "@fastify/swagger";
import { OpenClawError } from "@openclaw/core/errors.ts";
import { type FastifyInstance, type FastifyRequest, fastify, LogController } from "fastify";
import { answerErrors, answerInTime } from "./answers.ts";
import { baseRoute } from "./base.ts";
import { changesRoute } from "./changes.ts";
import { commandRoutes } from "./commands.ts";
import { compactRoute } from "./compact.ts";
import { CrossSiteGuard } from "./cross-site.ts";
import type { ApiDeps, ApiPrincipal } from "./deps.ts";
import { docsRoutes } from "./docs.ts";
import { homeRoutes } from "./homes.ts";
import { describesIdempotency } from "./idempotency.ts";
import { keyHistoryRoute } from "./key-history.ts";
import { kvRoutes } from "./kv.ts";
import { kvListRoute } from "./kv-list.ts";
import { leaseRoutes } from "./leases.ts";
import { ledgerRoute } from "./ledger.ts";
import { leftLivesRoute } from "./left-lives.ts";
import { createApiServer } from "./listen.ts";
import { livesRoutes } from "./lives.ts";
import { memberRoutes } from "./members.ts";
import { operationRoutes } from "./operation.ts";
import { pageRoutes } from "./page.ts";
import { shedRoute } from "./shed.ts";
import { statusRoutes } from "./status.ts";
import { syncRoutes } from "./sync.ts";
import { txnRoute } from "./txn.ts";
import { ROUTABLE_KEY_CHARS_MAX, routableUrl } from "./url-bytes.ts";
import { verifyRoutes } from "./verify.ts";
import { watchRoutes } from "./watch.ts";

declare module "fastify" {
  interface FastifyContextConfig {
    /** Served without a token. */
    open?: boolean;
    /** Also answered by a node that was removed. */
    whenRemoved?: boolean;
    /** Ends when it ends: it bounds itself. */
    stream?: boolean;
    /** Reads all of the past, which takes as long as that is: for an operator, who waits. */
    patient?: boolean;
  }
  interface FastifyRequest {
    /** Who asks; set before any handler that is not open. */
    principal: ApiPrincipal;
  }
}

/**
 * Builds the API, without listening. A route added to it is in the OpenAPI document when it has a schema, is asked for a
 * token unless `config: { open: true }`, and is answered in time unless `config: { stream: true }` or `{ patient: true }`.
 */
export async function buildApi(deps: ApiDeps): Promise<FastifyInstance> {
  const app: FastifyInstance = fastify({
    loggerInstance: deps.log,
    logController: new LogController({ disableRequestLogging: true }),
    // A logger for each request costs more than its put, and would only add a number to the few lines that requests write.
    childLoggerFactory: (logger) => logger,
    forceCloseConnections: true,
    serverFactory: (handler) => createApiServer(deps.certificate, handler),
    rewriteUrl: (request) => routableUrl(request.url ?? "/"),
    routerOptions: { maxParamLength: ROUTABLE_KEY_CHARS_MAX },
    // A misspelt parameter is told, not dropped.
    ajv: { customOptions: { removeAdditional: false } },
  });
  app.decorateRequest("principal");
  answerErrors(app, deps.onFatal);
  answerInTime(app);

  const guard = new CrossSiteGuard(deps.authority.secured, deps.origins, deps.members);
  app.addHook("onRequest", async (request, reply) => {
    if (guard.answers(request, reply)) return reply;
    await authenticate(deps, request);
    refuseIfRemoved(deps, request);
  });

  await app.register(swagger, {
    openapi: {
      openapi: "3.1.0",
      info: {
        title: "OpenClaw",
        version: "1",
        description: "Persistent state for the edge. Errors: {code, message, retryable}.",
      },
      components: { securitySchemes: { bearer: { type: "http", scheme: "bearer", bearerFormat: "JWT" } } },
      security: [{ bearer: [] }],
    },
    transform: ({ schema, url, route }) => ({ schema: describesIdempotency(route.method, url, schema), url }),
  });
  kvRoutes(app, deps);
  kvListRoute(app, deps);
  keyHistoryRoute(app, deps);
  txnRoute(app, deps);
  leaseRoutes(app, deps);
  watchRoutes(app, deps);
  docsRoutes(app, deps);
  statusRoutes(app, deps);
  livesRoutes(app, deps);
  leftLivesRoute(app, deps);
  syncRoutes(app, deps);
  verifyRoutes(app, deps);
  operationRoutes(app, deps);
  memberRoutes(app, deps);
  compactRoute(app, deps);
  homeRoutes(app, deps);
  commandRoutes(app, deps);
  shedRoute(app, deps);
  ledgerRoute(app, deps);
  baseRoute(app, deps);
  changesRoute(app, deps);
  if (deps.page !== null) pageRoutes(app, deps.page, deps.members);
  return app;
}

async function authenticate({ authority }: ApiDeps, request: FastifyRequest): Promise<void> {
  const { config, url } = request.routeOptions;
  // Nothing is behind a path without a route, and the page itself holds no state.
  if (config.open === true || url === undefined || !url.startsWith("/v1/")) return;
  request.principal = await authority.authenticate(tokenOf(request));
}

/** A removed node has no majority to ask and hears of nothing new: it says so instead of serving what is old. */
function refuseIfRemoved({ members }: ApiDeps, request: FastifyRequest): void {
  const { config, url } = request.routeOptions;
  if (config.open === true || config.whenRemoved === true || url === undefined || !url.startsWith("/v1/")) return;
  if (members.removed) throw new OpenClawError("REMOVED");
}

function tokenOf(request: FastifyRequest): string | null {
  const bearer = /^Bearer +(\S+)$/i.exec(request.headers.authorization ?? "")?.[1];
  if (bearer !== undefined) return bearer;
  // An EventSource can send no headers (RFC 6750 §2.3).
  const { query } = request;
  if (
    request.routeOptions.config.stream === true &&
    typeof query === "object" &&
    query !== null &&
    "access_token" in query
  ) {
    return typeof query.access_token === "string" ? query.access_token : null;
  }
  return null;
}
