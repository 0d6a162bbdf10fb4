/** The app's page, served by every gateway. */
import fastifyStatic from "@fastify/static";
import type { FastifyInstance } from "fastify";
import type { MembersDoor } from "./deps.ts";

/** No inline script (pitfall 51); `wasm-unsafe-eval` is what compiling Automerge takes. */
const policy = (connect: readonly string[]): string =>
  [
    "default-src 'self'",
    "script-src 'self' 'wasm-unsafe-eval'",
    `connect-src ${["'self'", ...connect].join(" ")}`,
    "img-src 'self' data:",
    "style-src 'self'",
    "object-src 'none'",
    "base-uri 'none'",
    "form-action 'self'",
    "frame-ancestors 'none'",
  ].join("; ");

export function pageRoutes(app: FastifyInstance, folder: string, members: Pick<MembersDoor, "list">): void {
  const contentSecurityPolicy = (): string =>
    policy(members.list().flatMap(({ http, addresses }) => [http, ...addresses.flatMap(webSocketUrl)]));
  app.register(fastifyStatic, {
    root: folder,
    // The page must be found before anybody has a token: what it shows is asked for with one.
    schemaHide: true,
    setHeaders: (reply, path) => {
      void reply.header("content-security-policy", contentSecurityPolicy());
      void reply.header("x-content-type-options", "nosniff");
      void reply.header("referrer-policy", "no-referrer");
      // Vite names what never changes by its hash; everything else is asked for again.
      const immutable = /[\\/]assets[\\/][^\\/]+-[\w-]{8}\.\w+$/.test(path);
      void reply.header("cache-control", immutable ? "public, max-age=31536000, immutable" : "no-cache");
    },
  });
}

/** `/ip4/127.0.0.1/tcp/9201/ws` as a browser dials it: `ws://127.0.0.1:9201`. */
function webSocketUrl(address: string): string[] {
  const match = /^\/(ip4|ip6|dns|dns4|dns6)\/([^/]+)\/tcp\/(\d+)\/(?:(tls)\/)?(ws|wss)(\/|$)/.exec(address);
  if (match === null) return [];
  const [, family, host, port, tls, scheme] = match;
  const secure = tls !== undefined || scheme === "wss";
  return [`${secure ? "wss" : "ws"}://${family === "ip6" ? `[${host}]` : host}:${port}`];
}
