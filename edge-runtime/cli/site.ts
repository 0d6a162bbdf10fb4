/** `openclaw site …`: the sites of a hub. */
import type { Command } from "commander";
import { clientOf, examples, print, type Reach, reaching } from "./reach.ts";
import { addSiteRebuild } from "./site-rebuild.ts";
import { addSiteRescue } from "./site-rescue.ts";
import { addSiteResolve } from "./site-resolve.ts";
import { addSiteVerify } from "./site-verify.ts";

export function addSite(program: Command, name: string): void {
  const site = program.command("site").description("the sites below this cluster");
  addList(site);
  addSiteVerify(site);
  addSiteRebuild(site, name);
  addSiteResolve(site);
  addSiteRescue(site, name);
}

function addList(site: Command): void {
  reaching(site.command("list"))
    .description("every site: its state, how far its ledger is here, whether its link is up; one JSON object a line")
    .addHelpText("after", examples("openclaw site list --endpoint http://10.0.0.9:8101"))
    .action(async (options: Reach) => {
      const rows = await clientOf(options).json({ method: "GET", path: "/v1/sites" });
      for (const row of Array.isArray(rows) ? rows : []) print(JSON.stringify(row));
    });
}
