/** `/v1/sites`: the registry as JSON, and an operator's decisions. */
import { OpenClawError } from "@openclaw/core/errors.ts";
import { isClusterId } from "@openclaw/core/ids.ts";
import type { SiteDecision } from "@openclaw/core/state-machine/site.ts";
import { requireAdmin } from "@openclaw/edge-runtime/api/admin.ts";
import { failures } from "@openclaw/edge-runtime/api/answers.ts";
import type { NodeOptions, RunningNode } from "@openclaw/edge-runtime/node.ts";
import { systemClock } from "@openclaw/edge-runtime/system-ports.ts";
import { type Seen, seenByAll } from "./elsewhere.ts";
import { type SiteRow, SiteWatch, viewSites } from "./sites.ts";

/** Between two looks of the node itself, so that lag and last shipping are known when somebody asks, ms. */
const LOOK_MS = 1_000;
/** So many times as long as a look took passes before the next: one at thousands of sites takes long. */
const LOOK_REST = 20;

export type HubNode = Omit<RunningNode, "http">;
export type App = Parameters<NonNullable<NodeOptions["extend"]>>[0];

const siteParam = {
  type: "object",
  properties: { site: { type: "string", description: "The site's cluster name" } },
} as const;
const rowSchema = { description: "The site", type: "object", additionalProperties: true } as const;

export function siteRoutes(app: App, node: HubNode): void {
  const watch = new SiteWatch();
  const here = (): Seen => ({
    connected: node.children.connected(),
    refused: new Map(
      node.children.refusals.list().map(({ cluster, count, code, at }) => [cluster, { count, code, at }]),
    ),
  });
  const everywhere = (authorization: string | undefined): Promise<Seen> => {
    const others = node.members.list().filter((member) => member.node !== node.config.node);
    return seenByAll(here(), others, authorization, node.log);
  };
  const look = async ({ connected, refused }: Seen): Promise<readonly SiteRow[]> => {
    const { links } = await node.replica.read({ kind: "links" });
    const views = viewSites({ registry: node.sites.list(), links, connected, heard: node.presence.rows(), refused });
    return watch.look(views, systemClock.now(), systemClock.wall());
  };
  const rowOf = async (site: string, authorization: string | undefined): Promise<SiteRow> => {
    const row = (await look(await everywhere(authorization))).find(({ cluster }) => cluster === site);
    if (row === undefined) throw new OpenClawError("NOT_FOUND", site);
    return row;
  };

  let open = true;
  let cancel: () => void = () => undefined;
  const tick = async (): Promise<void> => {
    const began = systemClock.now();
    await look(here()).catch((error: unknown) => {
      // A node that stops can no longer be read; whoever asks is told by his own request.
      node.log.debug({ reason: String(error) }, "the sites were not looked at");
    });
    if (open) cancel = systemClock.after(Math.max(LOOK_MS, LOOK_REST * (systemClock.now() - began)), () => void tick());
  };
  app.addHook("onReady", async () => void tick());
  app.addHook("onClose", async () => {
    open = false;
    cancel();
  });

  app.get<{ Querystring: { scope: "hub" | "node" } }>(
    "/v1/sites",
    {
      schema: {
        tags: ["hub"],
        summary: "Every site: its state, how far its ledger is here, who leads it, whether its link is up",
        querystring: {
          type: "object",
          additionalProperties: false,
          properties: {
            scope: {
              type: "string",
              enum: ["hub", "node"],
              default: "hub",
              description: "`node`: count streams to this node and its refusals only, and ask no other",
            },
          },
        },
        response: {
          200: { description: "Sites by name", type: "array", items: { type: "object", additionalProperties: true } },
          ...failures("BAD_REQUEST", "STOPPED"),
        },
      },
    },
    async (request) => look(request.query.scope === "node" ? here() : await everywhere(request.headers.authorization)),
  );

  app.get<{ Params: { site: string } }>(
    "/v1/sites/:site",
    {
      schema: {
        tags: ["hub"],
        summary: "One site, as in the list of all",
        params: siteParam,
        response: { 200: rowSchema, ...failures("NOT_FOUND", "STOPPED") },
      },
    },
    (request) => rowOf(request.params.site, request.headers.authorization),
  );

  const decision = (verb: "approve" | "revoke", decided: SiteDecision, summary: string): void => {
    app.post<{ Params: { site: string } }>(
      `/v1/sites/:site/${verb}`,
      {
        schema: {
          tags: ["hub"],
          summary,
          params: siteParam,
          response: {
            200: rowSchema,
            ...failures("BAD_REQUEST", "FORBIDDEN", "UNKNOWN_CHILD", "OVERLOADED", "UNAVAILABLE", "STOPPED"),
          },
        },
      },
      async (request) => {
        requireAdmin(request);
        const { site } = request.params;
        if (!isClusterId(site)) throw new OpenClawError("BAD_REQUEST", "a site is named by its cluster");
        await node.sites.decide(site, decided, request.principal.name);
        return rowOf(site, request.headers.authorization);
      },
    );
  };
  decision("approve", "approved", "Let a site in; a revoked one goes on where it left off");
  decision("revoke", "revoked", "Shut a site out: its links are closed at every node, and what it shipped is kept");
}
