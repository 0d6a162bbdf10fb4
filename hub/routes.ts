/** What a hub adds to a node's API: the fleet as JSON, and as a page for people. */
import { readFile } from "node:fs/promises";
import { OpenClawError } from "@openclaw/core/errors.ts";
import { siteLedgerRoute } from "./site-ledger.ts";
import { type App, type HubNode, siteRoutes } from "./site-routes.ts";

const DASHBOARD = [
  { path: "/", file: "index.html", type: "text/html; charset=utf-8" },
  { path: "/dashboard.js", file: "dashboard.js", type: "text/javascript; charset=utf-8" },
  { path: "/dashboard.css", file: "dashboard.css", type: "text/css; charset=utf-8" },
] as const;

const POLICY =
  "default-src 'none'; script-src 'self'; style-src 'self'; img-src data:; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/** @throws OpenClawError CONFIG_INVALID when the node serves a page of its own */
export function hubRoutes(app: App, node: HubNode): void {
  if (node.config.page !== null) {
    throw new OpenClawError("CONFIG_INVALID", "a hub serves its dashboard at /: remove `page`");
  }
  siteRoutes(app, node);
  siteLedgerRoute(app, node);
  for (const { path, file, type } of DASHBOARD) {
    const content = readFile(new URL(`dashboard/${file}`, import.meta.url));
    // Awaited at the first request; a missing file must not end the process before that.
    content.catch(() => undefined);
    app.get(path, { config: { open: true }, schema: { hide: true } }, async (_request, reply) =>
      reply
        .headers({
          "content-type": type,
          "content-security-policy": POLICY,
          "cache-control": "no-cache",
          "referrer-policy": "no-referrer",
          "x-content-type-options": "nosniff",
        })
        .send(await content),
    );
  }
}
