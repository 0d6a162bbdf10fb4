/** What a hub adds to a node's API: the fleet as JSON, and as a page for people. */
import { readFile } from "node:fs/promises";
import { OpenClawError } from "@openclaw/core/errors.ts";
import { failures } from "@openclaw/edge-runtime/api/answers.ts";
import type { NodeOptions, RunningNode } from "@openclaw/edge-runtime/node.ts";
import { systemClock } from "@openclaw/edge-runtime/system-ports.ts";
import { connectedElsewhere } from "./connected.ts";
import { siteLedgerRoute } from "./site-ledger.ts";
import { type SiteRow, SiteWatch, viewSites } from "./sites.ts";

/** Between two looks of the node itself, so that lag and last shipping are known when somebody asks, ms. */
const LOOK_MS = 1_000;

const DASHBOARD = [
  { path: "/", file: "index.html", type: "text/html; charset=utf-8" },
  { path: "/dashboard.js", file: "dashboard.js", type: "text/javascript; charset=utf-8" },
  { path: "/dashboard.css", file: "dashboard.css", type: "text/css; charset=utf-8" },
] as const;

const POLICY =
  "default-src 'none'; script-src 'self'; style-src 'self'; img-src data:; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

type HubNode = Omit<RunningNode, "http">;
type App = Parameters<NonNullable<NodeOptions["extend"]>>[0];

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

function siteRoutes(app: App, node: HubNode): void {
  const watch = new SiteWatch();
  const others = node.config.members.filter((member) => member.node !== node.config.node);
  const connectedHere = (): string[] =>
    node.children.presence().flatMap((child) => (child.connected ? [child.cluster] : []));

  const look = async (connected: ReadonlySet<string>): Promise<readonly SiteRow[]> => {
    const { links } = await node.replica.read({ kind: "links" });
    const parent: string | undefined = node.config.parent?.cluster;
    const views = viewSites({
      enrolled: node.config.children.map((child) => child.cluster),
      links: links.filter((link) => link.link !== parent),
      connected,
      heard: node.presence.rows(),
    });
    return watch.look(views, systemClock.now(), systemClock.wall());
  };

  let cancel: () => void = () => undefined;
  const tick = (): void => {
    look(new Set(connectedHere())).catch((error: unknown) => {
      // A node that stops can no longer be read; whoever asks is told by his own request.
      node.log.debug({ reason: String(error) }, "the sites were not looked at");
    });
    cancel = systemClock.after(LOOK_MS, tick);
  };
  app.addHook("onReady", async () => tick());
  app.addHook("onClose", async () => cancel());

  app.get<{ Querystring: { scope: "hub" | "node" } }>(
    "/v1/sites",
    {
      schema: {
        tags: ["hub"],
        summary: "Every site: how far its ledger is here, who leads it, whether its link is up",
        querystring: {
          type: "object",
          additionalProperties: false,
          properties: {
            scope: {
              type: "string",
              enum: ["hub", "node"],
              default: "hub",
              description: "`node`: count only streams to this node as connected, and ask no other",
            },
          },
        },
        response: {
          200: { description: "Sites by name", type: "array", items: { type: "object", additionalProperties: true } },
          ...failures("BAD_REQUEST", "STOPPED"),
        },
      },
    },
    async (request) => {
      const connected = new Set(connectedHere());
      if (request.query.scope === "hub") {
        const elsewhere = await connectedElsewhere(others, request.headers.authorization, node.log);
        for (const cluster of elsewhere) connected.add(cluster);
      }
      return look(connected);
    },
  );
}
