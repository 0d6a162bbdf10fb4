/** `openclaw site …`: the sites of a hub. */

import { OpenClawError } from "@openclaw/core/errors.ts";
import { isClusterId } from "@openclaw/core/ids.ts";
import type { SiteDecision } from "@openclaw/core/state-machine/site.ts";
import type { Command } from "commander";
import { z } from "zod";
import { clientOf, examples, print, type Reach, reaching } from "./reach.ts";
import { addSiteEnrol } from "./site-enrol.ts";
import { addSiteRebuild } from "./site-rebuild.ts";
import { addSiteRescue } from "./site-rescue.ts";
import { addSiteResolve } from "./site-resolve.ts";
import { addSiteVerify } from "./site-verify.ts";
import { table } from "./status.ts";

const Site = z.looseObject({
  cluster: z.string(),
  state: z.string(),
  clusterKey: z.string().nullable(),
  connected: z.boolean(),
  cursor: z.number(),
  lagRevisions: z.number().nullable(),
  lagSeconds: z.number().nullable(),
  epoch: z.object({ counter: z.number(), nonce: z.string() }).nullable(),
  leader: z.string().nullable(),
  decidedBy: z.string().nullable(),
  decidedAt: z.number().nullable(),
  refused: z.object({ count: z.number(), code: z.string(), at: z.number() }).nullable(),
});
type Site = z.infer<typeof Site>;

export function addSite(program: Command, name: string): void {
  const site = program
    .command("site")
    .description("the sites below this cluster")
    .addHelpText("after", examples("openclaw site list", "openclaw site enrol --dir ./hub --count 20"));
  addSiteEnrol(site);
  addList(site);
  addShow(site);
  addDecision(site, "approve", "approved", "let sites in; a revoked one goes on where it left off");
  addDecision(site, "revoke", "revoked", "shut sites out: their links are closed, and what they shipped is kept");
  addSiteVerify(site);
  addSiteRebuild(site, name);
  addSiteResolve(site);
  addSiteRescue(site, name);
}

function addList(site: Command): void {
  reaching(site.command("list"))
    .description("every site: its state, whether its link is up, how far its ledger is here")
    .option("--json", "one JSON object a line")
    .addHelpText("after", examples("openclaw site list", "openclaw site list --json --endpoint http://10.0.0.9:8101"))
    .action(async (options: Reach & { json?: boolean }) => {
      const rows = z.array(Site).parse(await clientOf(options).json({ method: "GET", path: "/v1/sites" }));
      if (options.json === true) for (const row of rows) print(JSON.stringify(row));
      else
        for (const line of table([["site", "state", "link", "cursor", "lag", "refused"], ...rows.map(cells)]))
          print(line);
    });
}

const cells = ({ cluster, state, connected, cursor, lagRevisions, lagSeconds, refused }: Site): string[] => [
  cluster,
  state,
  connected ? "up" : "down",
  String(cursor),
  lagRevisions === null ? "-" : `${lagRevisions} (${Math.round(lagSeconds ?? 0)} s)`,
  refused === null ? "-" : `${refused.count}, ${refused.code}`,
];

function addShow(site: Command): void {
  reaching(site.command("show <site>"))
    .description("all that is known of one site")
    .option("--json", "as JSON")
    .addHelpText("after", examples("openclaw site show shop-7"))
    .action(async (name: string, options: Reach & { json?: boolean }) => {
      const row = Site.parse(await clientOf(options).json({ method: "GET", path: sitePath(name) }));
      if (options.json === true) print(JSON.stringify(row));
      else for (const line of shown(row)) print(line);
    });
}

function shown(row: Site): string[] {
  const { state, decidedBy, decidedAt, clusterKey, epoch, leader, refused } = row;
  const [, , link = "", cursor = "", lag = ""] = cells(row);
  return table([
    ["site", row.cluster],
    ["state", decidedBy === null ? state : `${state} by ${decidedBy} at ${when(decidedAt)}`],
    ["public key", clusterKey ?? "-"],
    ["link", link],
    ["cursor", cursor],
    ["lag", lag],
    ["epoch", epoch === null ? "-" : `${epoch.counter}/${epoch.nonce.slice(0, 8)}`],
    ["leader", leader ?? "-"],
    ["refused", refused === null ? "-" : `${refused.count} times, last ${refused.code} at ${when(refused.at)}`],
  ]);
}

function addDecision(site: Command, verb: "approve" | "revoke", decision: SiteDecision, description: string): void {
  reaching(site.command(`${verb} <site...>`))
    .description(description)
    .addHelpText("after", examples(`openclaw site ${verb} shop-7`, `openclaw site ${verb} shop-7 shop-8`))
    .action(async (names: string[], options: Reach) => {
      const client = clientOf(options);
      for (const name of names) {
        await client.json({ method: "POST", path: `${sitePath(name)}/${verb}` });
        print(`${name} is ${decision}`);
      }
    });
}

/** @throws OpenClawError BAD_REQUEST */
function sitePath(name: string): string {
  if (!isClusterId(name)) throw new OpenClawError("BAD_REQUEST", `${name} is no cluster's name`);
  return `/v1/sites/${name}`;
}

/** A clock may say anything. */
function when(ms: number | null): string {
  const date = new Date(ms ?? Number.NaN);
  return Number.isNaN(date.getTime()) ? String(ms) : date.toISOString();
}
